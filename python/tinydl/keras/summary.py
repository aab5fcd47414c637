"""Keras's table of a model's layers."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from .layers.base import Layer, batched

if TYPE_CHECKING:
    from .models import Sequential

_HEADER = ("Layer (type)", "Output Shape", "Param #")
_FLOAT_BYTES = 4


def summary(model: Sequential, line_length: int | None = None) -> str:
    """The table and the totals, without a newline at the end."""
    length = line_length or min(88, shutil.get_terminal_size().columns - 4)
    widths = _column_widths(length)
    rows = [(f"{layer.name} ({type(layer).__name__})", _shape(layer), _count(layer)) for layer in model.layers]
    return "\n".join([f'Model: "{model.name}"', *_table(rows, widths), *_totals(model)])


def _column_widths(length: int) -> tuple[int, int, int]:
    """45, 35 and 20 % of the line, within which the borders find their place."""
    first, second = int(0.45 * length), int(0.8 * length)
    widths = first - 1, second - first - 2, length - second - 1
    if min(widths) < 6:
        raise ValueError(f"summary: a line of {length} characters is too short")
    return widths


def _shape(layer: Layer) -> str:
    return f"({', '.join(str(n) for n in batched(layer.output_shape))})" if layer.built else "?"


def _count(layer: Layer) -> str:
    return f"{layer.count_params():,}" if layer.built else "0 (unbuilt)"


def _table(rows: Sequence[Sequence[str]], widths: Sequence[int]) -> Iterator[str]:
    yield _rule("┏┳┓", "━", widths)
    yield from _lines(_HEADER, widths, "┃")
    yield _rule("┡╇┩", "━", widths)
    for number, row in enumerate(rows):
        if number:
            yield _rule("├┼┤", "─", widths)
        yield from _lines(row, widths, "│")
    yield _rule("└┴┘", "─", widths)


def _rule(corners: str, line: str, widths: Sequence[int]) -> str:
    return corners[0] + corners[1].join(line * width for width in widths) + corners[2]


def _lines(cells: Sequence[str], widths: Sequence[int], border: str) -> Iterator[str]:
    """One row: its cells wrapped to their columns, the last one aligned to the right."""
    wrapped = [textwrap.wrap(cell, width - 2) for cell, width in zip(cells, widths, strict=True)]
    for number in range(max(len(lines) for lines in wrapped)):
        texts = [lines[number] if number < len(lines) else "" for lines in wrapped]
        name, shape, count = (text.ljust(width - 2) for text, width in zip(texts, widths, strict=True))
        yield f"{border} {name} {border} {shape} {border} {count.strip().rjust(widths[2] - 2)} {border}"


def _totals(model: Sequential) -> Iterator[str]:
    trained = sum(w.numel() for layer in model.layers for w in layer.trainable_weights)
    fixed = model.count_params() - trained if model.built else 0
    kept = model.optimizer.count_params() if model.optimizer is not None and model.optimizer.bound else 0
    yield f" Total params: {_total(trained + fixed + kept)}"
    yield f" Trainable params: {_total(trained)}"
    yield f" Non-trainable params: {_total(fixed)}"
    if kept:
        yield f" Optimizer params: {_total(kept)}"


def _total(count: int) -> str:
    size, units = float(count * _FLOAT_BYTES), ["B", "KB", "MB", "GB", "TB"]
    while size >= 1024 and len(units) > 1:
        size /= 1024
        units.pop(0)
    return f"{count:,} ({size:.2f} {units[0]})"
