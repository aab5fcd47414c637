"""What holds for every model that reads a sequence and writes another."""

import numpy as np
import pytest

import tinydl
from tests.support.compare import assert_close
from tinydl.models import EncoderDecoder, RecurrentSeq2Seq, TransformerSeq2Seq
from tinydl.ops.loss import cross_entropy

SIZES = (11, 7)  # of the source's and the target's vocabulary


def recurrent(**options):
    return RecurrentSeq2Seq(*SIZES, features=6, hidden=5, **options).double()


def transformer(**options):
    return TransformerSeq2Seq(*SIZES, features=8, heads=2, layers=2, feedforward=9, **options).double()


@pytest.fixture(params=[recurrent, transformer], ids=lambda build: build.__name__)
def build(request):
    tinydl.manual_seed(1)
    return request.param


def ids(rng, count, lengths, size):
    """Rows of random ids, padded behind their lengths."""
    found = rng.integers(3, size, (count, max(lengths)))
    found[np.arange(max(lengths)) >= np.array(lengths)[:, None]] = 0
    return found


def drawn(rng):
    """Sources of lengths 4, 1, 6 and 6, and targets of 5 with the first id 1."""
    given = ids(rng, 4, [5] * 4, SIZES[1])
    given[:, 0] = 1
    return ids(rng, 4, [4, 1, 6, 6], SIZES[0]), given


def test_padding_changes_nothing(build, rng):
    model = build()
    source, given = drawn(rng)
    together = model(tinydl.tensor(source), tinydl.tensor(given))
    wider = np.pad(source, ((0, 0), (0, 3)))
    assert_close(model(tinydl.tensor(wider), tinydl.tensor(given)), together, "gradient", scale=1.0)
    for row in range(4):
        own = source[row : row + 1, : (source[row] != 0).sum()]
        alone = model(tinydl.tensor(own), tinydl.tensor(given[row : row + 1]))
        assert_close(alone, together[row : row + 1], "gradient", scale=1.0)


def test_padding_gets_no_gradient(build, rng):
    model = build()
    source, given = (tinydl.tensor(part) for part in drawn(rng))
    model(source, given).square().sum().backward()
    for table in (model.source_embedding, model.target_embedding):
        assert not table.weight.grad[0].numpy().any()
        assert table.weight.grad[3:].numpy().any()


def test_steps_give_the_logits_of_the_whole(build, rng):
    model = build()
    source, given = drawn(rng)
    whole = model(tinydl.tensor(source), tinydl.tensor(given))
    state = model.encode(tinydl.tensor(source))
    for t in range(given.shape[1]):
        logits, state = model.step(tinydl.tensor(given[:, t]), state)
        assert_close(logits, whole[:, t], "gradient", scale=1.0)


def test_a_step_leaves_the_state_before_it(build, rng):
    """From one state one may go on in two ways."""
    model = build()
    source, given = (tinydl.tensor(part) for part in drawn(rng))
    _, state = model.step(given[:, 0], model.encode(source))
    first, _ = model.step(given[:, 1], state)
    model.step(given[:, 2], state)
    again, _ = model.step(given[:, 1], state)
    assert first.tolist() == again.tolist()


def test_later_tokens_change_nothing(build, rng):
    model = build()
    source, given = drawn(rng)
    before = model(tinydl.tensor(source), tinydl.tensor(given))
    given[:, 3:] = rng.permutation(given[:, 3:].ravel()).reshape(4, 2) % 4 + 3
    after = model(tinydl.tensor(source), tinydl.tensor(given))
    assert_close(after[:, :3], before[:, :3], "gradient", scale=1.0)
    assert (after[:, 3:] != before[:, 3:]).numpy().any()


def test_the_source_matters(build, rng):
    model = build()
    source, given = drawn(rng)
    before = model(tinydl.tensor(source), tinydl.tensor(given))
    for place in range(4):
        other = source.copy()
        other[0, place] = 3 + (other[0, place] - 2) % (SIZES[0] - 3)
        after = model(tinydl.tensor(other), tinydl.tensor(given))
        assert (after[0] != before[0]).numpy().any()
        assert_close(after[1:], before[1:], "gradient", scale=1.0)


# -- Writing ----------------------------------------------------------------------------------------------------


