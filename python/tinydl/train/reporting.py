"""Callbacks that report how a run goes: to a file, and on the terminal."""

from __future__ import annotations

import csv
import os
import time
from typing import Any

from .callback import Callback, Logs

__all__ = ["CSVLogger", "ProgressBar"]


class CSVLogger(Callback):
    """Write a line for each epoch to a file: its number (from 0) and the logs, by name, under a line with the names.

    A resumed run goes on in the file, after the lines of the epochs before it.

    Args:
        filename: the file.
        separator: what stands between the values.
        append: add to a file that is there, instead of beginning anew.
    """

    def __init__(self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False) -> None:
        self.filename = os.fspath(filename)
        self.separator = separator
        self.append = append
        self._file: Any = None
        self._writer: Any = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Open the file."""
        kept: list[list[str]] = []
        if (self.append or self.trainer.resumed) and os.path.exists(self.filename):
            with open(self.filename, newline="") as file:
                kept = [*csv.reader(file, delimiter=self.separator)]
            if self.trainer.resumed and not self.append:
                kept = kept[:1] + [row for row in kept[1:] if row and int(row[0]) < self.trainer.epoch]
        self._file = open(self.filename, "w", newline="")  # noqa: SIM115 - `close` closes it
        self._writer = csv.writer(self._file, delimiter=self.separator)
        self._writer.writerows(kept)
        self._fields = kept[0][1:] if kept else None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Write the line."""
        logs = logs or {}
        if self._fields is None:
            self._fields = self.fields(logs)
            self._writer.writerow(["epoch", *self._fields])
        self._writer.writerow([epoch, *(logs.get(name, "NA") for name in self._fields)])
        self._file.flush()

    def fields(self, logs: Logs) -> list[str]:
        """The names of the columns after the first."""
        return sorted(logs)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


class ProgressBar(Callback):
    """A line for each epoch with loss, metrics and images a second (tqdm), drawn at most ten times a second.

    Args:
        unit: what is counted.
        units_in_sample: how many of them a sample has.
    """

    interval = 0.1  # seconds

    def __init__(self, unit: str = "images", units_in_sample: int = 1) -> None:
        self.unit = unit
        self.units_in_sample = units_in_sample
        self._bar: Any = None

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Draw an empty bar."""
        from tqdm import tqdm

        samples = self.params["samples"]
        self._bar = tqdm(
            total=None if samples is None else samples * self.units_in_sample,
            initial=self.trainer.samples * self.units_in_sample,
            desc=f"epoch {epoch + 1}/{self.params['epochs']}",
            unit=f" {self.unit}",
            leave=True,
        )
        self._drawn = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Move the bar, if it was not moved just now."""
        now = time.perf_counter()
        if now - self._drawn >= self.interval:
            self._drawn = now
            self._draw(logs)

    def _draw(self, logs: Logs | None) -> None:
        text = ", ".join(f"{name} {value:.4f}" for name, value in (logs or {}).items())
        self._bar.set_postfix_str(text, refresh=False)
        self._bar.update(self.trainer.samples * self.units_in_sample - self._bar.n)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Complete the bar."""
        self._draw(logs)
        self.close()

    def close(self) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            self._bar.close()
            self._bar.fp.flush()  # its last newline, before anything is written elsewhere
            self._bar = None
