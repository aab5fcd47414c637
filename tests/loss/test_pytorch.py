"""Every loss against PyTorch's function of the same name: values and all gradients over drawn options."""

import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tinydl
import tinydl.nn.functional as F
from tests.support.compare import assert_close
from tinydl import nn

FLOATS = [np.float32, np.float64]
# The fixture is a module, which no example changes.
shared = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
REDUCTIONS = ["none", "mean", "sum"]
SHAPES = [(), (0,), (1,), (7,), (3, 5), (17, 33), (2, 3, 4, 5)]


def shape_of(draw):
    return draw(st.sampled_from(SHAPES))


def numbers(rng, shape):
    """Normal numbers, some of them exactly 0 and some on the half grid, where ties and edges lie."""
    x = 2 * rng.standard_normal(shape)
    return np.where(rng.random(shape) < 0.3, np.round(2 * x) / 2, x)


def probabilities(rng, shape):
    p = rng.random(shape)
    return np.where(rng.random(shape) < 0.2, np.round(p), p)


def signs(rng, shape):
    return rng.choice([-1, 1], shape)


def part(rng, shape):
    """A shape that broadcasts to `shape`."""
    kept = tuple(1 if rng.random() < 0.3 else n for n in shape)
    return kept[rng.integers(0, len(kept) + 1) :]


def pairs(draw, rng):
    shape = shape_of(draw)
    return [numbers(rng, shape), numbers(rng, shape)], {}


def errors(draw, rng):
    args, _ = pairs(draw, rng)
    return args, {"weight": rng.random(args[0].shape)} if draw(st.booleans()) else {}


def smooth(draw, rng):
    return pairs(draw, rng)[0], {"beta": draw(st.sampled_from([0.0, 0.5, 1.0, 2.5]))}


def huber(draw, rng):
    args, options = errors(draw, rng)
    return args, {**options, "delta": draw(st.sampled_from([0.5, 1.0, 2.5]))}


def bce(draw, rng):
    shape = shape_of(draw)
    args = [rng.uniform(0.01, 0.99, shape), probabilities(rng, shape)]
    return args, {"weight": rng.random(part(rng, shape))} if draw(st.booleans()) else {}


def bce_logits(draw, rng):
    shape = shape_of(draw)
    options = {"weight": rng.random(part(rng, shape)), "pos_weight": 3 * rng.random(part(rng, shape))}
    return [3 * numbers(rng, shape), probabilities(rng, shape)], {
        name: value for name, value in options.items() if draw(st.booleans())
    }


def kl(draw, rng):
    shape = shape_of(draw)
    log_target = draw(st.booleans())
    target = numbers(rng, shape) if log_target else rng.uniform(0.01, 1, shape)
    return [numbers(rng, shape), target], {"log_target": log_target}


def gaussian(draw, rng):
    shape = draw(st.sampled_from([(7,), (3, 5), (2, 3, 4)]))
    of_var = draw(st.sampled_from([shape, shape[:-1], (*shape[:-1], 1)]))
    args = [numbers(rng, shape), numbers(rng, shape), rng.uniform(0.1, 2, of_var)]
    return args, {"full": draw(st.booleans()), "eps": draw(st.sampled_from([1e-6, 0.5]))}


def poisson(draw, rng):
    shape = shape_of(draw)
    args = [np.abs(numbers(rng, shape)), rng.uniform(0.1, 5, shape)]
    return args, {"log_input": draw(st.booleans()), "full": draw(st.booleans())}


def soft_margin(draw, rng):
    shape = shape_of(draw)
    return [numbers(rng, shape), signs(rng, shape)], {}


def hinge(draw, rng):
    shape = shape_of(draw)
    return [numbers(rng, shape), signs(rng, shape)], {"margin": draw(st.sampled_from([0.5, 1.0]))}


def ranking(draw, rng):
    shape = shape_of(draw)
    return [numbers(rng, shape), numbers(rng, shape), signs(rng, shape)], {"margin": draw(st.sampled_from([0.0, 0.5]))}


def cosine(draw, rng):
    shape = draw(st.sampled_from([(5,), (3, 5), (1, 4)]))
    return [numbers(rng, shape), numbers(rng, shape), signs(rng, shape[:-1])], {
        "margin": draw(st.sampled_from([0.0, 0.25]))
    }


def triplet(draw, rng):
    shape = draw(st.sampled_from([(5,), (3, 5), (2, 3, 4)]))
    options = {"margin": 0.75, "p": draw(st.sampled_from([1.0, 2.0, 3.0, np.inf])), "swap": draw(st.booleans())}
    return [rng.standard_normal(shape) for _ in range(3)], options


