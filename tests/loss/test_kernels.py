"""Loss kernels against loops in float64, on every tier and layout."""

from math import fsum

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.arrays import SIZES, layouts, normal
from tests.support.compare import assert_close
from tinydl import _cpu, backend

FLOATS = [np.float32, np.float64]
HALVES = [np.float16, ml_dtypes.bfloat16]
REDUCTIONS = ["none", "sum", "mean"]


def cross_entropy(x, weights):
    """(losses, gradients, scales): x and weights are (rows, classes) in float64."""
    losses, grads = np.empty(len(x)), np.empty(x.shape)
    scale, grad_scale = np.empty(len(x)), np.empty(x.shape)
    for r in range(len(x)):
        shifted = x[r] - max(x[r])
        log_softmax = shifted - np.log(fsum(np.exp(shifted)))
        losses[r] = -fsum(t * v for t, v in zip(weights[r], log_softmax, strict=True))
        grads[r] = np.exp(log_softmax) * fsum(weights[r]) - weights[r]
        scale[r] = sum(np.abs(weights[r]) * (np.abs(shifted) + 1))
        grad_scale[r] = np.exp(log_softmax) * sum(np.abs(weights[r])) + np.abs(weights[r])
    return losses, grads, scale, grad_scale


def reduced(losses, scale, reduction):
    if reduction == "none":
        return losses, scale
    divisor = len(losses) if reduction == "mean" else 1
    with np.errstate(invalid="ignore"):
        return np.float64(losses.sum()) / divisor, scale.sum() / max(divisor, 1)


def upstream(rng, rows, dtype, reduction):
    """A gradient of the loss, and what it makes of each row."""
    grad = normal(rng, (rows,) if reduction == "none" else (), dtype)
    each = np.broadcast_to(grad.astype(np.float64), (rows,))
    return grad, each / max(rows, 1) if reduction == "mean" else each


def check(kernels, x, target, weights, reduction, rng):
    rows, classes = x.shape
    losses, grads, scale, grad_scale = cross_entropy(x.astype(np.float64), weights.astype(np.float64))
    loss, stats = kernels.cross_entropy(x, target, reduction)
    expected, expected_scale = reduced(losses, scale, reduction)
    assert_close(loss, expected, "loss", length=classes + rows, scale=expected_scale)
    grad, each = upstream(rng, rows, x.dtype, reduction)
    got = kernels.cross_entropy_backward(grad, x, target, stats, reduction)
    each = each[:, None]
    assert_close(got, grads * each, "loss", length=classes, scale=grad_scale * np.abs(each))


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("dtype", FLOATS)
@given(rows=st.sampled_from(SIZES), classes=st.sampled_from(SIZES[1:]), seed=st.integers(0, 2**32 - 1))
def test_cross_entropy(kernels, dtype, reduction, rows, classes, seed):
    rng = np.random.default_rng(seed)
    x = 3 * normal(rng, (rows, classes), dtype)
    labels = rng.integers(0, classes, rows)
    soft = normal(rng, (rows, classes), dtype)
    for _, view in layouts(x):
        check(kernels, view, labels, np.eye(classes)[labels], reduction, rng)
        check(kernels, view, soft, soft, reduction, rng)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("rows", "classes"), [(1, 1), (37, 10), (5, 16), (67, 1000), (2, 5003)])
def test_tiers(kernels, isa, rows, classes, dtype, rng):
    x = 3 * normal(rng, (rows, classes), dtype)
    labels = rng.integers(0, classes, rows)
    soft = rng.dirichlet(np.ones(classes), rows).astype(dtype)
    check(kernels, x, labels, np.eye(classes)[labels], "mean", rng)
    check(kernels, x, soft, soft, "mean", rng)


@pytest.mark.parametrize("shape", [(5,), (3, 5), (3, 5, 2), (2, 5, 3, 4), (2, 5, 3, 1, 2)])
def test_the_class_axis_and_layouts(kernels, isa, shape, rng):
    axis = min(1, len(shape) - 1)
    outer = shape[:axis] + shape[axis + 1 :]
    x, soft = normal(rng, shape), normal(rng, shape)
    labels = rng.integers(0, 5, outer)
    flat_x, flat_soft = (np.moveaxis(a, axis, -1).reshape(-1, 5) for a in (x, soft))
    for target, weights in ((labels, np.eye(5)[labels.reshape(-1)]), (soft, flat_soft)):
        losses, grads, scale, grad_scale = cross_entropy(flat_x.astype(np.float64), weights.astype(np.float64))
        to_shape = lambda a: np.moveaxis(a.reshape((*outer, 5)), -1, axis)  # noqa: E731
        for (_, view), (_, target_view) in zip(layouts(x), layouts(target), strict=False):
            loss, stats = kernels.cross_entropy(view, target_view, "none")
            assert_close(loss, losses.reshape(outer), "loss", length=5, scale=scale.reshape(outer))
            grad = normal(rng, outer)
            got = kernels.cross_entropy_backward(grad, view, target_view, stats, "none")
            each = grad.astype(np.float64).reshape(-1, 1)
            assert_close(got, to_shape(grads * each), "loss", length=5, scale=to_shape(grad_scale * np.abs(each)))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"])
