"""dropout on tensors, and the generator that hands out the stream."""

import copy
import pickle
import threading

import numpy as np
import pytest

import tinydl
from tests.support.compare import assert_close
from tinydl import autograd, creation
from tinydl.ops.random import dropout
from tinydl.random import default_generator

# -- Generator -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("draw", [tinydl.rand, tinydl.randn])
def test_two_draws_are_one_draw_of_both(draw):
    halves, whole = tinydl.Generator(5), tinydl.Generator(5)
    first, second = draw(1000, generator=halves), draw(1000, generator=halves)
    assert np.array_equal(np.concatenate([first.numpy(), second.numpy()]), draw(2000, generator=whole).numpy())
    assert halves.state() == whole.state()


def test_a_restored_state_resumes_exactly():
    tinydl.manual_seed(3)
    tinydl.rand(7)
    state = default_generator.state()
    expected = [tinydl.randn(5, 3), tinydl.rand(2), dropout(tinydl.ones(50))]
    default_generator.set_state(state)
    for again, before in zip([tinydl.randn(5, 3), tinydl.rand(2), dropout(tinydl.ones(50))], expected, strict=True):
        assert np.array_equal(again.numpy(), before.numpy())


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda generator: pickle.loads(pickle.dumps(generator))])
def test_a_copy_goes_on_by_itself(copied):
    generator = tinydl.Generator(5)
    generator.reserve(10)
    other = copied(generator)
    assert other.reserve(4) == generator.reserve(4) == (5, 3)
    generator.reserve(4)
    assert other.state() == (5, 4)


def test_seeds_repeat_and_differ():
    draws = {}
    for seed in (0, 1, -1, 2**64 - 1, 2**40):
        tinydl.manual_seed(seed)
        draws[seed] = tinydl.rand(8).numpy().tobytes()
    assert draws[-1] == draws[2**64 - 1]
    assert len(set(draws.values())) == 4
    with pytest.raises(TypeError, match="manual_seed: got str, wanted an integer"):
        tinydl.manual_seed("one")
    tinydl.manual_seed(0)


def test_threads_never_share_a_stretch():
    generator = tinydl.Generator(0)
    found: list[int] = []

    def work() -> None:
        found.extend([generator.reserve(5)[1] for _ in range(500)])

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(found) == list(range(0, 4000, 2))


def test_shapes_and_dtypes_of_draws():
    assert tinydl.rand(2, 3).shape == (2, 3)
    assert tinydl.randn((4,), dtype=tinydl.float64).dtype == np.float64
    assert tinydl.rand(0, 3).shape == (0, 3)
    assert creation.uniform((3,), -2.0, -1.0).numpy().max() < -1


# -- Dropout -------------------------------------------------------------------------------------------------


def test_the_input_itself_where_nothing_is_dropped():
    x = tinydl.ones(5)
    state = default_generator.state()
    assert dropout(x, 0.5, training=False) is x
    assert dropout(x, 0.0) is x
    assert default_generator.state() == state


def test_everything_is_dropped():
    x = tinydl.tensor([1.0, float("nan")], requires_grad=True)
    y = dropout(x, 1)
    y.backward(tinydl.ones(2))
    assert y.detach().tolist() == [0, 0]
    assert x.grad.tolist() == [0, 0]


@pytest.mark.parametrize("shape", [(), (1,), (0, 3), (5, 7), (2, 3, 5, 4)])
def test_gradcheck(shape, rng):
    x = tinydl.tensor(rng.standard_normal(shape), requires_grad=True)

    def func(x):
        return dropout(x * x, 0.3, generator=tinydl.Generator(1))

    assert autograd.gradcheck(func, x)


def test_gradient_flows_where_the_output_is_kept(rng):
    image = rng.standard_normal((2, 5, 3, 7)).astype(np.float32).transpose(0, 3, 1, 2)
    x = tinydl.tensor(image, requires_grad=True)
    y = dropout(x, 0.25)
    grad = rng.standard_normal(x.shape).astype(np.float32)
    y.backward(tinydl.tensor(grad))
    kept = y.detach().numpy() != 0
    assert 0 < kept.sum() < kept.size
    assert_close(y, np.where(kept, image.astype(np.float64) / 0.75, 0), "random")
    assert_close(x.grad, np.where(kept, grad.astype(np.float64) / 0.75, 0), "random")


def test_in_place():
    x = tinydl.ones(1000)
    before = x._data
    assert dropout(x, 0.5, inplace=True) is x
    assert x._data is before
    assert sorted(set(x.tolist())) == [0, 2]
    leaf = tinydl.ones(3, requires_grad=True)
    with pytest.raises(RuntimeError, match="dropout: a leaf that requires a gradient"):
        dropout(leaf, inplace=True)
    y = leaf * 3
    dropout(y, 0.5, inplace=True, generator=tinydl.Generator(2)).backward(tinydl.ones(3))
    assert_close(leaf.grad, y.detach().numpy(), "random")


def test_the_same_scale_and_rate_as_torch(torch):
    x = np.ones(1 << 18, np.float32)
    ours = dropout(tinydl.tensor(x), 0.3, generator=tinydl.Generator(0)).numpy()
    torch.manual_seed(0)
    theirs = torch.nn.functional.dropout(torch.from_numpy(x), 0.3).numpy()
    assert_close(np.unique(ours), np.unique(theirs), "random")
    spread = np.sqrt(2 * 0.3 * 0.7 / x.size)
    assert abs(np.mean(ours == 0) - np.mean(theirs == 0)) < 4 * spread


@pytest.mark.parametrize("p", [-0.1, 1.5, float("nan")])
def test_wrong_probabilities(p):
    with pytest.raises(ValueError, match=r"dropout: got p = .*, wanted a probability from 0 to 1"):
        dropout(tinydl.ones(3), p, training=False)


def test_wrong_types():
    with pytest.raises(TypeError, match=r"dropout: got dtype int64, wanted float32 or float64 \(on a GPU 16-bit"):
        dropout(tinydl.tensor([1, 2]))
    with pytest.raises(TypeError, match="dropout: got list, wanted a tensor"):
        dropout([1.0])