def multi_margin(draw, rng):
    shape = draw(st.sampled_from([(5,), (3, 5), (7, 1)]))
    options = {"p": draw(st.sampled_from([1, 2])), "margin": draw(st.sampled_from([0.5, 1.0]))}
    if draw(st.booleans()):
        options["weight"] = rng.random(shape[-1])
    return [numbers(rng, shape), rng.integers(0, shape[-1], shape[:-1])], options


def multilabel_margin(draw, rng):
    shape = draw(st.sampled_from([(5,), (3, 5), (4, 1)]))
    order = np.argsort(rng.random(shape), axis=-1)
    return [rng.standard_normal(shape), np.where(rng.random(shape) < 0.4, -1, order)], {}


def multilabel_soft(draw, rng):
    shape = draw(st.sampled_from([(5,), (3, 5), (2, 3, 4)]))
    args = [numbers(rng, shape), probabilities(rng, shape)]
    return args, {"weight": rng.random(shape[-1])} if draw(st.booleans()) else {}


def logits_shape(draw):
    return draw(st.sampled_from([(5,), (1, 1), (0, 3), (4, 7), (13, 35), (3, 5, 2), (2, 3, 1, 5)]))


def labels(draw, rng):
    shape = logits_shape(draw)
    axis = min(1, len(shape) - 1)
    target = rng.integers(0, shape[axis], shape[:axis] + shape[axis + 1 :])
    ignored = draw(st.sampled_from([-100, 0, -1]))
    target = np.where(rng.random(target.shape) < 0.3, ignored, target)
    options = {"ignore_index": ignored}
    if draw(st.booleans()):
        options["weight"] = rng.random(shape[axis])
    return [3 * numbers(rng, shape), target], options


def smoothed_labels(draw, rng):
    args, options = labels(draw, rng)
    return args, {**options, "label_smoothing": draw(st.sampled_from([0.0, 0.1, 1.0]))}


def soft_labels(draw, rng):
    shape = logits_shape(draw)
    options = {"label_smoothing": draw(st.sampled_from([0.0, 0.1]))}
    if draw(st.booleans()):
        options["weight"] = rng.random(shape[min(1, len(shape) - 1)])
    return [3 * numbers(rng, shape), rng.random(shape)], options


# (function, maker of its arguments and options, whether the targets get gradients in PyTorch)
CASES = [
    ("mse_loss", errors, True),
    ("l1_loss", errors, True),
    ("smooth_l1_loss", smooth, True),
    ("huber_loss", huber, True),
    ("binary_cross_entropy", bce, True),
    ("binary_cross_entropy_with_logits", bce_logits, True),
    ("kl_div", kl, True),
    ("gaussian_nll_loss", gaussian, True),
    ("poisson_nll_loss", poisson, True),
    ("soft_margin_loss", soft_margin, False),
    ("hinge_embedding_loss", hinge, False),
    ("margin_ranking_loss", ranking, True),
    ("cosine_embedding_loss", cosine, True),
    ("triplet_margin_loss", triplet, True),
    ("multi_margin_loss", multi_margin, False),
    ("multilabel_margin_loss", multilabel_margin, False),
    ("multilabel_soft_margin_loss", multilabel_soft, True),
    ("cross_entropy", smoothed_labels, False),
    ("cross_entropy", soft_labels, True),
    ("nll_loss", labels, False),
]


def tensors(module, values, dtype, grad):
    """Arrays as tensors: floating-point ones of the dtype; those that come first want gradients."""
    out = []
    for k, value in enumerate(values):
        if not isinstance(value, np.ndarray | np.generic):
            out.append(value)
        elif value.dtype.kind == "f":
            tensor = module.tensor(np.asarray(value, dtype))
            out.append(tensor.requires_grad_() if k < grad else tensor)
        else:
            out.append(module.tensor(np.asarray(value)))
    return out


def run(module, function, args, options, dtype, grad, upstream):
    args = tensors(module, args, dtype, grad)
    options = dict(zip(options, tensors(module, options.values(), dtype, 0), strict=True))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # kl_div's mean
        loss = function(*args, **options)
    loss.backward(module.tensor(upstream(tuple(loss.shape)).astype(dtype)))
    return loss, [a.grad for a in args if hasattr(a, "requires_grad") and a.requires_grad]