def test_labels_of_every_integer_dtype(kernels, dtype, rng):
    x = normal(rng, (4, 7))
    labels = np.array([6, 0, 3, 3])
    expected, _ = kernels.cross_entropy(x, labels, "none")
    for _, view in layouts(labels.astype(dtype)):
        assert np.array_equal(kernels.cross_entropy(x, view, "none")[0], expected)


def test_labels_of_foreign_bytes(rng):
    x, labels = normal(rng, (4, 7)), np.array([6, 0, 3, 3])
    expected, _ = _cpu.cross_entropy(x, labels, "none")
    assert np.array_equal(_cpu.cross_entropy(x, labels.astype(">i4"), "none")[0], expected)


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("classes", [10, 64, 65, 520, 521, 4104])
def test_halves_are_computed_as_float32_and_rounded_once(gpu_kernels, classes, dtype, rng):
    """Every way in which the GPU's kernel holds a row: some lanes, a warp, a block, or not at all."""
    x, soft = 3 * normal(rng, (5, classes)), rng.dirichlet(np.ones(classes), 5)
    x, soft = x.astype(dtype), soft.astype(dtype)
    weight = rng.random(classes).astype(dtype)
    labels = rng.integers(0, classes, 5)
    wide = lambda a: a.astype(np.float32)  # noqa: E731
    for target in (labels, soft):
        for options in ((), (weight, int(labels[0]), 0.1)):
            wide_target = target if target is labels else wide(target)
            wide_options = (wide(weight), *options[1:]) if options else ()
            for reduction in REDUCTIONS:
                loss, stats = gpu_kernels.cross_entropy(x, target, reduction, *options)
                expected, wide_stats = gpu_kernels.cross_entropy(wide(x), wide_target, reduction, *wide_options)
                assert (loss.dtype, stats.dtype) == (dtype, np.float32)
                assert_close(stats, wide_stats, "loss")
                assert_close(loss, expected, "loss", dtype=dtype)
                grad = normal(rng, loss.shape).astype(dtype)
                got = gpu_kernels.cross_entropy_backward(grad, x, target, stats, reduction, *options)
                expected = gpu_kernels.cross_entropy_backward(
                    wide(grad), wide(x), wide_target, stats, reduction, *wide_options
                )
                assert got.tobytes() == expected.astype(dtype).tobytes()


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("classes", [10, 64])
def test_nll_of_halves(gpu_kernels, classes, dtype, rng):
    x, weight = normal(rng, (33, classes)).astype(dtype), rng.random(classes).astype(dtype)
    labels = rng.integers(0, classes, 33)
    for reduction in REDUCTIONS:
        loss = gpu_kernels.nll_loss(x, labels, reduction, weight, 1)
        wide = gpu_kernels.nll_loss(x.astype(np.float32), labels, reduction, weight.astype(np.float32), 1)
        assert loss.tobytes() == wide.astype(dtype).tobytes()
        grad = normal(rng, loss.shape).astype(dtype)
        got = gpu_kernels.nll_loss_backward(grad, x, labels, reduction, weight, 1)
        expected = gpu_kernels.nll_loss_backward(
            grad.astype(np.float32), x.astype(np.float32), labels, reduction, weight.astype(np.float32), 1
        )
        assert got.tobytes() == expected.astype(dtype).tobytes()


def test_labels_of_which_none_counts(kernels):
    """The sum of no weights is 0, and so is that of no rows: a mean is no number."""
    x, labels = np.zeros((3, 10), np.float32), np.array([4, 4, 4])
    assert np.isnan(kernels.nll_loss(x, labels, "mean", None, 4))
    assert kernels.nll_loss(x, labels, "sum", None, 4) == 0
    assert np.isnan(kernels.cross_entropy(x[:0], labels[:0], "mean")[0])


