"""Gradients of products by differences, on every layout; and the messages of wrong calls."""

import pytest

import tinydl as m
from tests.support.arrays import layouts
from tinydl.autograd import gradcheck

F = m.nn.functional
PRODUCTS = [
    ("m.bmm(a, b)", (2, 3, 4), (2, 4, 5)),
    ("m.inner(a, b)", (2, 3, 4), (5, 4)),
    ("m.kron(a, b)", (2, 3), (3, 2)),
    ("m.tensordot(a, b, ([0, 2], [1, 0]))", (2, 3, 4), (4, 2)),
    ("m.addmm(b[0], a, b)", (3, 4), (4, 5)),
    ("m.addmm(b[:3], a, b, beta=2, alpha=-1)", (3, 4), (4, 5)),
    ("m.addbmm(a[0, :, :1], a, b)", (2, 3, 4), (2, 4, 5)),
    ("F.bilinear(a, a, b)", (3, 4), (2, 4, 4)),
    ("F.linear(a, b)", (3, 4), (4,)),
    ("m.einsum('bhqd,bhkd->bhqk', a, b)", (2, 2, 3, 4), (2, 2, 5, 4)),
    ("m.einsum('ii,ij,jk->k', a, b, b)", (3, 3), (3, 3)),
    ("m.einsum('...i,ij->j', a, b)", (2, 3, 4), (4, 3)),
    ("m.einsum('ij,ij->i', a, b)", (1, 4), (3, 1)),
    ("m.diagonal(a, 1, 0, 2) @ m.diag_embed(b, -1)", (2, 4, 3), (4, 1)),
]


@pytest.mark.parametrize(("case", "shape_a", "shape_b"), PRODUCTS)
def test_gradcheck(case, shape_a, shape_b, rng):
    a, b = rng.standard_normal(shape_a), rng.standard_normal(shape_b)
    for (_, view_a), (_, view_b) in zip(layouts(a), layouts(b), strict=False):
        inputs = [m.from_numpy(view).requires_grad_() for view in (view_a, view_b)]
        gradcheck(lambda a, b: eval(case, globals(), {"a": a, "b": b}), inputs)


WRONG = [
    ("m.mm(x, m.ones(3))", ValueError, r"mm: mat2 has shape \(3,\), wanted 2 axes"),
    ("m.bmm(m.ones(2, 3, 4), m.ones(1, 4, 5))", ValueError, "bmm: shapes .* have different batch sizes"),
    ("m.dot(x[0], [1.0])", TypeError, "dot: got list, wanted a tensor"),
    ("m.mv(x, m.ones(3).double())", TypeError, "got dtypes float32 and float64, wanted one"),
    (
        "m.addmm(m.ones(4), x, m.ones(3, 5))",
        ValueError,
        r"addmm: input of shape \(4,\) does not broadcast to .*\(2, 5\)",
    ),
    ("m.addmv(x[:, 0].long(), x.long(), x[0].long(), beta=0.5)", TypeError, "beta=0.5 and alpha=1 for dtype int64"),
    ("m.tensordot(x, x, 1)", ValueError, r"tensordot: axes \(1,\) of \(2, 3\) do not fit axes \(0,\)"),
    ("m.einsum('ij,jk', x)", ValueError, "names 2 operands, got 1"),
    ("m.einsum('ijk', x)", ValueError, r"'ijk' does not name the axes of an operand of shape \(2, 3\)"),
    ("m.einsum('ij->ik', x)", ValueError, "the result 'ik' names axis 'k' but no operand has it"),
    ("m.einsum('ij->ii', x)", ValueError, "the result 'ii' names axis 'i' twice"),
    ("m.einsum('ij,ij', x, m.ones(2, 4))", ValueError, "axis 'j' has sizes 3 and 4"),
    ("m.einsum('ii', x)", ValueError, r"axis 'i' of 'ii' has two sizes in shape \(2, 3\)"),
    ("m.einsum('i1', x)", ValueError, "not made of letters"),
    ("m.einsum(x, [0, 60])", ValueError, "got 60 in a list of axes"),
    ("m.einsum('ij,ij', x, x.double())", TypeError, "einsum: got dtypes float32 and float64"),
    ("m.diagonal(x, 0, 1, -1)", ValueError, "diagonal: dim1=1 and dim2=-1 are the same axis"),
    ("m.trace(x[0])", ValueError, r"trace: got shape \(3,\), wanted a matrix"),
    ("F.bilinear(x, x, m.ones(5, 3, 4))", ValueError, r"bilinear: inputs .* do not fit weight \(5, 3, 4\)"),
]


@pytest.mark.parametrize(("case", "error", "message"), WRONG)
def test_wrong_calls(case, error, message):
    with pytest.raises(error, match=message):
        eval(case, globals(), {"x": m.ones(2, 3)})


def test_the_product_of_two_operands_is_one_kernel(monkeypatch, rng):
    calls = []
    forward = m.ops.matmul.Matmul.forward
    monkeypatch.setattr(
        m.ops.matmul.Matmul, "forward", lambda self, a, b: calls.append((a.shape, b.shape)) or forward(self, a, b)
    )
    q, k = m.tensor(rng.standard_normal((2, 3, 4, 5))), m.tensor(rng.standard_normal((2, 3, 6, 5)))
    m.einsum("bhqd,bhkd->bhqk", q, k)
    assert calls == [((2, 3, 4, 5), (2, 3, 5, 6))]


def test_many_operands_take_the_cheap_order(monkeypatch, rng):
    sizes = []
    forward = m.ops.matmul.Matmul.forward
    monkeypatch.setattr(
        m.ops.matmul.Matmul,
        "forward",
        lambda self, a, b: sizes.append(a.shape[-2] * b.shape[-1]) or forward(self, a, b),
    )
    wide = m.tensor(rng.standard_normal((50, 50)))
    m.einsum("ij,jk,k->i", wide, wide, wide[0])
    assert max(sizes) <= 50, "a matrix was multiplied by a matrix, where the vector comes first"
