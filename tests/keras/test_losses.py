"""Keras's losses against its formulas in float64, their gradients, reductions, weights and names."""

import numpy as np
import pytest

import tinydl
from tests.support.compare import assert_close
from tinydl import keras
from tinydl.autograd import gradcheck
from tinydl.keras import losses

EPS = 1e-7


def clip(x, low=EPS, high=1 - EPS):
    return np.clip(x, low, high)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def softmax(z):
    return np.exp(z) / np.exp(z).sum(-1, keepdims=True)


def bce(t, p):
    return -(t * np.log(clip(p)) + (1 - t) * np.log(1 - clip(p)))


def huber(t, y, d):
    e = np.abs(t - y)
    return np.where(e <= d, e * e / 2, d * e - d * d / 2).mean(-1)


def cosine(t, y):
    return -(t * y).sum(-1) / np.sqrt((t * t).sum(-1)) / np.sqrt((y * y).sum(-1))


def crossentropy(t, p, smoothing=0.0):
    t = t * (1 - smoothing) + smoothing / t.shape[-1]
    return -(t * np.log(clip(p / p.sum(-1, keepdims=True)))).sum(-1)


def focal(t, p, gamma, alpha=None):
    q = t * p + (1 - t) * (1 - p)
    weight = 1 if alpha is None else t * alpha + (1 - t) * (1 - alpha)
    return (weight * (1 - q) ** gamma * bce(t, p)).mean(-1)


# (loss, options, formula of targets t and outputs y, kinds of targets and outputs)
CASES = [
    ("MeanSquaredError", {}, lambda t, y: ((t - y) ** 2).mean(-1), "number", "number"),
    ("MeanAbsoluteError", {}, lambda t, y: np.abs(t - y).mean(-1), "number", "number"),
    ("MeanAbsolutePercentageError", {}, lambda t, y: 100 * (np.abs(t - y) / np.abs(t)).mean(-1), "positive", "number"),
    (
        "MeanSquaredLogarithmicError",
        {},
        lambda t, y: ((np.log1p(t) - np.log1p(y)) ** 2).mean(-1),
        "positive",
        "positive",
    ),
    ("Huber", {}, lambda t, y: huber(t, y, 1.0), "number", "number"),
    ("Huber", {"delta": 0.5}, lambda t, y: huber(t, y, 0.5), "number", "number"),
    ("LogCosh", {}, lambda t, y: np.log(np.cosh(y - t)).mean(-1), "number", "number"),
    ("KLDivergence", {}, lambda t, y: (t * np.log(t / y)).sum(-1), "share", "share"),
    ("Poisson", {}, lambda t, y: (y - t * np.log(y + EPS)).mean(-1), "positive", "positive"),
    ("CosineSimilarity", {}, cosine, "number", "number"),
    ("Hinge", {}, lambda t, y: np.maximum(1 - (2 * t - 1) * y, 0).mean(-1), "binary", "number"),
    ("Hinge", {}, lambda t, y: np.maximum(1 - t * y, 0).mean(-1), "sign", "number"),
    ("SquaredHinge", {}, lambda t, y: (np.maximum(1 - t * y, 0) ** 2).mean(-1), "sign", "number"),
    (
        "CategoricalHinge",
        {},
        lambda t, y: np.maximum(((1 - t) * y).max(-1) - (t * y).sum(-1) + 1, 0),
        "one_hot",
        "number",
    ),
    ("BinaryCrossentropy", {}, lambda t, y: bce(t, y).mean(-1), "binary", "share"),
    ("BinaryCrossentropy", {"from_logits": True}, lambda t, y: bce(t, sigmoid(y)).mean(-1), "share", "number"),
    (
        "BinaryCrossentropy",
        {"from_logits": True, "label_smoothing": 0.2},
        lambda t, y: bce(0.8 * t + 0.1, sigmoid(y)).mean(-1),
        "binary",
        "number",
    ),
    ("BinaryFocalCrossentropy", {}, lambda t, y: focal(t, y, 2.0), "binary", "share"),
    (
        "BinaryFocalCrossentropy",
        {"from_logits": True, "gamma": 3.0, "apply_class_balancing": True, "alpha": 0.3},
        lambda t, y: focal(t, sigmoid(y), 3.0, 0.3),
        "binary",
        "number",
    ),
    ("CategoricalCrossentropy", {}, crossentropy, "one_hot", "positive"),
    ("CategoricalCrossentropy", {"label_smoothing": 0.1}, lambda t, y: crossentropy(t, y, 0.1), "one_hot", "share"),
    (
        "CategoricalCrossentropy",
        {"from_logits": True, "label_smoothing": 0.1},
        lambda t, y: -((0.9 * t + 0.1 / t.shape[-1]) * np.log(softmax(y))).sum(-1),
        "share",
        "number",
    ),
    (
        "CategoricalFocalCrossentropy",
        {"from_logits": True},
        lambda t, y: 0.25 * (-t * np.log(softmax(y)) * (1 - softmax(y)) ** 2).sum(-1),
        "one_hot",
        "number",
    ),
]
IDS = [f"{name}-{'-'.join(map(str, options))}" for name, options, *_ in CASES]
SHAPES = [(4, 5), (1, 1), (3, 2, 4)]


