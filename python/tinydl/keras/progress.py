"""Keras's progress lines."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping

from ..train.callbacks import Callback

_WIDTH = 20
_INTERVAL = 0.05  # seconds between two drawings
Logs = Mapping[str, float]


def seconds_a_step(value: float) -> str:
    """`7ms/step`, in the unit that fits."""
    if value >= 1 or value == 0:
        return f"{value:.0f}s/step"
    return f"{value * 1e3:.0f}ms/step" if value >= 1e-3 else f"{value * 1e6:.0f}us/step"


def metrics_text(logs: Logs) -> str:
    """` - accuracy: 0.9556 - loss: 0.1436`: in alphabetical order, those of the validation data last."""
    names = sorted(logs, key=lambda name: (name.startswith("val_"), name))
    return "".join(f" - {name}: {_number(logs[name])}" for name in names)


def _number(value: float) -> str:
    return f"{value:.4f}" if abs(value) > 1e-3 or math.isnan(value) else f"{value:.4e}"


class Progress(Callback):
    """The lines of `fit`, `evaluate` and `predict`.

    With `verbose` 1 a bar that fills up on a terminal, and elsewhere is written once it is full; with 2 no bar.
    """

    def __init__(self, verbose: int) -> None:
        self.verbose = verbose
        self._in_epoch = False
        self._live = verbose == 1 and sys.stdout.isatty()

    # -- What is called ---------------------------------------------------------------------------------------

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        """Say which epoch it is."""
        self._in_epoch = True
        self._write(f"Epoch {epoch + 1}/{self.params['epochs']}\n")
        self._begin(self.trainer.batch)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Move the bar, now and then."""
        self._step(batch + 1, logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Complete the line."""
        self._in_epoch = False
        self._end(logs)

    def on_test_begin(self, logs: object = None) -> None:
        """Start the clock, unless this is the evaluation of an epoch."""
        if not self._in_epoch:
            self._begin(0)

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Move the bar, now and then."""
        if not self._in_epoch:
            self._step(batch + 1, logs)

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Complete the line."""
        if not self._in_epoch:
            self._end(logs)

    def on_predict_begin(self, logs: object = None) -> None:
        """Start the clock."""
        self._begin(0)

    def on_predict_batch_end(self, batch: int, logs: object = None) -> None:
        """Move the bar, now and then."""
        self._step(batch + 1, None)

    def on_predict_end(self, logs: object = None) -> None:
        """Complete the line."""
        self._end(None)

    # -- How it looks -----------------------------------------------------------------------------------------

    def _begin(self, done: int) -> None:
        self._start = time.perf_counter()
        self._first = self._done = done
        self._drawn = 0.0

    def _step(self, done: int, logs: Logs | None) -> None:
        self._done = done
        if self._live:
            now = time.perf_counter()
            if now - self._drawn >= _INTERVAL:
                self._drawn = now
                self._write(f"\r\x1b[2K{self._line(logs or {}, False)}")

    def _end(self, logs: Logs | None) -> None:
        start = "\r\x1b[2K" if self._live else ""
        self._write(f"{start}{self._line(logs or {}, True)}\n")

    def _line(self, logs: Logs, complete: bool) -> str:
        elapsed = time.perf_counter() - self._start
        each = elapsed / max(self._done - self._first, 1)
        target = self._done if complete else self.params["steps"]
        count = f"{self._done:>{len(str(target))}}/{target}" if target else f"{self._done:>7}/Unknown"
        if self.verbose == 2:
            return f"{count} - {elapsed:.0f}s - {seconds_a_step(each)}{metrics_text(logs)}"
        remaining = elapsed if complete or not target else each * (target - self._done)
        parts = [count, self._bar(self._done / target)] if target else [count]
        return " ".join([*parts, _clock(remaining), seconds_a_step(each)]) + metrics_text(logs)

    def _bar(self, share: float) -> str:
        full = int(_WIDTH * share)
        if not self._live:
            return "━" * _WIDTH
        return f"\x1b[32m{'━' * full}\x1b[37m{'━' * (_WIDTH - full)}\x1b[0m"

    def _write(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()


def _clock(seconds: float) -> str:
    whole = int(seconds)
    if whole > 3600:
        return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
    return f"{whole // 60}:{whole % 60:02d}" if whole > 60 else f"{seconds:.0f}s"