def learned(build):
    """A model that has learned by heart to turn round sources of 1 to 3 tokens."""
    model = build().float()
    source = np.array([[3, 4, 5], [5, 6, 0], [6, 0, 0]])
    wanted = np.array([[5, 4, 3, 2], [6, 5, 2, 0], [6, 2, 0, 0]])
    given = np.roll(wanted, 1, 1)
    given[:, 0] = 1
    optimizer = tinydl.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(80):
        optimizer.zero_grad()
        logits = model(tinydl.tensor(source), tinydl.tensor(given))
        cross_entropy(logits.flatten(0, 1), tinydl.tensor(wanted).flatten(), ignore_index=0).backward()
        optimizer.step()
    return model, source, wanted


def test_greedy(build):
    model, source, wanted = learned(build)
    assert model.greedy(tinydl.tensor(source), 9).tolist() == wanted.tolist()
    assert model.greedy(tinydl.tensor(source), 2).tolist() == wanted[:, :2].tolist()
    for row in range(3):
        length = (wanted[row] != 0).sum()
        alone = model.greedy(tinydl.tensor(source[row : row + 1]), 9)
        assert alone.tolist() == [wanted[row, :length].tolist()]


def test_greedy_is_the_likeliest_token_of_each_step(build, rng):
    model = build()
    source = tinydl.tensor(drawn(rng)[0])
    found = model.greedy(source, 6).numpy()
    given = np.roll(found, 1, 1)
    given[:, 0] = 1
    likeliest = model(source, tinydl.tensor(given)).argmax(2).numpy()
    for row, wanted in zip(found, likeliest, strict=True):
        length = list(row).index(2) + 1 if 2 in row else len(row)
        assert row[:length].tolist() == wanted[:length].tolist()
        assert not row[length:].any()


def test_greedy_is_without_dropout_and_leaves_the_mode(build):
    model = build(dropout=0.5)
    source = tinydl.tensor([[3, 4, 5]])
    assert model.greedy(source, 5).tolist() == model.greedy(source, 5).tolist()
    assert model.training
    given = tinydl.tensor([[1, 3, 4]])
    assert (model(source, given) != model(source, given)).numpy().any()
    model.output.eval()
    model.greedy(source, 5)
    assert model.training
    assert not model.output.training


def test_lengths_of_one(build):
    model = build()
    assert model(tinydl.tensor([[3]]), tinydl.tensor([[1]])).shape == (1, 1, 7)


def test_no_sequences(build):
    model, none = build(), tinydl.tensor(np.zeros((0, 3), np.int64))
    assert model(none, none).shape == (0, 3, 7)
    assert model.greedy(none, 4).shape[0] == 0


@pytest.mark.parametrize("shape", [(1, 3), (3, 3), (2,)])
def test_wrong_targets(build, shape):
    source = tinydl.tensor([[3, 4], [5, 6]])
    with pytest.raises(ValueError, match=r"got targets of shape \(.*\), wanted \(2, L\), one for each source"):
        build()(source, tinydl.ones(*shape, dtype=tinydl.int64))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ([3, 4], r"got sources of shape \(2,\), wanted \(N, S\)"),
        ([[], []], r"got sources of shape \(2, 0\), wanted \(N, S\) with at least one token"),
        ([[3, 4], [0, 0]], "a source is empty, or has the padding 0 before its end"),
        ([[3, 0, 4]], "a source is empty, or has the padding 0 before its end"),
    ],
)
def test_wrong_sources(build, source, message):
    source = tinydl.tensor(np.array(source, np.int64))
    with pytest.raises(ValueError, match=message):
        build()(source, tinydl.tensor([[1]] * len(source)))


def test_wrong_ids(build):
    with pytest.raises(IndexError):
        build()(tinydl.tensor([[3, 11]]), tinydl.tensor([[1]]))
    with pytest.raises(IndexError):
        build()(tinydl.tensor([[3, 4]]), tinydl.tensor([[7]]))
    with pytest.raises(TypeError, match="got sources of list, wanted a tensor"):
        build().greedy([[3]], 2)
    with pytest.raises(ValueError, match="longest=0, wanted at least 1"):
        build().greedy(tinydl.tensor([[3]]), 0)


def test_a_base_has_nothing():
    for call in (lambda m: m(None, None), lambda m: m.encode(None), lambda m: m.step(None, None)):
        with pytest.raises(NotImplementedError):
            call(EncoderDecoder())