def check(torch, name, args, options, dtype, soft_targets, seed, functions=None):
    grad = len(args) if soft_targets else 1

    def upstream(shape):
        return np.asarray(np.random.default_rng(seed).standard_normal(shape))

    ours, theirs = functions or (getattr(F, name), getattr(torch.nn.functional, name))
    got, got_grads = run(tinydl, ours, args, options, dtype, grad, upstream)
    expected, expected_grads = run(torch, theirs, args, options, dtype, grad, upstream)
    assert got.dtype == dtype
    length = max(args[0].size, 1)
    close(got, expected.detach().numpy(), length)
    for a, b in zip(got_grads, expected_grads, strict=True):
        assert (a is None) == (b is None)
        if b is not None:
            close(a, b.numpy(), length)


def close(got, expected, length):
    magnitude = np.abs(expected[np.isfinite(expected)]).max(initial=0)
    assert_close(got, expected, "loss", length=length, scale=max(magnitude, 1))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("name", "make", "soft"), CASES, ids=[f"{c[0]}-{c[1].__name__}" for c in CASES])
@shared
@given(data=st.data(), reduction=st.sampled_from(REDUCTIONS), seed=st.integers(0, 2**32 - 1))
def test_values_and_gradients(torch, name, make, soft, dtype, data, reduction, seed):
    args, options = make(data.draw, np.random.default_rng(seed))
    check(torch, name, args, {**options, "reduction": reduction}, dtype, soft, seed)


LAYERS = [
    ("CrossEntropyLoss", smoothed_labels, False),
    ("NLLLoss", labels, False),
    ("MSELoss", pairs, True),
    ("L1Loss", pairs, True),
    ("SmoothL1Loss", smooth, True),
    ("BCELoss", bce, True),
    ("BCEWithLogitsLoss", bce_logits, True),
    ("KLDivLoss", kl, True),
    ("GaussianNLLLoss", gaussian, True),
    ("PoissonNLLLoss", poisson, True),
    ("SoftMarginLoss", soft_margin, False),
    ("HingeEmbeddingLoss", hinge, False),
    ("MarginRankingLoss", ranking, True),
    ("CosineEmbeddingLoss", cosine, True),
    ("TripletMarginLoss", triplet, True),
    ("MultiMarginLoss", multi_margin, False),
    ("MultiLabelMarginLoss", multilabel_margin, False),
    ("MultiLabelSoftMarginLoss", multilabel_soft, True),
]


@pytest.mark.parametrize(("name", "make", "soft"), LAYERS, ids=[c[0] for c in LAYERS])
@shared
@given(data=st.data(), reduction=st.sampled_from(REDUCTIONS), seed=st.integers(0, 2**32 - 1))
def test_layers(torch, name, make, soft, data, reduction, seed):
    args, options = make(data.draw, np.random.default_rng(seed))
    keys = {}

    def build(module, package):
        def call(*inputs, **given):
            layer = getattr(package, name)(**given)
            keys[package] = list(layer.state_dict())
            return layer(*inputs)

        return call

    functions = build(tinydl, nn), build(torch, torch.nn)
    check(torch, name, args, {**options, "reduction": reduction}, np.float64, soft, seed, functions)
    assert keys[nn] == keys[torch.nn]


def test_huber_layer(torch, rng):
    args = [numbers(rng, (7, 5)), numbers(rng, (7, 5))]
    functions = [lambda a, b, m=m: m.HuberLoss("sum", 0.5)(a, b) for m in (nn, torch.nn)]
    check(torch, "HuberLoss", args, {}, np.float64, True, 0, functions)


def test_triplets_with_a_distance(torch, rng):
    args = [rng.standard_normal((3, 5)) for _ in range(3)]

    def squared(a, b):
        return ((a - b) ** 2).sum(-1)

    for swap in (False, True):
        options = {"distance_function": squared, "swap": swap, "margin": 2.0}
        functions = [
            lambda a, b, c, m=m, options=options: m.TripletMarginWithDistanceLoss(**options)(a, b, c)
            for m in (nn, torch.nn)
        ]
        check(torch, "", args, {}, np.float64, True, 0, functions)
        functions = [m.functional.triplet_margin_with_distance_loss for m in (nn, torch.nn)]
        check(torch, "", args, {"swap": swap}, np.float64, True, 0, functions)


@pytest.mark.parametrize("p", [0.5, 1.0, 2.0, 3.0, np.inf])
@pytest.mark.parametrize("keepdim", [False, True])
def test_pairwise_distance(torch, p, keepdim, rng):
    a, b = rng.standard_normal((3, 4, 5)), rng.standard_normal((4, 5))
    a[0, 0] = b[0]
    options = {"p": p, "keepdim": keepdim, "eps": 1e-6}
    check(torch, "pairwise_distance", [a, b], options, np.float64, True, 1)


