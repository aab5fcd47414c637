"""Products, sums of products and diagonals against PyTorch: values, dtypes, gradients and refusals."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.agreement import agree
from tests.support.arrays import normal

# (the call, shapes of a, b, c, ...)
PRODUCTS = [
    ("m.mm(a, b)", (3, 4), (4, 5)),
    ("a.mm(b)", (3, 0), (0, 5)),
    ("m.mm(a, b)", (3, 4), (3, 4)),
    ("m.mm(a, b)", (2, 3, 4), (4, 5)),
    ("m.bmm(a, b)", (2, 3, 4), (2, 4, 5)),
    ("m.bmm(a, b)", (1, 3, 4), (2, 4, 5)),
    ("m.bmm(a, b)", (3, 4), (4, 5)),
    ("m.mv(a, b)", (3, 4), (4,)),
    ("m.mv(a, b)", (3, 4), (3,)),
    ("m.dot(a, b)", (4,), (4,)),
    ("m.dot(a, b)", (0,), (0,)),
    ("m.dot(a, b)", (4,), (1,)),
    ("m.vdot(a, b)", (4,), (4,)),
    ("m.outer(a, b)", (4,), (3,)),
    ("m.ger(a, b)", (4,), (0,)),
    ("m.outer(a, b)", (4, 1), (3,)),
    ("m.inner(a, b)", (2, 3, 4), (5, 4)),
    ("m.inner(a, b)", (4,), (4,)),
    ("m.inner(a, b)", (), (2, 4)),
    ("m.inner(a, b)", (2, 3), (2, 4)),
    ("m.kron(a, b)", (2, 3), (4, 5)),
    ("m.kron(a, b)", (2,), (2, 1, 3)),
    ("m.kron(a, b)", (), (2, 3)),
    ("m.tensordot(a, b)", (2, 3, 4), (3, 4, 5)),
    ("m.tensordot(a, b, 0)", (2, 3), (4,)),
    ("m.tensordot(a, b, ([0, 2], [1, 0]))", (2, 3, 4), (4, 2)),
    ("m.tensordot(a, b, dims=([-1], [-2]))", (2, 4), (4, 5)),
    ("m.tensordot(a, b, 1)", (2, 3), (4, 5)),
    ("m.tensordot(a, b, 3)", (2, 3), (4, 5)),
    ("a @ b", (4,), (2, 4, 3)),
    ("a @ b", (2, 1, 3, 4), (5, 4, 2)),
    ("a @ b", (), (2,)),
    ("F.bilinear(a, b, c)", (2, 6, 3), (2, 6, 4), (5, 3, 4)),
    ("F.bilinear(a, b, c, d)", (6, 3), (6, 4), (5, 3, 4), (5,)),
    ("F.bilinear(a, b, c, d)", (3,), (4,), (5, 3, 4), (5,)),
    ("F.bilinear(a, b, c)", (6, 3), (5, 4), (5, 3, 4)),
    ("F.bilinear(a, b, c, d)", (6, 3), (6, 4), (5, 3, 4), (4,)),
    ("F.linear(a, b, c)", (2, 3, 4), (5, 4), (5,)),
    ("F.linear(a, b)", (2, 3), (5, 4)),
    ("F.linear(a, b)", (2, 4), (4,)),
]
FACTORS = ["", ", beta=0.5, alpha=2", ", beta=0", ", alpha=0", ", beta=2"]
SUMS = [
    (f"m.{name}(a, b, c{factors})", shape, *shapes)
    for factors in FACTORS
    for name, shape, *shapes in [
        ("addmm", (5,), (3, 4), (4, 5)),
        ("addmm", (3, 5), (3, 4), (4, 5)),
        ("addmm", (3, 1), (3, 4), (4, 5)),
        ("addmm", (), (3, 4), (4, 5)),
        ("addmm", (5,), (0, 4), (4, 5)),
        ("addmm", (4,), (3, 4), (4, 5)),
        ("addmm", (1, 3, 5), (3, 4), (4, 5)),
        ("addmm", (5,), (3, 4), (3, 5)),
        ("addmv", (3,), (3, 4), (4,)),
        ("addmv", (1,), (3, 4), (4,)),
        ("addmv", (3,), (3, 4), (3,)),
        ("addr", (3, 5), (3,), (5,)),
        ("addr", (5,), (3,), (5,)),
        ("addbmm", (3, 5), (2, 3, 4), (2, 4, 5)),
        ("addbmm", (5,), (2, 3, 4), (2, 4, 5)),
        ("addbmm", (5,), (2, 3, 4), (1, 4, 5)),
        ("baddbmm", (2, 3, 5), (2, 3, 4), (2, 4, 5)),
        ("baddbmm", (5,), (2, 3, 4), (2, 4, 5)),
        ("baddbmm", (2, 1, 1), (2, 3, 4), (2, 4, 5)),
        ("baddbmm", (3, 3, 5), (2, 3, 4), (2, 4, 5)),
    ]
]
DIAGONALS = [
    (f"m.{call}", shape)
    for shape in [(3, 5), (5, 3), (4,), (2, 3, 4), (0, 3), ()]
    for call in [
        "diagonal(a)",
        "diagonal(a, 1)",
        "diagonal(a, -2)",
        "diagonal(a, 9)",
        "diagonal(a, 0, 1, 2)",
        "diagonal(a, -1, dim1=-1, dim2=0)",
        "diagonal(a, 0, 1, 1)",
        "diag(a)",
        "diag(a, 1)",
        "diag(a, -2)",
        "diag_embed(a)",
        "diag_embed(a, 1, 0, -1)",
        "diag_embed(a, -1, 1, 0)",
        "diagflat(a, 1)",
        "trace(a)",
    ]
]
EINSUMS = [
    ("ij,jk->ik", (3, 4), (4, 5)),
    ("ij,jk", (3, 4), (4, 5)),
    ("ba,cb", (3, 4), (5, 3)),
    ("i,j->ij", (3,), (4,)),
    ("i,i->", (3,), (3,)),
    ("i,i", (3,), (3,)),
    ("ij->ji", (3, 4)),
    ("ij->", (3, 4)),
    ("ij->j", (3, 4)),
    ("ii->i", (3, 3)),
    ("ii", (3, 3)),
    ("iij->j", (3, 3, 4)),
    ("iii->i", (3, 3, 3)),
    ("ijij->ij", (2, 3, 2, 3)),
    ("ii,ij->j", (3, 3), (3, 4)),
    ("bij,bjk->bik", (2, 3, 4), (2, 4, 5)),
    ("bhqd,bhkd->bhqk", (2, 3, 4, 5), (2, 3, 6, 5)),
    ("bhqk,bkhd->bqhd", (2, 3, 4, 5), (2, 5, 3, 6)),
    ("bn,anm,bm->ba", (2, 3), (4, 3, 5), (2, 5)),
    ("ij,jk,kl,lm->im", (2, 3), (3, 4), (4, 5), (5, 2)),
    ("i,i,i->i", (3,), (3,), (3,)),
    ("ij,ij->ij", (3, 4), (3, 4)),
    ("ij,ij->i", (3, 4), (3, 4)),
    ("ij,kj->ikj", (3, 4), (2, 4)),
    ("ij,kl->", (3, 4), (2, 5)),
    ("ijk,jil->kl", (2, 3, 4), (3, 2, 5)),
    ("...ij,...jk->...ik", (2, 3, 4), (2, 4, 5)),
    ("...ij,jk", (6, 2, 3, 4), (4, 5)),
    ("...ij,...jk", (6, 1, 3, 4), (2, 4, 5)),
    ("i...,i...->...", (3, 4, 5), (3, 5)),
    ("...", (2, 3)),
    ("...->", (2, 3)),
    ("...i->...", (2, 3)),
    ("i...j->j...i", (2, 3, 4)),
    ("... , i", (2, 3), (4,)),
    ("ij,jk->ik", (3, 1), (4, 5)),
    ("ij,ij->ij", (1, 4), (3, 1)),
    ("ij,ik->jk", (1, 4), (3, 5)),
    ("i j , j k -> i k", (3, 4), (4, 5)),
    ("Aa,ab->bA", (3, 4), (4, 5)),
    ("ij,jk->ik", (0, 4), (4, 5)),
    ("ij,jk->ik", (3, 0), (0, 5)),
    ("bij,bjk->bik", (0, 3, 4), (0, 4, 5)),
    ("->", ()),
    (",ij->ij", (), (3, 4)),
    ("ij,jk->ik", (3, 4), (5, 6)),
    ("ij,jk->il", (3, 4), (4, 6)),
    ("ij,jk->ii", (3, 4), (4, 6)),
    ("ij,jk", (3, 4)),
    ("ij", (3, 4, 5)),
    ("ijk...", (3, 4)),
    ("i1->i", (3, 4)),
    ("ii->i", (3, 4)),
    ("i.j->i", (3, 4)),
    ("ij->i->j", (3, 4)),
    ("", (3,)),
]
SUBLISTS = [
    ("m.einsum(a, [0, 1], b, [1, 2], [0, 2])", (3, 4), (4, 5)),
    ("m.einsum(a, [0, 1], b, [1, 2])", (3, 4), (4, 5)),
    ("m.einsum(a, [..., 3], b, [..., 3], [...])", (2, 3, 4), (3, 4)),
    ("m.einsum(a, [51, 0], [0, 51])", (2, 3)),
    ("m.einsum(a, [26, 0])", (2, 3)),
    ("m.einsum(a, [52, 0])", (2, 3)),
    ("m.einsum('ij,jk', [a, b])", (2, 3), (3, 4)),
    ("m.einsum('ij,jk', a)", (2, 3)),
    ("m.einsum('ij')", (2, 3)),
]
ALL = [*PRODUCTS, *SUMS, *DIAGONALS, *SUBLISTS]


def named(arrays):
    return dict(zip("abcd", arrays, strict=False))


def name_of(row):
    return f"{row[0]}-{'-'.join(map(str, row[1:]))}"


@pytest.mark.parametrize("row", ALL, ids=name_of)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats(row, dtype, torch, rng):
    agree(torch, row[0], named([normal(rng, shape, dtype) for shape in row[1:]]), rng, length=60)


# PyTorch cuts a factor of 0.5 to 0 where the tensors are integers; tinydl refuses it.
@pytest.mark.parametrize("row", [row for row in ALL if "beta=0.5" not in row[0]], ids=name_of)
def test_integers(row, torch, rng):
    for dtype in (np.int64, np.uint8):
        agree(torch, row[0], named([rng.integers(0, 5, shape).astype(dtype) for shape in row[1:]]), rng)


@pytest.mark.parametrize("row", EINSUMS, ids=name_of)
def test_einsum(row, torch, rng):
    operands = ", ".join("abcd"[: len(row) - 1])
    arrays = [normal(rng, shape, np.float64) for shape in row[1:]]
    agree(torch, f"m.einsum({row[0]!r}, {operands})", named(arrays), rng, length=60)
    integers = [rng.integers(0, 3, shape) for shape in row[1:]]
    agree(torch, f"m.einsum({row[0]!r}, {operands})", named(integers), rng)


@st.composite
def equations(draw):
    """An equation over up to four operands, with sizes for its axes: repeated names and axes of size 1 included."""
    sizes = {letter: draw(st.integers(0 if letter == "a" else 1, 4)) for letter in "aBcDe"}
    inputs = draw(st.lists(st.text("aBcDe", max_size=4), min_size=1, max_size=4))
    used = sorted(set("".join(inputs)))
    shapes = [tuple(sizes[x] for x in names) for names in inputs]
    if not draw(st.booleans()):
        return ",".join(inputs), shapes
    output = draw(st.permutations(used))[: draw(st.integers(0, len(used)))]
    return f"{','.join(inputs)}->{''.join(output)}", shapes


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=equations(), seed=st.integers(0, 2**32 - 1))
def test_drawn_einsums(torch, drawn, seed):
    equation, shapes = drawn
    rng = np.random.default_rng(seed)
    arrays = named([normal(rng, shape, np.float64) for shape in shapes])
    agree(torch, f"m.einsum({equation!r}, {', '.join(arrays)})", arrays, rng, length=1024)


@pytest.mark.parametrize("name", ["addmm", "addmv", "addr", "addbmm", "baddbmm"])
def test_an_input_of_beta_zero_is_not_read(name, torch, rng):
    row = next(row for row in SUMS if row[0] == f"m.{name}(a, b, c, beta=0)")
    arrays = named([normal(rng, shape) for shape in row[1:]])
    arrays["a"][...] = np.nan
    agree(torch, row[0], arrays, rng, length=60)


def test_a_diagonal_is_a_view(torch):
    for module in (__import__("tinydl"), torch):
        x = module.zeros(3, 3)
        module.diagonal(x).fill_(2)
        assert x.tolist() == [[2, 0, 0], [0, 2, 0], [0, 0, 2]]
        module.diag(x).fill_(5)
        assert module.trace(x).item() == 6


@pytest.mark.parametrize(
    "case", ["m.mm(a, b)", "m.addmm(c, a, b)", "m.einsum('ij,jk', a, b)", "m.tensordot(a, b, 1)", "F.linear(a, a)"]
)
def test_half_precision(case, torch, rng):
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    for dtype in (np.float16, bfloat16):
        arrays = named([normal(rng, shape).astype(dtype) for shape in ((3, 4), (4, 5), (3, 5))])
        agree(torch, case, arrays, rng, length=4)