def draw(rng, kind, shape):
    if kind == "number":
        return rng.standard_normal(shape)
    if kind == "positive":
        return rng.uniform(0.1, 3, shape)
    if kind == "share":
        return rng.uniform(0.05, 0.95, shape)
    if kind == "one_hot":
        return np.eye(shape[-1])[rng.integers(0, shape[-1], shape[:-1])]
    return rng.choice([0.0, 1.0] if kind == "binary" else [-1.0, 1.0], shape)


def reduced(values, reduction, weight=None):
    total = values if weight is None else values * weight
    if reduction in ("none", None):
        return total
    if reduction == "mean_with_sample_weight":
        return total.sum() / (values.size if weight is None else np.broadcast_to(weight, values.shape).sum())
    return total.sum() if reduction == "sum" else total.sum() / values.size


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("name", "options", "formula", "of_t", "of_y"), CASES, ids=IDS)
def test_formulas(name, options, formula, of_t, of_y, shape, rng):
    t, y = draw(rng, of_t, shape), draw(rng, of_y, shape)
    if of_t == "sign":
        t.flat[0] = -1  # so that they are not taken for 0 and 1
    values, weight = formula(t, y), rng.random(shape[:-1])
    size = np.abs(values).max() + 10
    for reduction in ("sum_over_batch_size", "mean", "mean_with_sample_weight", "sum", "none", None):
        loss = getattr(losses, name)(reduction=reduction, **options)
        for w in (None, weight):
            assert_close(loss(t, y, w), np.asarray(reduced(values, reduction, w)), "gradient", scale=size * values.size)
        narrow = loss(t.astype("f"), y.astype("f"))
        assert narrow.dtype == np.float32
        assert_close(narrow, np.asarray(reduced(values, reduction)), "gradient", scale=size * values.size)
    leaf = tinydl.Tensor(y, requires_grad=True)
    assert gradcheck(lambda v: getattr(losses, name)(reduction="none", **options)(t, v), leaf)
    assert gradcheck(lambda v: getattr(losses, name)(**options)(t, v), leaf)


@pytest.mark.parametrize("from_logits", [False, True])
@pytest.mark.parametrize("ignore_class", [None, 2, -1])
@pytest.mark.parametrize("outer", [(7,), (3, 4)])
def test_sparse(from_logits, ignore_class, outer, rng):
    y = draw(rng, "number" if from_logits else "share", (*outer, 5))
    labels = rng.integers(0, 5, outer)
    if ignore_class is not None:
        labels.flat[0] = ignore_class
    kept = labels != ignore_class
    values = crossentropy(np.eye(5)[np.where(kept, labels, 0)], softmax(y) if from_logits else y) * kept
    weight = rng.random(outer)
    options = {"from_logits": from_logits, "ignore_class": ignore_class}
    for given in (labels, labels[..., None], labels.astype("f")):
        loss = losses.SparseCategoricalCrossentropy(**options)
        assert_close(loss(given, y), np.asarray(values.sum() / kept.sum()), "gradient", length=5)
        assert_close(loss(given, y, weight), np.asarray((values * weight).sum() / kept.sum()), "gradient", length=5)
        none = losses.SparseCategoricalCrossentropy(**options, reduction=None)
        assert_close(none(given, y), values, "gradient", length=5, scale=values + 1)
        assert_close(losses.sparse_categorical_crossentropy(given, y, **options), values, "gradient", scale=values + 1)
    leaf = tinydl.Tensor(y, requires_grad=True)
    assert gradcheck(lambda v: losses.SparseCategoricalCrossentropy(**options)(labels, v), leaf)


def test_axis(rng):
    t, y = draw(rng, "one_hot", (4, 3, 5)), draw(rng, "share", (4, 3, 5))
    moved_t, moved_y = np.moveaxis(t, -1, 1), np.moveaxis(y, -1, 1)
    for from_logits in (False, True):
        wanted = losses.categorical_crossentropy(t, y, from_logits).numpy()
        got = losses.categorical_crossentropy(moved_t, moved_y, from_logits, axis=1)
        assert_close(got, wanted, "loss")
        got = losses.sparse_categorical_crossentropy(t.argmax(-1), moved_y, from_logits, axis=1)
        assert_close(got, wanted, "loss")
    assert_close(losses.cosine_similarity(moved_t, moved_y, axis=1), cosine(t, y), "loss")