@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"])
def test_other_shapes_broadcast_with_a_warning(torch, name, rng):
    args = [rng.standard_normal((5, 1)), rng.standard_normal(3)]
    for reduction in REDUCTIONS:
        check(torch, name, args, {"reduction": reduction}, np.float64, True, 0)
    with pytest.warns(UserWarning, match=rf"{name}: a target of shape \(3,\) is broadcast against an input of shape"):
        getattr(F, name)(tinydl.zeros(5, 1), tinydl.zeros(3))


@pytest.mark.parametrize("name", ["kl_div", "poisson_nll_loss", "hinge_embedding_loss"])
def test_other_shapes_broadcast(torch, name, rng):
    args = [rng.standard_normal((5, 1)), signs(rng, 3) if "margin" in name or "hinge" in name else rng.random((1, 3))]
    for reduction in REDUCTIONS:
        check(torch, name, args, {"reduction": reduction}, np.float64, "kl" in name, 0)


def test_batchmean(torch, rng):
    args = [rng.standard_normal((5, 3)), rng.random(3)]
    check(torch, "kl_div", args, {"reduction": "batchmean"}, np.float64, True, 0)
    with pytest.warns(UserWarning, match="batchmean"):
        F.kl_div(tinydl.zeros(2, 3), tinydl.ones(2, 3))


INF, NAN = np.inf, np.nan
SPECIALS = [
    ("mse_loss", [INF, -INF, NAN, 1e30, 0], [0, -INF, 0, 0, 0]),
    ("l1_loss", [INF, -INF, NAN, 1e30, 0], [0, -INF, 0, 0, 0]),
    ("smooth_l1_loss", [INF, -INF, NAN, 1e30, 1], [0, 0, 0, 0, 0]),
    ("huber_loss", [INF, -INF, NAN, 1e30, 1], [0, 0, 0, 0, 0]),
    ("binary_cross_entropy", [0, 1, 0, 1, 1e-30, 0.5], [0, 1, 1, 0, 1, 0.5]),
    ("binary_cross_entropy_with_logits", [1e4, -1e4, 1e4, -1e4, NAN, 0], [1, 0, 0, 1, 0.5, 0.5]),
    ("kl_div", [-1, -INF, -1, NAN, -200], [0, 0.5, -1, 0.5, 1]),
]


@pytest.mark.parametrize(("name", "x", "t"), SPECIALS, ids=[case[0] for case in SPECIALS])
def test_specials(torch, isa, name, x, t):
    args = [np.array(x, np.float64), np.array(t, np.float64)]
    with np.errstate(all="ignore"):
        check(torch, name, args, {"reduction": "none"}, np.float32, True, 0)


@pytest.mark.parametrize(
    ("flags", "meant"),
    [
        ({"size_average": False}, "sum"),
        ({"size_average": True}, "mean"),
        ({"reduce": False}, "none"),
        ({"reduce": True}, "mean"),
        ({"size_average": False, "reduce": True}, "sum"),
        ({"size_average": False, "reduce": False}, "none"),
    ],
)
def test_deprecated_reductions(flags, meant, rng):
    x, t = tinydl.tensor(rng.random(5)), tinydl.tensor(rng.random(5))
    with pytest.warns(UserWarning, match=f"use reduction='{meant}' instead"):
        assert F.mse_loss(x, t, **flags).tolist() == F.mse_loss(x, t, reduction=meant).tolist()
    with pytest.warns(UserWarning, match=f"MSELoss: .* use reduction='{meant}'"):
        assert nn.MSELoss(**flags).reduction == meant


def test_half_precision(torch, rng):
    x, t = rng.standard_normal((4, 5)).astype(np.float16), rng.integers(0, 5, 4)
    weight = rng.random(5).astype(np.float16)
    for loss in (F.cross_entropy, F.nll_loss):
        got = loss(tinydl.tensor(x), tinydl.tensor(t), tinydl.tensor(weight))
        wide = loss(tinydl.tensor(x.astype("f")), tinydl.tensor(t), tinydl.tensor(weight.astype("f")))
        assert got.dtype == np.float16
        assert got.item() == np.float16(wide.item())
    assert F.mse_loss(tinydl.tensor(x), tinydl.tensor(x[::-1].copy())).dtype == np.float16
