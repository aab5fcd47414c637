"""The printed forms of models: the summary's table and the lines of fit and evaluate."""

import re

from tinydl.keras import Sequential, layers

from .test_models import images, small_cnn

TABLE = """\
Model: "sequential"
┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━┓
┃ Layer (type)                    ┃ Output Shape           ┃       Param # ┃
┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━┩
│ flatten (Flatten)               │ (None, 784)            │             0 │
├─────────────────────────────────┼────────────────────────┼───────────────┤
│ dense (Dense)                   │ (None, 128)            │       100,480 │
├─────────────────────────────────┼────────────────────────┼───────────────┤
│ dense_1 (Dense)                 │ (None, 10)             │         1,290 │
└─────────────────────────────────┴────────────────────────┴───────────────┘
 Total params: 101,770 (397.54 KB)
 Trainable params: 101,770 (397.54 KB)
 Non-trainable params: 0 (0.00 B)
"""


def test_summary(capsys):
    model = Sequential([layers.Flatten(input_shape=(28, 28)), layers.Dense(128), layers.Dense(10)])
    model.summary(line_length=76)
    assert capsys.readouterr().out == TABLE
    lines = []
    model.summary(print_fn=lines.append)
    assert len(lines) == 1
    Sequential([layers.Dense(3)]).summary()
    assert "│ ?      " in (out := capsys.readouterr().out)
    assert "0 (unbuilt) │" in out


def test_summary_counts_the_optimizer_and_frozen_layers(capsys, rng):
    x, y = images(rng)
    model = small_cnn(input_shape=(12, 12, 1))
    model.layers[0].trainable = False
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, y, verbose=0)
    model.summary()
    out = capsys.readouterr().out
    total, frozen = model.count_params(), 6 * 9 + 6
    kept = 2 * (total - frozen) + 2
    assert f" Trainable params: {total - frozen:,} (" in out
    assert f" Non-trainable params: {frozen} (240.00 B)" in out
    assert f" Optimizer params: {kept:,} (" in out
    assert f" Total params: {total + kept:,} (" in out


STEP = r"\d+(s|ms|us)/step"
NUMBER = r"-?\d\.\d{4}(e[+-]\d\d)?"


def test_progress_lines(capsys, rng):
    x, y = images(rng, count=70)
    model = small_cnn(input_shape=(12, 12, 1))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=2, validation_data=(x, y))
    scores = rf"accuracy: {NUMBER} - loss: {NUMBER}"
    line = rf"3/3 ━{{20}} \d+s {STEP} - {scores} - val_accuracy: {NUMBER} - val_loss: {NUMBER}\n"
    assert re.fullmatch(rf"Epoch 1/2\n{line}Epoch 2/2\n{line}", capsys.readouterr().out)
    model.fit(x, y, verbose=2)
    assert re.fullmatch(rf"Epoch 1/1\n3/3 - \d+s - {STEP} - {scores}\n", capsys.readouterr().out)
    model.evaluate(x, y, verbose=2)
    assert re.fullmatch(rf"3/3 - \d+s - {STEP} - {scores}\n", capsys.readouterr().out)
    model.evaluate(x, y)
    assert re.fullmatch(rf"3/3 ━{{20}} \d+s {STEP} - {scores}\n", capsys.readouterr().out)
    model.predict(x)
    assert re.fullmatch(rf"3/3 ━{{20}} \d+s {STEP}\n", capsys.readouterr().out)
    model.fit(x, y, verbose=0)
    assert capsys.readouterr().out == ""


# -- Utilities --------------------------------------------------------------------------------------------------
