"""The command line on text: training, evaluating, writing, and what it refuses."""

import math
import re
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner

import tinydl
from tinydl import optim
from tinydl.cli import main
from tinydl.models import LSTMText, TextModel
from tinydl.text import Characters, Words
from tinydl.train import Callback, Checkpoint, checkpoint, recipes

TEXT = "the quick brown fox jumps over a lazy dog,\nand the dog sleeps on.\n" * 40


def run(*args, code=0):
    result = CliRunner().invoke(main, list(map(str, args)))
    assert result.exit_code == code, result.output
    return result.output


def results(*args):
    """What a command wrote to stdout and to stderr."""
    done = subprocess.run([sys.executable, "-m", "tinydl", *map(str, args)], capture_output=True, text=True, check=True)
    return done.stdout, done.stderr


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(TEXT)
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Files of a few epochs on the text, one for each kind of token."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "text.txt").write_text(TEXT)
    paths = {}
    for name in ("text-lstm", "text-lstm-words", "text-gpt"):
        paths[name] = folder / f"{name}.safetensors"
        run(
            "train",
            name,
            "--data",
            folder / "text.txt",
            "--epochs",
            2 if name == "text-gpt" else 12,
            "--checkpoint",
            paths[name],
        )
    (folder / "text.txt").unlink()  # writing needs no data
    return paths


@pytest.mark.parametrize(
    ("name", "unit"), [("text-lstm", "character"), ("text-lstm-words", "word"), ("text-gpt", "character")]
)
def test_train(text, name, unit):
    lines = run("train", name, "--data", text, "--epochs", 1, "--batch-size", 8).splitlines()
    assert lines[0] == f"training on {text}"
    assert any("epoch 1/1: 100%" in line and f"{unit}s/s" in line and "val_loss" in line for line in lines)
    at = lines.index("a sample:")
    report = re.fullmatch(rf"validation loss (\d\.\d{{4}}) per {unit}, perplexity (\d+\.\d\d)", lines[at - 2])
    assert abs(math.exp(float(report[1])) - float(report[2])) < 0.01
    assert len("\n".join(lines[at + 1 :])) > 100


