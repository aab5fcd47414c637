"""Writing with a model: the state is carried, the modes are restored, the seed decides."""

import math

import numpy as np
import pytest

import tinydl
from tinydl import nn
from tinydl.models import LanguageModel, LSTMText, TextModel
from tinydl.text import Characters, Words, generate


class Counter(LanguageModel):
    """The token after n is n + 1, in a circle; notes how it is called."""

    vocabulary_size = 6

    def __init__(self, logits=None):
        super().__init__()
        self.dropout = nn.Dropout(0.5)
        self.calls = []
        self.logits = logits

    def step(self, ids, state=None):
        modes = (self.training, self.dropout.training, tinydl.is_grad_enabled())
        self.calls.append((ids.tolist(), state, modes))
        if self.logits is not None:
            return tinydl.tensor([self.logits]), None
        return tinydl.one_hot((ids[:, -1] + 1) % 6, 6).float(), (state or 0) + ids.shape[1]


def test_each_token_costs_a_step():
    model = Counter()
    assert list(generate(model, [4, 1, 2], 5, greedy=True)) == [3, 4, 5, 0, 1]
    calls = [(ids, state) for ids, state, _ in model.calls]
    assert calls == [([[4, 1, 2]], None), ([[3]], 3), ([[4]], 4), ([[5]], 5), ([[0]], 6)]


@pytest.mark.parametrize("ids", [[1, 2], np.array([1, 2], np.int32), np.array([1, 2], np.uint8)])
def test_kinds_of_prompts(ids):
    assert list(generate(Counter(), ids, 2, greedy=True)) == [3, 4]
    assert list(generate(Counter(), tinydl.tensor(ids), 2, greedy=True)) == [3, 4]


def test_modes_are_restored_between_tokens():
    model = Counter()
    model.train()
    model.dropout.eval()
    for _ in generate(model, [1], 3, greedy=True):
        assert (model.training, model.dropout.training, tinydl.is_grad_enabled()) == (True, False, True)
    assert [modes for *_, modes in model.calls] == [(False, False, False)] * 3


def test_modes_are_restored_after_an_error():
    class Broken(Counter):
        def step(self, ids, state=None):
            raise ArithmeticError

    model = Broken()
    with pytest.raises(ArithmeticError):
        next(generate(model, [1], 3))
    assert model.training
    assert model.dropout.training
    assert tinydl.is_grad_enabled()


def test_it_is_a_stream():
    model = Counter()
    stream = generate(model, [0], 10**9, greedy=True)
    assert [next(stream) for _ in range(3)] == [1, 2, 3]
    assert len(model.calls) == 3
    assert list(generate(model, [0], 0)) == []


def test_the_seed_decides():
    tinydl.manual_seed(0)
    model = LSTMText(40)
    one = list(generate(model, [1, 2], 300, seed=5))
    assert list(generate(model, [1, 2], 300, seed=5)) == one
    assert list(generate(model, [1, 2], 100, seed=5)) == one[:100]
    assert list(generate(model, [1, 2], 300, seed=6)) != one
    state = tinydl.random.default_generator.state()
    list(generate(model, [1], 10, seed=1))
    assert tinydl.random.default_generator.state() == state


def test_top_1_is_greedy():
    tinydl.manual_seed(0)
    model = LSTMText(30)
    greedy = list(generate(model, [3], 50, greedy=True))
    assert list(generate(model, [3], 50, top_k=1, seed=1)) == greedy
    assert list(generate(model, [3], 50, temperature=1e-9, seed=2)) == greedy
    assert greedy[0] not in generate(model, [3], 200, temperature=9.0, exclude=[greedy[0]], seed=1)


def test_the_tokens_are_those_of_all_positions_at_once():
    """Greedy writing, token by token, is what the whole sequence's logits say at each position."""
    tinydl.manual_seed(1)
    model = LSTMText(20).double().eval()
    prompt = [3, 1, 4]
    written = list(generate(model, prompt, 30, greedy=True))
    logits = model(tinydl.tensor([prompt + written]))
    assert logits[0].argmax(1).tolist()[2:-1] == written


