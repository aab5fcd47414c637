"""Metrics against scikit-learn's and against formulas, over several batches."""

import numpy as np
import pytest

import tinydl
from tests.support.compare import assert_close
from tinydl.keras import Sequential, layers, metrics

sklearn = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed (extra: data)")


def binary(rng, shape=(60,)):
    """Targets 0 and 1, and outputs from 0 to 1 that tell something about them."""
    true = rng.integers(0, 2, shape)
    return true, np.clip(0.3 * true + 0.7 * rng.random(shape), 0, 1).astype(np.float32)


def fed(metric, *arrays, weight=None):
    """The metric after two batches of different sizes."""
    at = len(arrays[0]) // 3
    for part in (slice(None, at), slice(at, None)):
        metric.update_state(*[a[part] for a in arrays], sample_weight=None if weight is None else weight[part])
    return metric


@pytest.mark.parametrize("weighted", [False, True])
def test_counts(rng, weighted):
    true, pred = binary(rng)
    weight = rng.random(60) if weighted else None
    tn, fp, fn, tp = sklearn.confusion_matrix(true, pred > 0.5, sample_weight=weight).ravel()
    pairs = (
        (metrics.TruePositives(), tp),
        (metrics.FalsePositives(), fp),
        (metrics.TrueNegatives(), tn),
        (metrics.FalseNegatives(), fn),
        (metrics.Precision(), sklearn.precision_score(true, pred > 0.5, sample_weight=weight)),
        (metrics.Recall(), sklearn.recall_score(true, pred > 0.5, sample_weight=weight)),
    )
    for metric, wanted in pairs:
        assert_close(np.float64(fed(metric, true, pred, weight=weight).result()), np.float64(wanted), "loss")


def test_thresholds_top_k_and_class(rng):
    true, pred = binary(rng, (40, 5))
    several = fed(metrics.Precision([0.3, 0.6]), true, pred).result()
    assert_close(
        several, np.array([sklearn.precision_score(true.ravel(), pred.ravel() > t) for t in (0.3, 0.6)]), "loss"
    )
    one = fed(metrics.Recall(class_id=2), true, pred).result()
    assert one == sklearn.recall_score(true[:, 2], pred[:, 2] > 0.5)
    largest = np.argsort(-pred, -1)[:, :2]
    chosen = np.zeros_like(true)
    np.put_along_axis(chosen, largest, 1, -1)
    assert fed(metrics.Precision(top_k=2), true, pred).result() == (chosen & true).sum() / chosen.sum()


@pytest.mark.parametrize("curve", ["ROC", "PR"])
def test_area_under_the_curve(rng, curve):
    true, pred = binary(rng, (400,))
    pred = np.round(pred, 2)  # on the grid of thresholds: the curve is exact
    found = fed(metrics.AUC(20001, curve), true, pred).result()
    if curve == "ROC":
        assert found == pytest.approx(sklearn.roc_auc_score(true, pred), rel=1e-12)
    else:
        low, high = (fed(metrics.AUC(20001, curve, s), true, pred).result() for s in ("minoring", "majoring"))
        assert low < found < high
        precision, recall, _ = sklearn.precision_recall_curve(true, pred)
        assert low < sklearn.auc(recall, precision) < high
    logits = np.log(np.clip(pred, 1e-6, 1 - 1e-6) / (1 - np.clip(pred, 1e-6, 1 - 1e-6)))
    again = fed(metrics.AUC(20001, curve, from_logits=True), true, logits).result()
    assert again == pytest.approx(found, rel=1e-3)


@pytest.mark.parametrize("average", [None, "micro", "macro", "weighted"])
def test_f1(rng, average):
    labels, outputs = rng.integers(0, 4, 80), rng.random((80, 4))
    wanted = sklearn.f1_score(labels, outputs.argmax(1), average=average)
    assert_close(np.float64(fed(metrics.F1Score(average), np.eye(4)[labels], outputs).result()), wanted, "loss")


def test_top_k(rng):
    labels, outputs = rng.integers(0, 9, 80), rng.random((80, 9))
    wanted = sklearn.top_k_accuracy_score(labels, outputs, k=3, labels=np.arange(9))
    assert fed(metrics.SparseTopKCategoricalAccuracy(3), labels, outputs).result() == wanted
    assert fed(metrics.TopKCategoricalAccuracy(3), np.eye(9)[labels], outputs).result() == wanted


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("mse", sklearn.mean_squared_error),
        ("mae", sklearn.mean_absolute_error),
        ("root_mean_squared_error", lambda t, y, **w: sklearn.mean_squared_error(t, y, **w) ** 0.5),
        ("mape", lambda t, y, **w: 100 * sklearn.mean_absolute_percentage_error(t, y, **w)),
        ("msle", sklearn.mean_squared_log_error),
        ("logcosh", lambda t, y, sample_weight: np.average(np.log(np.cosh(y - t)).mean(1), weights=sample_weight)),
        ("r2_score", sklearn.r2_score),
        (
            "cosine_similarity",
            lambda t, y, sample_weight: np.average(
                (t * y).sum(1) / np.linalg.norm(t, axis=1) / np.linalg.norm(y, axis=1), weights=sample_weight
            ),
        ),
    ],
)
@pytest.mark.parametrize("weighted", [False, True])
def test_regression(rng, name, wanted, weighted):
    true, pred = rng.uniform(0.5, 2, (2, 50, 3))
    weight = rng.random(50) if weighted else None
    found = fed(metrics.get(name), true, pred, weight=weight).result()
    assert_close(np.float64(found), np.float64(wanted(true, pred, sample_weight=weight)), "loss", length=50)


