"""Models write on a GPU what they write on the CPU."""

import pytest

import tinydl
from tinydl import models
from tinydl.models.seq2seq import RecurrentSeq2Seq
from tinydl.models.transformer_seq2seq import TransformerSeq2Seq
from tinydl.text import dates
from tinydl.text.generation import generate


@pytest.fixture
def device(gpu_kernels):
    return {"emulated": "cuda-emulated", "cuda": "cuda"}[gpu_kernels.device]


WRITERS = {
    "lstm": lambda: models.LSTMText(11, 8, 12),
    "gpt": lambda: models.GPT(11, context=5, layers=2, heads=2, features=16),
    "gpt-learned": lambda: models.GPT(11, context=12, layers=1, heads=2, features=16, position="learned"),
}


@pytest.mark.parametrize("name", WRITERS)
def test_tokens(name, device):
    found = []
    for where in ("cpu", device):
        tinydl.manual_seed(1)
        model = WRITERS[name]().to(where)
        found.append(list(generate(model, [1, 2, 3, 4], 8, seed=3)))
        found.append(list(generate(model, [1, 2, 3, 4], 8, greedy=True)))
    assert found[:2] == found[2:]


def test_a_prompt_longer_than_the_window(device):
    found = []
    for where in ("cpu", device):
        tinydl.manual_seed(1)
        found.append(list(generate(WRITERS["gpt"]().to(where), [1, 2, 3, 4, 5, 6, 7, 8], 12, seed=3)))
    assert found[0] == found[1]


TRANSLATORS = {
    "recurrent": lambda size: RecurrentSeq2Seq(size, size, features=8, hidden=12),
    "transformer": lambda size: TransformerSeq2Seq(size, size, features=16, heads=2, layers=1, feedforward=16),
}


@pytest.mark.parametrize("name", TRANSLATORS)
def test_translations_and_their_losses(name, device):
    source, wanted = dates.encode(["3 May 1987", "the 4th of June"]), dates.encode(["1987", "2001"], end=True)
    found, losses = [], []
    for where in ("cpu", device):
        tinydl.manual_seed(1)
        model = TRANSLATORS[name](dates.VOCABULARY_SIZE).to(where).eval()
        found.append(dates.translate(model, ["3 May 1987", "the 4th of June"]))
        logits = model(tinydl.tensor(source, device=where), tinydl.tensor(wanted, device=where))
        loss = tinydl.nn.functional.cross_entropy(logits.flatten(0, 1), tinydl.tensor(wanted, device=where).flatten())
        loss.backward()
        losses.append((loss.item(), *[p.grad.square().sum().item() for p in model.parameters()]))
    assert found[0] == found[1]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4, abs=1e-9)


def test_classes_as_vectors(device):
    labels = tinydl.tensor([[1, 0], [2, 2]])
    assert tinydl.one_hot(labels.to(device)).cpu().tolist() == tinydl.one_hot(labels).tolist()
    with pytest.raises(IndexError, match="one_hot: index 2 is out of range for 2 classes"):
        tinydl.one_hot(labels.to(device), 2)