@pytest.mark.parametrize("dtype", FLOATS)
def test_large_logits_keep_their_gradient(kernels, isa, dtype):
    x = np.array([[1e4 + 1, 1e4, 1e4 - 1], [-1e30, 0, 1e30]], dtype)
    labels = np.array([2, 2])
    check(kernels, x, labels, np.eye(3)[labels], "none", np.random.default_rng(0))


def test_infinities_and_nan(kernels, isa):
    inf, nan = np.inf, np.nan
    x = np.array([[0, -inf, 0], [0, -inf, 0], [-inf] * 3, [0, inf, 0], [nan, 0, 0]], np.float32)
    loss, _ = kernels.cross_entropy(x, np.array([0, 1, 0, 1, 1]), "none")
    assert_close(loss, np.array([np.log(2), inf, nan, nan, nan]), "loss")


def test_bits_do_not_depend_on_the_threads(isa, rng):
    x, soft = normal(rng, (1009, 103)), normal(rng, (1009, 103))
    labels, grad = rng.integers(0, 103, 1009), np.float32(1.5)[...]
    results = set()
    for threads in (1, 2, 3, 5):
        with backend.use_threads(threads):
            bits = _cpu.nll_loss(x, labels, "mean", soft[0], 5).tobytes()
            bits += _cpu.nll_loss_backward(grad, x, labels, "mean", soft[0], 5).tobytes()
            for target, options in (
                (labels, ()),
                (soft, ()),
                (labels, (soft[0], 7, 0.1)),
                (soft, (soft[0], -100, 0.1)),
            ):
                loss, stats = _cpu.cross_entropy(x, target, "mean", *options)
                bits += loss.tobytes() + stats.tobytes()
                bits += _cpu.cross_entropy_backward(grad, x, target, stats, "mean", *options).tobytes()
            results.add(bits)
    assert len(results) == 1


def test_wrong_labels(kernels):
    x = np.zeros((3, 10), np.float32)
    with pytest.raises(IndexError, match="cross_entropy: label 10 at row 1 is out of range for 10 classes"):
        kernels.cross_entropy(x, np.array([9, 10, 9]), "mean")
    with pytest.raises(IndexError, match=r"cross_entropy: label 1[01] at row [12] is out of range for 10 classes"):
        kernels.cross_entropy(x, np.array([9, 10, 11]), "mean")  # on a GPU, either may be met first
    with pytest.raises(IndexError, match="label -1 at row 2 is out of range"):
        kernels.cross_entropy(x, np.array([0, 0, -1]), "mean")
    with pytest.raises(IndexError, match=r"label 4 at \(1, 0, 2\) is out of range for 4 classes"):
        kernels.cross_entropy(np.zeros((2, 4, 1, 3), np.float32), np.array([[[0, 1, 2]], [[3, 0, 4]]]), "mean")
    loss, stats = kernels.cross_entropy(x, np.array([0, 1, 2]), "mean")
    with pytest.raises(IndexError, match="cross_entropy_backward: label 10"):
        kernels.cross_entropy_backward(loss, x, np.array([0, 10, 2]), stats, "mean")