def test_the_bar_counts_characters(text):
    """Each window of 40 counts as 40: those of nine tenths of the text."""
    output = run("train", "text-lstm", "--data", text, "--epochs", 1)
    windows = (len(TEXT) * 9 // 10 - 40) // 40
    assert f"{windows * 40}/{windows * 40}" in output


def test_the_default_text():
    recipe = recipes.recipe("text-lstm")
    assert recipe.source == "python"
    train, test = recipe.data("python")
    assert train.vocabulary is test.vocabulary
    assert len(train.ids) + len(test.ids) > 300_000
    assert len(test.ids) == (len(train.ids) + len(test.ids)) // 10
    assert "--data shakespeare or --data FILE" in recipe.describe("python")
    assert recipe.describe("shakespeare") == "training on tiny shakespeare"
    assert recipe.epochs_for("some.txt") == recipe.epochs_for("python")
    words = recipes.recipe("text-lstm-words").data("python")[0]
    assert (words.ids == 0).mean() < 0.1  # few words are unknown
    assert "Assignment" in words.vocabulary.tokens


def test_the_report_is_the_mean_over_the_validation_part(text):
    tinydl.manual_seed(0)
    recipe = recipes.recipe("text-lstm")
    train, test = recipe.data(str(text))
    trainer = recipe.trainer(recipe.build(train))
    with tinydl.no_grad():
        logits = np.concatenate([trainer.model.eval()(test[i][0][None]).numpy() for i in range(len(test))])
    shares = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    targets = np.stack([test[i][1].numpy() for i in range(len(test))])
    loss = -np.log(np.take_along_axis(shares, targets[:, :, None], 2)).mean()
    assert recipe.report(trainer, test).startswith(f"validation loss {loss:.4f} per character")


class Stop(Callback):
    saves = True

    def __init__(self, step):
        self.at = step

    def on_train_batch_end(self, batch, logs=None):
        if self.trainer.step == self.at:
            raise KeyboardInterrupt


def test_a_recipe_of_another_model(text):
    """What a recipe has to say to train something else by the same lines."""
    rates, norms = [], []

    class Watch(Callback):
        def on_train_batch_begin(self, batch, logs=None):
            rates.append(self.trainer.optimizer.param_groups[0]["lr"])

    def optimizer(parameters, lr):
        made = optim.AdamW(parameters, lr, weight_decay=0.1)
        made.register_step_post_hook(lambda *_: norms.append(sum((p.grad**2).sum().item() for p in parameters) ** 0.5))
        return made

    recipe = recipes.TextRecipe(
        "mine",
        "small",
        lr=0.5,
        model=lambda size: LSTMText(size, 4, 5),
        length=16,
        optimizer=optimizer,
        warm_up=5,
        clip=0.01,
    )
    train, test = recipe.data(str(text))
    trainer = recipe.trainer(recipe.build(train))
    trainer.fit(train, 2, batch_size=8, callbacks=[*recipe.callbacks(2), Watch()])
    steps = 2 * -(-len(train) // 8)
    rising = min(5, steps // 10)
    falling = 0.1 + 0.9 * (1 + np.cos(np.pi * np.arange(steps) / steps)) / 2
    assert np.allclose(rates, 0.5 * np.minimum(np.arange(1, steps + 1) / rising, falling))
    assert rising > 1
    assert max(norms) < 0.0101
    assert len("".join(recipe.sample(trainer))) == 300
    assert "per character" in recipe.report(trainer, test)


@pytest.mark.parametrize(("name", "step"), [("text-lstm", 3), ("text-lstm-words", 10), ("text-gpt", 3)])
def test_a_resumed_run_has_the_same_bits(text, tmp_path, name, step):
    path = tmp_path / "half.safetensors"
    recipe = recipes.recipe(name)

    def outcome(seed, saves=(), resume=None):
        tinydl.manual_seed(seed)
        train, test = recipe.data(str(text))
        trainer = recipe.trainer(recipe.build(train))
        trainer.fit(
            train,
            3,
            batch_size=4,
            validation_data=test,
            callbacks=[*recipe.callbacks(3), *saves],
            resume=resume,
        )
        return trainer.history.history, {k: np.asarray(p.detach()) for k, p in trainer.model.named_parameters()}

    whole, weights = outcome(1)
    with pytest.raises(KeyboardInterrupt):
        outcome(1, [Checkpoint(path, every=1), Stop(step)])
    history, again = outcome(9, resume=path)
    assert history == whole
    for key, value in weights.items():
        assert np.array_equal(value, again[key]), key


def test_eval(text, trained):
    report = run("eval", "text-lstm", "--data", text, "--checkpoint", trained["text-lstm"])
    loss = float(re.fullmatch(r"validation loss (\d\.\d{4}) per character, perplexity \d+\.\d\d\n", report)[1])
    assert loss < 0.8 * math.log(30)  # better than chance
    other = text.with_name("other.txt")
    other.write_text("0123456789\n" * 100)
    output = run("eval", "text-lstm", "--data", other, "--checkpoint", trained["text-lstm"], code=1)
    assert "does not fit this run: the weights belong to another vocabulary, of 30 characters; this one, " in output
    assert "has 11 characters" in output


# -- generate ---------------------------------------------------------------------------------------------------


def test_generate(trained):
    args = ("generate", "text-lstm", "--checkpoint", trained["text-lstm"], "--prompt", "the ", "--length", 60)
    written, speed = results(*args)
    assert written.startswith("the ")
    assert len(written) == len("the ") + 60 + 1
    assert set(written) <= set(TEXT)
    assert re.fullmatch(r"60 tokens in \d+\.\d\d s, [\d,]+ tokens/s\n", speed)
    assert results(*args)[0] == written
    assert results(*args, "--seed", 1)[0] != written
    model = recipes.recipe("text-lstm").load(trained["text-lstm"])
    assert "the " + "".join(model.write("the ", 60, temperature=0.8, seed=0)) + "\n" == written


@pytest.mark.parametrize(
    ("options", "given"),
    [
        (["--greedy"], {"greedy": True}),
        (["--temperature", 2], {"temperature": 2.0}),
        (["--top-k", 3], {"temperature": 0.8, "top_k": 3}),
        (["--top-p", 0.5], {"temperature": 0.8, "top_p": 0.5}),
        (["--threads", 1], {"temperature": 0.8}),
    ],
)
def test_generate_options(trained, options, given):
    before = tinydl.get_num_threads()
    try:
        output = run("generate", "text-lstm", "--checkpoint", trained["text-lstm"], "--length", 40, *options)
    finally:
        tinydl.set_num_threads(before)
    model = recipes.recipe("text-lstm").load(trained["text-lstm"])
    wanted = "".join(model.write("", 40, **{"seed": 0, **given}))
    assert output.startswith(wanted + "\n")


def test_generate_words(trained):
    name = "text-lstm-words"
    output = run("generate", name, "--checkpoint", trained[name], "--prompt", "a lazy", "--length", 8, "--greedy")
    assert output.startswith("a lazy ")
    assert "<unk>" not in output


def test_generate_nothing(trained):
    assert run("generate", "text-lstm", "--checkpoint", trained["text-lstm"], "--length", 0, "--prompt", "a") == "a\n"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("mnist-cnn",), "Error: mnist-cnn writes no text; those that do: text-lstm, text-lstm-words, text-gpt\n"),
        (("gpt9",), "Error: unknown recipe 'gpt9'; known: mnist-cnn, "),
        (
            ("dates-seq2seq",),
            "Error: dates-seq2seq writes no text; those that do: text-lstm, text-lstm-words, text-gpt\n",
        ),
        (("text-lstm", "--prompt", "a7"), "Error: encode: the character '7' at position 1 is not among the vocabulary"),
    ],
)
def test_generate_errors(trained, args, message):
    output = run("generate", *args, "--checkpoint", trained["text-lstm"], code=1)
    assert output.startswith(message)
    assert output.count("\n") == 1