def test_clipped_probabilities_get_no_gradient():
    p = tinydl.tensor(np.array([[1.0, 0.0], [0.5, 0.5]]), requires_grad=True)
    losses.sparse_categorical_crossentropy([1, 1], p).sum().backward()
    assert p.grad.tolist() == [[0, 0], [1, -1]]


def test_extremes_are_finite():
    for t, p in ((1.0, 0.0), (0.0, 1.0)):
        assert np.isfinite(losses.binary_crossentropy([[t]], [[p]]).item())
        assert losses.binary_crossentropy([[t]], [[1e4 * (p - 0.5)]], from_logits=True).item() == 5000
    assert losses.log_cosh([[0.0]], [[1000.0]]).item() == np.float32(1000 - np.log(2))
    assert losses.cosine_similarity([[0.0, 0.0]], [[1.0, 2.0]]).item() == 0


def test_a_last_axis_of_size_one_is_ignored():
    y, t = np.array([[1.0], [2.0]]), np.array([1.0, 4.0])
    assert losses.MeanSquaredError()(t, y).item() == losses.MeanSquaredError()(y, t).item() == 2
    assert losses.BinaryCrossentropy(from_logits=True, reduction=None)(np.array([1, 0]), y).shape == (2,)


NAMES = {
    "mse": "MeanSquaredError",
    "MAE": "MeanAbsoluteError",
    "mape": "MeanAbsolutePercentageError",
    "msle": "MeanSquaredLogarithmicError",
    "kld": "KLDivergence",
    "BCE": "BinaryCrossentropy",
    "huber": "Huber",
    "logcosh": "LogCosh",
    "LogCosh": "LogCosh",
    "squared_hinge": "SquaredHinge",
}


@pytest.mark.parametrize("name", NAMES)
def test_names(name):
    assert type(losses.get(name)) is getattr(losses, NAMES[name])
    assert losses.get(losses.mean_absolute_error).name == "mean_absolute_error"
    assert losses.Huber().name == "huber_loss"
    assert losses.Huber(name="mine").name == "mine"


@pytest.mark.parametrize("name", ["mae", "huber", "bce", "log_cosh", "hinge"])
def test_models_train_on_them(name, rng):
    x = rng.standard_normal((64, 3)).astype("f")
    y = (x.sum(1) > 0).astype("f")
    tinydl.manual_seed(0)
    model = keras.Sequential([keras.layers.Input(shape=(3,)), keras.layers.Dense(1, activation="sigmoid")])
    model.compile("adam", name)
    history = model.fit(x, y, epochs=20, verbose=0).history["loss"]
    assert history[-1] < history[0]


def test_a_loss_class_of_the_user(rng):
    class Cubed(losses.Loss):
        def call(self, y_true, y_pred):
            return ((y_true - y_pred) ** 3).mean(-1)

    t, y = rng.random((4, 3)), rng.random((4, 3))
    assert_close(Cubed()(t, y), np.asarray(((t - y) ** 3).mean()), "gradient", scale=1)
    assert_close(Cubed(reduction="sum")(t, y), np.asarray(((t - y) ** 3).mean(-1).sum()), "gradient", scale=4)


def test_wrong_calls():
    with pytest.raises(ValueError, match="Huber: got reduction='avg', wanted one of 'sum_over_batch_size'"):
        losses.Huber(reduction="avg")
    with pytest.raises(ValueError, match=r"label_smoothing=2, wanted a number in \[0, 1\]"):
        losses.CategoricalCrossentropy(label_smoothing=2)
    with pytest.raises(ValueError, match=r"targets of shape \(2, 3\) do not fit outputs of shape \(2, 4\)"):
        losses.MeanAbsoluteError()(np.ones((2, 3)), np.ones((2, 4)))
    with pytest.raises(ValueError, match="wanted one-hot targets"):
        losses.CategoricalCrossentropy()(np.ones(2), np.ones((2, 4)))
    with pytest.raises(ValueError, match="wanted class indices of shape"):
        losses.SparseCategoricalCrossentropy()(np.ones((2, 4)), np.ones((2, 4)))
    with pytest.raises(ValueError, match="must be class indices, got fractions"):
        losses.SparseCategoricalCrossentropy()(np.full(2, 0.5), np.ones((2, 4)))
    for from_logits in (False, True):
        with pytest.raises(IndexError, match="label -100 at row 1 is out of range for 4 classes"):
            losses.SparseCategoricalCrossentropy(from_logits)(np.array([0, -100]), np.ones((2, 4)))
    with pytest.raises(NotImplementedError, match="Loss does not define call"):
        losses.Loss()(np.ones(2), np.ones(2))