def test_wrong_calls(kernels):
    x = np.zeros((3, 10), np.float32)
    with pytest.raises(
        ValueError, match=r"need class indices of shape \(3,\) or probabilities of shape \(3, 10\), got"
    ):
        kernels.cross_entropy(x, np.zeros(10, np.int64), "mean")
    with pytest.raises(TypeError, match="got dtype float32, wanted integer class indices"):
        kernels.cross_entropy(x, np.zeros(3, np.float32), "mean")
    with pytest.raises(TypeError, match="got dtypes float32 and int64, wanted one"):
        kernels.cross_entropy(x, np.zeros((3, 10), np.int64), "mean")
    with pytest.raises(ValueError, match="got reduction 'avg', wanted 'mean', 'sum' or 'none'"):
        kernels.cross_entropy(x, np.zeros(3, np.int64), "avg")
    with pytest.raises(ValueError, match=r"logits of shape \(\)"):
        kernels.cross_entropy(np.float32(1)[...], np.zeros((), np.int64), "mean")
    with pytest.raises(ValueError, match="have no classes"):
        kernels.cross_entropy(x[:, :0], np.zeros(3, np.int64), "mean")
    loss, stats = kernels.cross_entropy(x, np.zeros(3, np.int64), "none")
    with pytest.raises(ValueError, match=r"got statistics of shape \(2, 2\), wanted \(2, 3\)"):
        kernels.cross_entropy_backward(loss, x, np.zeros(3, np.int64), stats[:, :2], "none")
    with pytest.raises(ValueError, match=r"got a gradient of shape \(3,\), wanted \(\)"):
        kernels.cross_entropy_backward(loss, x, np.zeros(3, np.int64), stats, "mean")
    with pytest.raises(ValueError, match=r"got weights of shape \(3,\), wanted one for each of 10 classes"):
        kernels.cross_entropy(x, np.zeros(3, np.int64), "mean", x[0, :3])
    with pytest.raises(TypeError, match="got dtypes float32 and float64, wanted one"):
        kernels.cross_entropy(x, np.zeros(3, np.int64), "mean", np.zeros(10))
    with pytest.raises(ValueError, match=r"got label_smoothing=1.5, wanted a number in \[0, 1\]"):
        kernels.cross_entropy(x, np.zeros(3, np.int64), "mean", None, -100, 1.5)
    with pytest.raises(ValueError, match="nll_loss: wanted class indices, got the logits' shape"):
        kernels.nll_loss(x, x, "mean", None, -100)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("rows", "classes"), [(0, 3), (1, 1), (37, 10), (5, 17), (2, 5003)])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_weights_smoothing_and_ignored_rows(kernels, isa, rows, classes, smoothing, dtype, rng):
    x, weight = 3 * normal(rng, (rows, classes), dtype), rng.random(classes).astype(dtype)
    labels, soft = rng.integers(0, classes, rows), rng.random((rows, classes)).astype(dtype)
    ignored = labels[:1].sum()
    one_hot = np.where((labels != ignored)[:, None], np.eye(classes)[labels], 0)
    kept = (labels != ignored)[:, None]
    grad = normal(rng, (rows,), dtype)
    for target, shares in ((labels, one_hot), (soft, soft.astype(np.float64))):
        for w in (None, weight):
            wide = np.ones(classes) if w is None else w.astype(np.float64)
            weights = wide * ((1 - smoothing) * shares + smoothing / classes)
            if target is labels:
                weights = weights * kept
            options = (w, ignored if target is labels else -100, smoothing)
            losses, grads, scale, grad_scale = cross_entropy(x.astype(np.float64), weights)
            loss, stats = kernels.cross_entropy(x, target, "none", *options)
            assert_close(loss, losses, "loss", length=classes, scale=scale)
            got = kernels.cross_entropy_backward(grad, x, target, stats, "none", *options)
            each = grad[:, None].astype(np.float64)
            assert_close(got, grads * each, "loss", length=classes, scale=grad_scale * np.abs(each))
            divisor = (one_hot @ wide).sum() if target is labels else rows
            with np.errstate(invalid="ignore", divide="ignore"):
                expected = np.float64(losses.sum()) / divisor
            mean, _ = kernels.cross_entropy(x, target, "mean", *options)
            assert_close(mean, expected, "loss", length=classes + rows, scale=scale.sum() / (divisor or 1))


def test_ignored_rows_may_hold_anything(kernels, isa):
    x = np.array([[np.nan, 0], [np.inf, -np.inf], [0, 0]], np.float32)
    labels = np.array([7, 7, 0])
    loss, stats = kernels.cross_entropy(x, labels, "none", None, 7)
    assert loss[:2].tolist() == [0, 0]
    assert_close(loss[2], np.log(2), "loss")
    dx = kernels.cross_entropy_backward(np.ones(3, np.float32), x, labels, stats, "none", None, 7)
    assert dx.tolist() == [[0, 0], [0, 0], [-0.5, 0.5]]
    assert kernels.nll_loss(x, labels, "none", None, 7).tolist() == [0, 0, 0]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(5,), (0, 3), (33, 17), (3, 5, 2), (2, 5, 3, 4)])
def test_nll(kernels, isa, shape, dtype, rng):
    axis = min(1, len(shape) - 1)
    outer = shape[:axis] + shape[axis + 1 :]
    x, weight = normal(rng, shape, dtype), rng.random(shape[axis]).astype(dtype)
    labels, grad = rng.integers(0, shape[axis], outer), normal(rng, outer, dtype)
    expected, dx = np.zeros(outer), np.zeros(shape)
    for index in np.ndindex(outer):
        at = (*index[:axis], labels[index], *index[axis:])
        if labels[index] != 1:
            expected[index] = -float(weight[labels[index]]) * float(x[at])
            dx[at] = -float(weight[labels[index]]) * float(grad[index])
    for _, view in layouts(x):
        assert_close(kernels.nll_loss(view, labels, "none", weight, 1), expected, "loss")
        assert_close(kernels.nll_loss_backward(grad, view, labels, "none", weight, 1), dx, "loss")