@pytest.mark.parametrize(
    ("args", "error", "message"),
    [
        (([], 3), ValueError, r"ids of shape \(0,\), wanted one axis with at least one token"),
        (([[1]], 3), ValueError, r"ids of shape \(1, 1\)"),
        (([1.5], 3), TypeError, "ids of float64, wanted whole numbers"),
        (([1], -1), ValueError, "length -1, wanted at least 0"),
        (([1], 3, 0.0), ValueError, "temperature 0.0"),
        (([1], 3, 1.0, 0), ValueError, "top_k 0"),
    ],
)
def test_wrong_calls(args, error, message):
    with pytest.raises(error, match=message):
        generate(Counter(), *args)  # before the first token is asked for


def test_tokens_out_of_range():
    for token in (40, -1):
        with pytest.raises(IndexError, match=f"index {token} is out of range"):
            next(generate(LSTMText(40), [0, token], 3))
        for greedy in (False, True):
            with pytest.raises(IndexError, match=rf"got exclude=\[1, {token}\], wanted tokens from 0 to 39"):
                next(generate(LSTMText(40), [0], 3, greedy=greedy, exclude=[1, token]))


def test_a_model_gone_mad():
    for logits in ([math.nan, 1.0], [math.inf, 1.0], [-math.inf, -math.inf]):
        with pytest.raises(ValueError, match="the model's logits are unusable"):
            next(generate(Counter(logits), [0], 3))
    assert set(generate(Counter([-math.inf, 0.0, 0.0]), [0], 50, seed=1)) == {1, 2}


# -- With a vocabulary ------------------------------------------------------------------------------------------


def test_text():
    model = TextModel(Counter(), Characters("abcdef"))
    assert list(model.write("fab", 4, greedy=True)) == ["c", "d", "e", "f"]
    assert "".join(model.write("", 3, greedy=True)) == "bcd"
    with pytest.raises(ValueError, match="the character 'x' at position 1"):
        model.write("ax", 3)


def test_words():
    model = TextModel(Counter(), Words(["<unk>", "the", "end", ".", "\n", "so"]))
    assert list(model.write("the", 3, greedy=True)) == [" end", ".", "\n"]
    assert "".join(model.write("", 1, greedy=True)) == "so"
    assert "<unk>" not in "".join(model.write("so", 200, temperature=50.0, seed=1))
    assert "<unk>" in "".join(model.write("so", 200, temperature=50.0, seed=1, exclude=()))


def test_a_vocabulary_of_another_size():
    with pytest.raises(ValueError, match="a model of 6 tokens and a vocabulary of 3"):
        TextModel(Counter(), Characters("abc"))


def test_the_state_holds_the_vocabulary():
    one = TextModel(LSTMText(3), Characters("abc"))
    two = TextModel(LSTMText(3), Characters("abc"))
    two.load_state_dict(one.state_dict())
    assert "model.lstm.weight_ih_l0" in one.state_dict()
    assert np.array_equal(one.model.head.weight.detach().numpy(), two.model.head.weight.detach().numpy())
    for other in (TextModel(LSTMText(3), Characters("abd")), TextModel(LSTMText(4), Characters("abcd"))):
        before = other.model.head.weight.tolist()
        with pytest.raises(ValueError, match=r"another vocabulary, of 3 characters; this one, .* has [34] characters"):
            other.load_state_dict(one.state_dict())
        assert other.model.head.weight.tolist() == before
    with pytest.raises(ValueError, match="holds no vocabulary"):
        one.load_state_dict({"_extra_state": {}})
    with pytest.raises(ValueError, match="_extra_state"):
        one.load_state_dict({k: v for k, v in one.state_dict().items() if k != "_extra_state"})
