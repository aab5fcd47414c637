"""Training: the loop, its metrics and callbacks, and checkpoints from which a run goes on with the same bits."""

from .callbacks import Callback, Checkpoint, EarlyStopping, History, ProgressBar
from .metrics import Accuracy, MeanLoss, Metric
from .trainer import Trainer

__all__ = [
    "Accuracy",
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "History",
    "MeanLoss",
    "Metric",
    "ProgressBar",
    "Trainer",
]
