"""Einstein's summation convention, computed as permutations, sums and one (batched) matrix product for each pair.

A label is a letter, or a negative number for an axis behind an ellipsis (-1 the last, as these align on the right).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from math import prod
from string import ascii_lowercase, ascii_uppercase
from typing import Any

import numpy as np

from ..tensor import Tensor
from . import autocast
from .diagonal import diagonal
from .elementwise import mul
from .matmul import check_operands, matmul
from .reduce import sum as sum_over

LETTERS = ascii_uppercase + ascii_lowercase  # the labels in the order of an implicit result

Label = str | int
Labels = list[Label]


def einsum(*args: Any) -> Tensor:
    """The sum of products that an equation describes: einsum(equation, *operands), or einsum(x, [0, 1], ..., [0]).

    In "ij,jk->ik" each operand's axes are named by letters; axes of one name are multiplied element by element, and
    names that the result lacks are summed over. A name that an operand repeats takes the diagonal. "..." stands for
    axes without names, which broadcast. Without "->" the result has the ellipsis's axes, then the names that appear
    once, in alphabetical order. The sublist form names axes by integers below 52, and the ellipsis by `...`.

    Two operands are one (batched) matrix product; more are multiplied pair by pair, in the order that costs least.

    Raises ValueError for equations that do not fit the operands, TypeError where the dtypes differ.

    >>> import tinydl
    >>> tinydl.einsum("ij,kj->ik", tinydl.tensor([[1.0, 2.0]]), tinydl.tensor([[3.0, 4.0]]))
    tensor([[11.]])
    """
    operands, inputs, output = _parse(args)
    if autocast.on:
        operands = list(autocast.inputs("einsum", *operands))
    check_operands("einsum", *operands)
    terms = [_named(t, names) for t, names in zip(operands, inputs, strict=True)]
    result = _result_labels(inputs, [label for _, labels in terms for label in labels], output)
    _check_sizes(terms)
    for first, second in _order(terms, result):
        b, a = terms.pop(second), terms.pop(first)
        left = {label for _, labels in terms for label in labels}
        terms.append(_multiply(*a, *b, keep=left | set(result)))
    tensor, labels = terms[0]
    tensor, labels = _sum_out(tensor, labels, set(result))
    return _arranged(tensor, labels, result)


# -- The equation -------------------------------------------------------------------------------------------------


def _parse(args: tuple[Any, ...]) -> tuple[list[Tensor], list[str], str | None]:
    """The operands, the names of each one's axes, and the result's (None where they are implicit)."""
    if not args or not isinstance(args[0], str):
        return _parse_sublists(args)
    operands = args[1:]
    if len(operands) == 1 and isinstance(operands[0], list | tuple):
        operands = tuple(operands[0])
    inputs, output = _parse_equation(args[0])
    if len(inputs) != len(operands) or not operands:
        raise ValueError(f"einsum: equation {args[0]!r} names {len(inputs)} operands, got {len(operands)}")
    return list(operands), inputs, output


@lru_cache(maxsize=256)
def _parse_equation(equation: str) -> tuple[list[str], str | None]:
    left, arrow, right = equation.replace(" ", "").partition("->")
    inputs = left.split(",")
    for names in (*inputs, right):
        plain = names.replace("...", "", 1)
        if any(letter not in LETTERS for letter in plain):
            raise ValueError(f"einsum: {names!r} in equation {equation!r} is not made of letters and one '...'")
    return inputs, right if arrow else None


def _parse_sublists(args: tuple[Any, ...]) -> tuple[list[Tensor], list[str], str | None]:
    if len(args) < 2:
        raise ValueError("einsum: wanted an equation and operands, or operands each followed by a list of integers")
    pairs = len(args) // 2
    inputs = [_letters(args[2 * k + 1]) for k in range(pairs)]
    return list(args[0 : 2 * pairs : 2]), inputs, _letters(args[-1]) if len(args) % 2 else None


def _letters(sublist: Any) -> str:
    if not isinstance(sublist, list | tuple):
        raise TypeError(f"einsum: got {type(sublist).__name__}, wanted a list of integers or an equation")
    for n in sublist:
        if n is not Ellipsis and not (isinstance(n, int) and 0 <= n < len(LETTERS)):
            raise ValueError(f"einsum: got {n!r} in a list of axes, wanted integers from 0 to 51 or an ellipsis")
    return "".join("..." if n is Ellipsis else LETTERS[n] for n in sublist)


def _named(tensor: Tensor, names: str) -> tuple[Tensor, Labels]:
    """The tensor with a label for each axis, repeated ones taken to the diagonal."""
    before, dots, after = names.partition("...")
    hidden = tensor.ndim - len(before) - len(after)
    if hidden < 0 or (hidden and not dots):
        raise ValueError(f"einsum: {names!r} does not name the axes of an operand of shape {tensor.shape}")
    labels: Labels = [*before, *range(-hidden, 0), *after]
    if len(set(labels)) == len(labels):
        return tensor, labels
    for label, count in Counter(labels).items():
        for _ in range(count - 1):
            a = labels.index(label)
            b = labels.index(label, a + 1)
            if tensor.shape[a] != tensor.shape[b]:
                raise ValueError(f"einsum: axis '{label}' of {names!r} has two sizes in shape {tensor.shape}")
            tensor = diagonal(tensor, 0, a, b)
            labels = [*labels[:a], *labels[a + 1 : b], *labels[b + 1 :], label]
    return tensor, labels


def _result_labels(inputs: Sequence[str], labels: Labels, output: str | None) -> Labels:
    known = set(labels)
    hidden = sorted(label for label in known if isinstance(label, int))
    if output is None:
        counts = Counter("".join(inputs).replace(".", ""))
        return [*hidden, *[letter for letter in LETTERS if counts[letter] == 1]]
    before, dots, after = output.partition("...")
    result: Labels = [*before, *(hidden if dots else []), *after]
    for label, count in Counter(result).items():
        if count > 1 or label not in known:
            problem = "twice" if count > 1 else "but no operand has it"
            raise ValueError(f"einsum: the result '{output}' names axis '{label}' {problem}")
    return result


def _check_sizes(terms: Sequence[tuple[Tensor, Labels]]) -> None:
    """ValueError unless the axes of one label have one size, or 1."""
    sizes: dict[Label, int] = {}
    for tensor, labels in terms:
        for label, size in zip(labels, tensor.shape, strict=True):
            known = sizes.setdefault(label, size)
            if 1 not in (known, size) and known != size:
                raise ValueError(f"einsum: axis '{label}' has sizes {known} and {size}")
            if known == 1:
                sizes[label] = size


def _order(terms: Sequence[tuple[Tensor, Labels]], result: Labels) -> list[tuple[int, int]]:
    """Which two terms to multiply next, until one is left; products go to the end of the list."""
    if len(terms) <= 2:
        return [(0, 1)] * (len(terms) - 1)
    letters: dict[Label, str] = {}
    for _, labels in terms:
        for label in labels:
            letters.setdefault(label, LETTERS[len(letters)])
    sides = [",".join("".join(letters[x] for x in labels) for _, labels in terms), "".join(letters[x] for x in result)]
    shapes = [np.broadcast_to(np.float32(0), t.shape) for t, _ in terms]
    path = np.einsum_path("->".join(sides), *shapes, optimize="greedy")[0][1:]
    pairs: list[tuple[int, int]] = []
    for step in path:  # a step of several terms is taken two by two, their product being the last of the list
        places = sorted(step)
        while len(places) > 1:
            first, second = places[0], places[1]
            pairs.append((first, second))
            last = len(terms) - len(pairs)
            places = [*(n - 2 for n in places[2:]), last - 1]
    return pairs


# -- The products -------------------------------------------------------------------------------------------------


def _sum_out(tensor: Tensor, labels: Labels, keep: set[Label]) -> tuple[Tensor, Labels]:
    gone = tuple(d for d, label in enumerate(labels) if label not in keep)
    if not gone:
        return tensor, labels
    return sum_over(tensor, gone, dtype=tensor.dtype), [label for label in labels if label in keep]


def _drop_ones(tensor: Tensor, labels: Labels, other: Tensor, other_labels: Labels) -> tuple[Tensor, Labels]:
    """Without the axes of size 1 that the other term has at full size: they only broadcast."""
    ones = tuple(
        d
        for d, label in enumerate(labels)
        if tensor.shape[d] == 1 and label in other_labels and other.shape[other_labels.index(label)] != 1
    )
    return (tensor.squeeze(ones), [x for d, x in enumerate(labels) if d not in ones]) if ones else (tensor, labels)


def _multiply(a: Tensor, labels_a: Labels, b: Tensor, labels_b: Labels, keep: set[Label]) -> tuple[Tensor, Labels]:
    """The product of two terms, summed over the labels outside `keep`."""
    whole_a, whole_labels = a, labels_a
    a, labels_a = _drop_ones(a, labels_a, b, labels_b)
    b, labels_b = _drop_ones(b, labels_b, whole_a, whole_labels)
    a, labels_a = _sum_out(a, labels_a, keep | set(labels_b))
    b, labels_b = _sum_out(b, labels_b, keep | set(labels_a))
    shared = [label for label in labels_a if label in labels_b]
    batch = [label for label in shared if label in keep]
    summed = [label for label in shared if label not in keep]
    rows = [label for label in labels_a if label not in shared]
    columns = [label for label in labels_b if label not in shared]
    out = [*batch, *rows, *columns]
    left = _arranged(a, labels_a, [*batch, *rows, *summed])
    right = _arranged(b, labels_b, [*batch, *summed, *columns])
    if not summed:  # an outer product: no sum
        gap = [*right.shape[: len(batch)], *[1] * len(rows), *right.shape[len(batch) :]]
        return mul(_shaped(left, [*left.shape, *[1] * len(columns)]), _shaped(right, gap)), out
    if batch and not rows and not columns:
        axes = tuple(range(len(batch), len(batch) + len(summed)))
        return sum_over(mul(left, right), axes, dtype=a.dtype), out
    sizes = [list(left.shape[: len(batch)]), list(left.shape[len(batch) : len(batch) + len(rows)])]
    tail = list(right.shape[len(batch) + len(summed) :])
    depth = prod(left.shape[len(batch) + len(rows) :])
    matrices = _shaped(left, [*sizes[0], prod(sizes[1]), depth]), _shaped(right, [*sizes[0], depth, prod(tail)])
    product = matmul(*matrices)
    return _shaped(product, [*sizes[0], *sizes[1], *tail]), out


def _arranged(tensor: Tensor, labels: Labels, wanted: Labels) -> Tensor:
    return tensor if labels == wanted else tensor.permute([labels.index(label) for label in wanted])


def _shaped(tensor: Tensor, sizes: list[int]) -> Tensor:
    return tensor if tensor.shape == tuple(sizes) else tensor.reshape(sizes)
