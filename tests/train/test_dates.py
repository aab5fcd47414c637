"""The recipes of dates in words: their batches, metric and schedule, and what the models learn."""

import dataclasses
import math

import numpy as np
import pytest

import tinydl
from tinydl.text import dates
from tinydl.train import recipes
from tinydl.train.recipes.dates import ExactMatch, TextPairs, WarmUpCosine
from tinydl.utils.data import DataLoader

NAMES = ["dates-seq2seq", "dates-transformer"]


def small(name):
    """The recipe with few dates to train on."""
    return dataclasses.replace(recipes.recipe(name), samples=96, epochs=1)


# -- Batches ----------------------------------------------------------------------------------------------------


def test_text_pairs():
    pairs = [("3 May 1987", "1987-05-03"), ("1/1/01", "x"), ("7", "2001-01-01")]
    data = TextPairs(pairs)
    assert len(data) == 3
    (source, given), wanted = data.gather(np.array([2, 1]))
    assert dates.decode(source._data) == ["7", "1/1/01"]
    assert source.shape == (2, 6)
    assert dates.decode(wanted._data) == ["2001-01-01", "x"]
    assert given[:, 0].tolist() == [dates.START] * 2
    for before, row in zip(given.tolist(), wanted.tolist(), strict=True):
        length = row.index(dates.END)
        assert before[1 : length + 1] == row[:length]
    (source, given), wanted = data[0]
    assert dates.decode(source._data[None]) == ["3 may 1987"]
    assert (given.shape, wanted.shape) == ((11,), (11,))


def test_every_pair_comes_once():
    data = TextPairs(dates.pairs("train", 10))
    found = [text for (source, _), _ in DataLoader(data, 3, shuffle=True) for text in dates.decode(source._data)]
    assert sorted(found) == sorted(text.lower() for text, _ in data.pairs)


# -- Metric and schedule ----------------------------------------------------------------------------------------


def test_exact_match():
    target = np.array([[3, 4, 2, 0], [3, 4, 5, 2], [5, 2, 0, 0]])
    output = np.eye(6)[target]
    output[0, 3] = np.eye(6)[5]  # behind the end
    output[1, 1] = np.eye(6)[3]  # a wrong token
    metric = ExactMatch()
    metric.update(output, target)
    metric.update(output[:1], target[:1])
    assert metric.result() == 3 / 4
    metric.reset()
    metric.update(output, target, np.array([[0.5], [2.0], [1.0]]))
    assert metric.result() == 1.5 / 3.5
    assert metric.name == "exact_match"


@pytest.mark.parametrize("name", NAMES)
def test_exact_match_is_that_of_greedy_decoding(name):
    """Of a model that has half learned some dates."""
    tinydl.manual_seed(0)
    recipe = dataclasses.replace(small(name), batch_size=12)
    train, _ = recipe.data("dates")
    few = TextPairs(train.pairs[:12])
    trainer = recipe.trainer(recipe.build(train))
    trainer.fit(few, 45, batch_size=12)
    got = dates.translate(trainer.model, [text for text, _ in few.pairs])
    share = np.mean([a == b for a, (_, b) in zip(got, few.pairs, strict=True)])
    assert trainer.evaluate(few, batch_size=5)["exact_match"] == pytest.approx(share)
    assert 0 < share <= 1


def test_warm_up_cosine():
    rates = []
    tinydl.manual_seed(0)
    recipe = small("dates-seq2seq")
    train, _ = recipe.data("dates")
    trainer = recipe.trainer(recipe.build(train), lr=2.0)

    class Watch(tinydl.train.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            rates.append(self.trainer.optimizer.param_groups[0]["lr"])

    trainer.train_step = lambda batch: trainer.optimizer.step() or 1
    trainer.scores.loss.add(0.0, 1)
    trainer.fit(train, 5, batch_size=2, callbacks=[WarmUpCosine(5, 8), Watch()])
    cosine = [1 + math.cos(math.pi * step / 240) for step in range(240)]
    assert rates[:8] == pytest.approx([2 * (step + 1) / 8 for step in range(7)] + [cosine[7]])
    assert rates[8:] == pytest.approx(cosine[8:])


# -- The recipes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_no_tested_date_is_trained_on(name):
    train, test = small(name).data("dates")
    assert len(test) == 1000
    assert not {iso for _, iso in train.pairs} & {iso for _, iso in test.pairs}
    with pytest.raises(ValueError, match=f"data 'digits' is unknown; {name} makes its own"):
        small(name).data("digits")


@pytest.mark.parametrize("name", NAMES)
def test_a_resumed_run_has_the_same_bits(name, tmp_path):
    recipe = small(name)
    path = tmp_path / "run.safetensors"
    finals = []
    for resume in (None, path):
        tinydl.manual_seed(0 if resume is None else 9)
        train, _ = recipe.data("dates")
        trainer = recipe.trainer(recipe.build(train))
        saver = tinydl.train.Checkpoint(path)
        saver.on_epoch_end = lambda epoch, logs=None, saver=saver: epoch == 0 and saver.trainer.save(path)
        watchers = [*recipe.callbacks(2)] + ([saver] if resume is None else [])
        trainer.fit(train, 2, batch_size=24, callbacks=watchers, resume=resume)
        finals.append([p.tolist() for p in trainer.model.parameters()])
    assert finals[0] == finals[1]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_over_95_of_100_dates_never_seen(name):
    tinydl.manual_seed(0)
    recipe = recipes.recipe(name)
    train, test = recipe.data("dates")
    trainer = recipe.trainer(recipe.build(train))
    epochs = recipe.epochs_for("dates")
    trainer.fit(train, epochs, batch_size=recipe.batch_size, callbacks=recipe.callbacks(epochs))
    head = recipe.report(trainer, test).splitlines()[0]
    assert float(head.split()[2]) > 0.95
    texts = ["Tuesday, 3 March 1987", "the third of March, nineteen eighty-seven", "3rd of Mar. 1987", "12/25/1999"]
    assert dates.translate(trainer.model, texts) == ["1987-03-03"] * 3 + ["1999-12-25"]
