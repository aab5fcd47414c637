"""What a run is saved with, and how it goes on."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from .. import random
from . import checkpoint
from .callbacks import Callback, History
from .data import length
from .metrics import Scores
from .precision import Precision


class Resumable:
    """A `Trainer`, as far as its checkpoints go."""

    model: Any
    optimizer: Any
    precision: Precision
    scores: Scores
    history: History
    resumed: bool
    _callbacks: list[Callback]
    _loader: Any

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write all that the run needs to go on to a file, atomically; see `fit(resume=...)` and `load`."""
        checkpoint.save(path, self.state_dict())

    def load(self, path: str | os.PathLike[str]) -> None:
        """Give the model, and the optimiser if there is one, what they had when `path` was saved.

        ValueError where the file is damaged or does not fit; then nothing is changed.
        """
        state = checkpoint.load(path)
        with self._unchanged_on_error(path):
            self._load_model(state)

    def state_dict(self) -> dict[str, Any]:
        """The state of model, optimiser, random generator, loader, metrics, callbacks and the run itself."""
        return {
            "model": self.model.state_dict(),
            "optimizer": None if self.optimizer is None else self.optimizer.state_dict(),
            "optimizer_class": type(self.optimizer).__name__,
            "precision": self.precision.name,
            "scaler": self.precision.scaler.state_dict(),
            "generator": random.default_generator.state(),
            "streams": {name: stream.state() for name, stream in _streams(self.model).items()},
            "loader": self._loader.state_dict() if hasattr(self._loader, "state_dict") else None,
            "steps": length(self._loader),
            "progress": {name: getattr(self, name) for name in _PROGRESS},
            "history": {"epoch": self.history.epoch, "history": self.history.history},
            "metrics": [metric.state_dict() for metric in self.scores],
            "callbacks": [{"class": type(c).__name__, "state": state} for c, state in self._remembered()],
        }

    def _remembered(self) -> list[tuple[Callback, dict[str, Any]]]:
        """The callbacks that remember something, and what."""
        return [(c, state) for c in self._callbacks if (state := c.state_dict())]

    def _resume(self, path: str | os.PathLike[str]) -> None:
        state = checkpoint.load(path)
        with self._unchanged_on_error(path):
            self._load_model(state)
            self._load_run(state)
        self.resumed = True

    def _load_model(self, state: Mapping[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        if self.optimizer is None or state["optimizer"] is None:
            return
        if state["optimizer_class"] != type(self.optimizer).__name__:
            raise ValueError(f"its optimizer is {state['optimizer_class']}, wanted {type(self.optimizer).__name__}")
        self.optimizer.load_state_dict(state["optimizer"])

    def _load_run(self, state: Mapping[str, Any]) -> None:
        metrics, callbacks = list(self.scores), [c for c, _ in self._remembered()]
        _same("metrics", len(state["metrics"]), len(metrics))
        _same("callbacks", [c["class"] for c in state["callbacks"]], [type(c).__name__ for c in callbacks])
        _same("batches an epoch", state["steps"], length(self._loader))
        _same("precision", state.get("precision", "float32"), self.precision.name)
        self.precision.scaler.load_state_dict(state.get("scaler", {}))
        progress = state["progress"]
        history, epochs = state["history"]["history"], state["history"]["epoch"]
        if state["loader"] is not None and hasattr(self._loader, "load_state_dict"):
            self._loader.load_state_dict(state["loader"])
        elif progress["batch"]:
            raise ValueError("it was saved within an epoch, which needs a loader with load_state_dict")
        for metric, saved in zip(metrics, state["metrics"], strict=True):
            metric.load_state_dict(saved)
        for callback, saved in zip(callbacks, state["callbacks"], strict=True):
            callback.load_state_dict(saved["state"])
        random.default_generator.set_state(state["generator"])
        streams = _streams(self.model)
        for name, place in state.get("streams", {}).items():
            streams[name].set_state(place)
        for name in _PROGRESS:
            setattr(self, name, progress[name])
        self.history.history, self.history.epoch = history, epochs

    @contextmanager
    def _unchanged_on_error(self, path: str | os.PathLike[str]) -> Iterator[None]:
        """Undo what was loaded where a part of a checkpoint does not fit, and say which file it is."""
        callbacks = [callback for callback, _ in self._remembered()]
        all_parts = (self.model, self.optimizer, self.precision.scaler, *self.scores, *callbacks)
        parts = [p for p in all_parts if p is not None]
        before = [checkpoint.copied(part.state_dict()) for part in parts]
        generator = random.default_generator.state()
        try:
            yield
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            for part, state in zip(parts, before, strict=True):
                part.load_state_dict(state)
            random.default_generator.set_state(generator)
            what = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
            raise ValueError(f"{os.fspath(path)}: the checkpoint does not fit this run: {what}") from error


_PROGRESS = ("epoch", "batch", "step", "samples", "stop_training")


def _streams(model: Any) -> dict[str, random.Generator]:
    """The random generators that parts of a model have for themselves, by name."""
    return model.generators() if hasattr(model, "generators") else {}


def _same(what: str, saved: Any, ours: Any) -> None:
    if saved != ours:
        raise ValueError(f"its run has {what}: {saved}, this one: {ours}")