def test_files_that_hold_no_such_model(tmp_path):
    path = tmp_path / "a.safetensors"
    output = run("generate", "text-lstm", "--checkpoint", path, code=1)
    assert "No such file or directory" in output
    path.write_bytes(b"junk" * 10)
    assert "not a safetensors file" in run("generate", "text-lstm", "--checkpoint", path, code=1)
    vocabulary = Characters.of("abc")
    state = TextModel(recipes.recipe("text-lstm").model(3), vocabulary).state_dict()
    wrong = [
        ({}, "it holds no model"),
        ({"model": {"0.weight": np.zeros(3)}}, "the state holds no vocabulary"),
        ({"model": 5}, "it holds no model"),
        ({"model": {**state, "_extra_state": {"vocabulary": {"unit": "word"}}}}, "wanted a state of character"),
        (
            {"model": TextModel(recipes.recipe("text-lstm-words").model(1), Words(["<unk>"])).state_dict()},
            "its tokens are words, not characters",
        ),
        ({"model": {**state, "model.head.weight": np.zeros((3, 5))}}, "size mismatch for model.head.weight"),
        ({"model": {k: v for k, v in state.items() if "head" not in k}}, "Missing key"),
    ]
    for content, message in wrong:
        checkpoint.save(path, content)
        output = run("generate", "text-lstm", "--checkpoint", path, code=1)
        assert output.startswith(f"Error: {path}: not a checkpoint of text-lstm: ")
        assert message in output


@pytest.mark.parametrize("option", ["--length=-1", "--temperature=0", "--top-k=0", "--top-p=0", "--top-p=1.5"])
def test_options_out_of_range(option):
    assert "Usage:" in run("generate", "text-lstm", "--checkpoint", "x", option, code=2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"x", "the text has 1 characters, wanted at least 410"),
        (b"\xff" * 1000, "not a text in UTF-8: byte 0xff at 0"),
    ],
)
def test_texts_that_cannot_be_learned(tmp_path, content, message):
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    output = run("train", "text-lstm", "--data", path, code=1)
    assert output.splitlines()[0] == f"training on {path}"
    assert message in output.splitlines()[1]


def test_no_such_text():
    assert "is neither python nor shakespeare nor a text file" in run("train", "text-lstm", "--data", "none", code=1)
    assert "text-lstm has no Keras form; known: mnist-cnn" in run("train", "text-lstm", "--style", "keras", code=1)


def test_a_text_of_one_character(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("x" * 2000)
    output = run("train", "text-lstm", "--data", path, "--epochs", 1)
    assert "validation loss 0.0000 per character, perplexity 1.00" in output
    assert output.endswith("\n" + "x" * 300 + "\n")


def test_a_reader_who_leaves(trained):
    command = [sys.executable, "-m", "tinydl", "generate", "text-lstm", "--length", "100000"]
    with subprocess.Popen(
        [*command, "--checkpoint", str(trained["text-lstm"])], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout.read(20)
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


def test_a_run_that_diverged(text):
    class Mad(LSTMText):
        def forward(self, ids):
            return super().forward(ids) * float("nan")

        def step(self, ids, state=None):
            logits, state = super().step(ids, state)
            return logits * float("nan"), state

    recipe = recipes.TextRecipe("mad", "", model=Mad)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(recipes.RECIPES, "mad", recipe)
        output = run("train", "mad", "--data", text, "--epochs", 1, code=1)
    lines = output.splitlines()
    assert lines[-2] == "validation loss nan per character, perplexity nan"
    assert lines[-1] == "Error: generate: the model's logits are unusable: that of token 0 is nan"
