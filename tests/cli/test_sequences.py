"""The command line with models of sequences."""

import dataclasses
import re

import pytest

from tinydl.text import dates
from tinydl.train import recipes

from .test_cli import run


@pytest.fixture
def few(monkeypatch):
    """The recipes of dates with 128 of them."""
    for name in ("dates-seq2seq", "dates-transformer"):
        monkeypatch.setitem(recipes.RECIPES, name, dataclasses.replace(recipes.RECIPES[name], samples=128))


@pytest.mark.parametrize("name", ["dates-seq2seq", "dates-transformer"])
def test_dates(few, name, tmp_path):
    path = str(tmp_path / "run.safetensors")
    output = run("train", name, "--epochs", "1", "--checkpoint", path)
    first, *_, head, _, _, _, _, last = output.splitlines()
    assert first == "training on 128 dates in words, from 1900 to 2099, of which the ISO form is wanted"
    assert re.search(r"epoch 1/1: 100%.* dates/s, loss \d\.\d{4}, exact_match \d\.\d{4}", output)
    assert re.fullmatch(r"exact match [01]\.\d{4} on 1000 dates never seen", head)
    assert last.startswith(f"  {dates.pairs('test', 5)[4][0]} -> ")
    assert run("eval", name, "--checkpoint", path).splitlines()[0] == head


@pytest.mark.parametrize("style", ["pytorch", "keras"])
def test_sequences(style, tmp_path):
    path = str(tmp_path / "run.safetensors")
    options = ("sequence-rnn", "--style", style)
    output = run("train", *options, "--epochs", "3", "--checkpoint", path)
    assert output.startswith("training on sequences of 10 steps of 10 waves, of which the next vector is wanted\n")
    assert ("Epoch 3/3\n32/32 ━" if style == "keras" else "sequences/s, loss ") in output
    last = output.splitlines()[-1]
    assert re.fullmatch(r"test loss 0\.\d{4}", last)
    assert run("eval", *options, "--checkpoint", path).splitlines()[-1] == last
    noise = run("train", *options, "--epochs", "1", "--data", "noise")
    assert noise.startswith("training on sequences of 10 steps of 10 random numbers, as the document's\n")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("train", "sequence-rnn", "--data", "mnist"), "Error: data 'mnist' is none of waves, noise"),
        (("train", "dates-seq2seq", "--data", "mnist"), "Error: data 'mnist' is unknown; dates-seq2seq makes its own"),
        (("train", "dates-transformer", "--style", "keras"), "Error: dates-transformer has no Keras form; known: "),
    ],
)
def test_errors(few, args, message):
    assert message in run(*args, code=1)
