"""Metrics, by name or as objects: `update_state(y_true, y_pred, sample_weight)`, `result()`, `reset_state()`.

All are computed in float64 from sums over the batches, exact also where the last batch is smaller.

>>> metric = Precision()
>>> metric.update_state([0, 1, 1, 1], [1, 0, 1, 1])
>>> round(metric.result(), 4)
0.6667
"""

from __future__ import annotations

from typing import Any

from ...train import metrics as train
from ...train.metrics import Accuracy
from ..lookup import find
from .base import Mean, MeanMetricWrapper, Metric, Sum
from .classification import (
    BinaryAccuracy,
    BinaryCrossentropy,
    CategoricalAccuracy,
    CategoricalCrossentropy,
    Hinge,
    KLDivergence,
    SparseCategoricalAccuracy,
    SparseCategoricalCrossentropy,
    SparseTopKCategoricalAccuracy,
    SquaredHinge,
    TopKCategoricalAccuracy,
)
from .confusion import (
    AUC,
    F1Score,
    FalseNegatives,
    FalsePositives,
    Precision,
    Recall,
    TrueNegatives,
    TruePositives,
)
from .regression import (
    CosineSimilarity,
    LogCoshError,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    R2Score,
    RootMeanSquaredError,
)

__all__ = [
    "AUC",
    "Accuracy",
    "BinaryAccuracy",
    "BinaryCrossentropy",
    "CategoricalAccuracy",
    "CategoricalCrossentropy",
    "CosineSimilarity",
    "F1Score",
    "FalseNegatives",
    "FalsePositives",
    "Hinge",
    "KLDivergence",
    "LogCoshError",
    "Mean",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanMetricWrapper",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Metric",
    "Precision",
    "R2Score",
    "Recall",
    "RootMeanSquaredError",
    "SparseCategoricalAccuracy",
    "SparseCategoricalCrossentropy",
    "SparseTopKCategoricalAccuracy",
    "SquaredHinge",
    "Sum",
    "TopKCategoricalAccuracy",
    "TrueNegatives",
    "TruePositives",
    "get",
]

# A metric that is asked for by one of these names has it in the logs.
KNOWN: dict[str, type[Any]] = {
    "accuracy": Accuracy,
    "acc": Accuracy,
    "auc": AUC,
    "binary_accuracy": BinaryAccuracy,
    "binary_crossentropy": BinaryCrossentropy,
    "categorical_accuracy": CategoricalAccuracy,
    "categorical_crossentropy": CategoricalCrossentropy,
    "cosine_similarity": CosineSimilarity,
    "f1_score": F1Score,
    "hinge": Hinge,
    "kl_divergence": KLDivergence,
    "logcosh": LogCoshError,
    "mae": MeanAbsoluteError,
    "mean_absolute_error": MeanAbsoluteError,
    "mape": MeanAbsolutePercentageError,
    "mean_absolute_percentage_error": MeanAbsolutePercentageError,
    "mse": MeanSquaredError,
    "mean_squared_error": MeanSquaredError,
    "msle": MeanSquaredLogarithmicError,
    "mean_squared_logarithmic_error": MeanSquaredLogarithmicError,
    "precision": Precision,
    "r2_score": R2Score,
    "recall": Recall,
    "root_mean_squared_error": RootMeanSquaredError,
    "sparse_categorical_accuracy": SparseCategoricalAccuracy,
    "sparse_categorical_crossentropy": SparseCategoricalCrossentropy,
    "sparse_top_k_categorical_accuracy": SparseTopKCategoricalAccuracy,
    "squared_hinge": SquaredHinge,
    "top_k_categorical_accuracy": TopKCategoricalAccuracy,
}


def get(identifier: Any) -> train.Metric:
    """The metric of a name, of a class, of a function of (y_true, y_pred), or an object as it is.

    "accuracy" chooses its meaning by the shapes, as in Keras. A class's own name, such as "MeanSquaredError", will do.
    """
    if isinstance(identifier, train.Metric):
        return identifier
    if isinstance(identifier, type) and issubclass(identifier, train.Metric):
        return identifier()  # type: ignore[call-arg]
    if callable(identifier):
        return MeanMetricWrapper(identifier)
    if isinstance(identifier, str) and identifier not in KNOWN and identifier in __all__ and identifier != "get":
        return globals()[identifier]()  # type: ignore[no-any-return]
    return find("metric", identifier, KNOWN)(name=identifier)  # type: ignore[no-any-return]
