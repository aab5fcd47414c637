"""Keras's table of a model's layers."""

from __future__ import annotations

import itertools
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from .layers.base import Layer
from .layers.layout import batches_of, is_shape

if TYPE_CHECKING:
    from .model import Model

_HEADER = ("Layer (type)", "Output Shape", "Param #", "Connected to")
_FLOAT_BYTES = 4


def summary(model: Model, line_length: int | None = None) -> str:
    """The table and the totals, without a newline at the end; how the layers are connected unless they are a chain."""
    links = model.links()
    usual, shares = (88, (0.45, 0.8)) if links is None else (108, (0.3, 0.56, 0.74))
    length = line_length or min(usual, shutil.get_terminal_size().columns - 4)
    widths = _column_widths(length, shares)
    rows: list[Sequence[str]] = [
        (f"{layer.name} ({_kind(layer)})", _shape(layer), _count(layer)) for layer in model.layers
    ]
    if links is not None:
        rows = [(*row, ", ".join(links[id(layer)]) or "-") for row, layer in zip(rows, model.layers, strict=True)]
    return "\n".join([f'Model: "{model.name}"', *_table(rows, widths), *_totals(model)])


def _column_widths(length: int, shares: Sequence[float]) -> tuple[int, ...]:
    """The columns end at these shares of the line, within which the borders find their place."""
    ends = [0, *[int(share * length) for share in shares], length]
    widths = [end - start - 1 for start, end in itertools.pairwise(ends)]
    widths[-2] -= 1
    if min(widths) < 6:
        raise ValueError(f"summary: a line of {length} characters is too short")
    return tuple(widths)


def _kind(layer: Layer) -> str:
    kind = type(layer).__name__
    return "Functional" if kind == "Model" else kind


def _shape(layer: Layer) -> str:
    if not layer.built or layer._out is None:
        return "?"
    shape = batches_of(layer._out)
    return _written(shape) if is_shape(shape) else str(shape)


def _written(shape: tuple[int | None, ...]) -> str:
    return f"({', '.join(str(n) for n in shape)})"


def _count(layer: Layer) -> str:
    return f"{layer.count_params():,}" if layer.built else "0 (unbuilt)"


def _table(rows: Sequence[Sequence[str]], widths: Sequence[int]) -> Iterator[str]:
    yield _rule("┏┳┓", "━", widths)
    yield from _lines(_HEADER[: len(widths)], widths, "┃")
    yield _rule("┡╇┩", "━", widths)
    for number, row in enumerate(rows):
        if number:
            yield _rule("├┼┤", "─", widths)
        yield from _lines(row, widths, "│")
    yield _rule("└┴┘", "─", widths)


def _rule(corners: str, line: str, widths: Sequence[int]) -> str:
    return corners[0] + corners[1].join(line * width for width in widths) + corners[2]


def _lines(cells: Sequence[str], widths: Sequence[int], border: str) -> Iterator[str]:
    """One row: its cells wrapped to their columns, the numbers aligned to the right."""
    wrapped = [textwrap.wrap(cell, width - 2) for cell, width in zip(cells, widths, strict=True)]
    for number in range(max(len(lines) for lines in wrapped)):
        texts = [lines[number] if number < len(lines) else "" for lines in wrapped]
        padded = [text.ljust(width - 2) for text, width in zip(texts, widths, strict=True)]
        padded[2] = texts[2].rjust(widths[2] - 2)
        yield f"{border} {f' {border} '.join(padded)} {border}"


def _totals(model: Model) -> Iterator[str]:
    trained = sum(w.numel() for w in model.trainable_weights)
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
