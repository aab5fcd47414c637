"""Training: the loop, its metrics and callbacks, and checkpoints from which a run goes on with the same bits."""

from .callbacks import Callback, Checkpoint, CSVLogger, EarlyStopping, History, LRSchedule, ProgressBar
from .metrics import Accuracy, MeanLoss, Metric
from .trainer import Trainer

__all__ = [
    "Accuracy",
    "CSVLogger",
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "History",
    "LRSchedule",
    "MeanLoss",
    "Metric",
    "ProgressBar",
    "Trainer",
]