def test_crossentropies(rng):
    labels = rng.integers(0, 4, 50)
    logits = rng.standard_normal((50, 4))
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    wanted = np.float64(sklearn.log_loss(labels, p))
    for metric, true, output in (
        (metrics.SparseCategoricalCrossentropy(), labels, p),
        (metrics.SparseCategoricalCrossentropy(from_logits=True), labels, logits),
        (metrics.CategoricalCrossentropy(), np.eye(4)[labels], p),
        (metrics.CategoricalCrossentropy(from_logits=True), np.eye(4)[labels], logits),
    ):
        assert_close(np.float64(fed(metric, true, output).result()), wanted, "loss", length=50)
    true, pred = binary(rng)
    pred = np.clip(pred, 0.01, 0.99)
    found = np.float64(fed(metrics.BinaryCrossentropy(), true, pred).result())
    assert_close(found, np.float64(sklearn.log_loss(true, pred.astype(np.float64))), "loss", length=60)
    smooth = np.float64(fed(metrics.BinaryCrossentropy(label_smoothing=0.2), true, pred).result())
    t, q = 0.8 * true + 0.1, pred.astype(np.float64)
    assert_close(smooth, np.float64(-(t * np.log(q) + (1 - t) * np.log(1 - q)).mean()), "loss", length=60)
    target = np.full((50, 4), 0.25)
    found = np.float64(fed(metrics.KLDivergence(), target, p).result())
    assert_close(found, np.float64((target * np.log(target / p)).sum(1).mean()), "loss", length=50)


def test_hinge():
    metric = metrics.Hinge()
    assert metric([[0, 1]], [[0.5, 0.25]]) == pytest.approx((1.5 + 0.75) / 2)
    assert metrics.SquaredHinge()([[-1, 1]], [[0.5, 0.25]]) == pytest.approx((1.5**2 + 0.75**2) / 2)


def test_means_and_functions():
    mean = metrics.Mean()
    mean.update_state([1, 3])
    mean.update_state(5, sample_weight=2)
    assert mean.result() == 3.5
    assert metrics.Sum()([1, 2], [3, 4]) == 11
    mean.reset_state()
    assert mean.result() == 0

    def largest(y_true, y_pred):
        return np.abs(y_true - y_pred).max(-1)

    metric = metrics.get(largest)
    assert metric.name == "largest"
    assert metric([[1, 2]], [[1, 5]]) == 3
    assert metrics.get("MeanSquaredError").name == "mean_squared_error"
    assert metrics.get("mse").name == "mse"


def test_state_goes_on(rng):
    true, pred = binary(rng)
    for make in (metrics.AUC, metrics.Precision, metrics.MeanSquaredError):
        metric, other = make(), make()
        metric.update_state(true[:20], pred[:20])
        other.load_state_dict(metric.state_dict())
        metric.update_state(true[20:], pred[20:])
        other.update_state(true[20:], pred[20:])
        assert other.result() == metric.result()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.Precision(1.5), "Precision: got thresholds=1.5, wanted numbers from 0 to 1"),
        (lambda: metrics.AUC(curve="DET"), "AUC: got curve='DET'"),
        (lambda: metrics.AUC(1), "num_thresholds=1, wanted at least 2"),
        (lambda: metrics.F1Score("mean"), "F1Score: got average='mean'"),
        (lambda: metrics.Recall()([0, 1], [0.5, 2.0]), "outputs must lie between 0 and 1, got 0.5 to 2.0"),
        (
            lambda: metrics.Recall()([0, 1], [[0.5, 0.1]]),
            r"outputs of shape \(1, 2\) do not fit targets of shape \(2,\)",
        ),
        (lambda: metrics.R2Score("sum"), "R2Score: got class_aggregation='sum'"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_metrics_get_probabilities_where_the_loss_gets_logits(rng):
    """A model that ends in a softmax trains on logits; what is measured are its outputs."""
    tinydl.manual_seed(0)
    x, labels = rng.standard_normal((40, 6)).astype(np.float32), rng.integers(0, 3, 40)
    model = Sequential([layers.Dense(3, activation="softmax", input_shape=(6,))])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy", "sparse_categorical_crossentropy"])
    values = model.evaluate(x, labels, verbose=0, return_dict=True)
    assert list(values) == ["loss", "accuracy", "sparse_categorical_crossentropy"]
    assert values["sparse_categorical_crossentropy"] == pytest.approx(values["loss"], rel=1e-6)
    model.fit(x, labels, verbose=0)
