"""Calls of the operations that have a policy, with the shapes of their floating-point inputs."""

import numpy as np

import tinydl
from tinydl.nn import functional as F
from tinydl.ops import distance
from tinydl.ops.recurrent import recurrent
from tinydl.ops.self_attention import causal_self_attention, rotary_phases

LABELS = tinydl.tensor([1, 0])


def labels(x):
    return LABELS.to(x.device)


def signs(x):
    return tinydl.tensor([1, -1]).to(x.device)


def heads(x, w, b, out):
    return F.multi_head_attention_forward(x, x, x, 4, 2, w, b, None, None, False, 0.0, out, b[:4])[0]


def rotary(x, w):
    return causal_self_attention(x, w, None, 2, rotary_phases(0, 5, 4, 2, x.dtype))


def ctc(x):
    return F.ctc_loss(x, tinydl.tensor([[1, 2], [2, 1]]), tinydl.tensor([6, 6]), tinydl.tensor([2, 2]))


def same(name):
    return lambda x: getattr(tinydl, name)(x)


def of(name, argument):
    return lambda x: getattr(F, name)(x, argument)


def along(name):
    return lambda x: getattr(tinydl, name)(x, -1)


PAIR = ((2, 3), (2, 3))
IMAGE, SIGNAL, FILTERS = (2, 4, 6, 6), (2, 4, 6), (6, 4, 3)

CASES = {  # the values of all inputs lie between 0.1 and 0.9
    "matmul": (tinydl.matmul, ((2, 3), (3, 4))),
    "mm": (tinydl.mm, ((2, 3), (3, 4))),
    "bmm": (tinydl.bmm, ((2, 3, 4), (2, 4, 5))),
    "mv": (tinydl.mv, ((2, 3), (3,))),
    "linear": (F.linear, ((2, 3), (4, 3), (4,))),
    "inner": (tinydl.inner, PAIR),
    "tensordot": (lambda a, b: tinydl.tensordot(a, b, 1), ((2, 3), (3, 4))),
    "einsum": (lambda a, b: tinydl.einsum("ij,kj->ik", a, b), PAIR),
    "bilinear": (F.bilinear, ((2, 3), (2, 4), (5, 3, 4), (5,))),
    "addmm": (tinydl.addmm, ((4,), (2, 3), (3, 4))),
    "addmv": (tinydl.addmv, ((2,), (2, 3), (3,))),
    "addbmm": (tinydl.addbmm, ((3, 5), (2, 3, 4), (2, 4, 5))),
    "baddbmm": (tinydl.baddbmm, ((2, 3, 5), (2, 3, 4), (2, 4, 5))),
    "addr": (tinydl.addr, ((2, 3), (2,), (3,))),
    "conv1d": (F.conv1d, (SIGNAL, FILTERS, (6,))),
    "conv2d": (F.conv2d, (IMAGE, (6, 4, 3, 3), (6,))),
    "conv_transpose1d": (F.conv_transpose1d, (SIGNAL, (4, 6, 3), (6,))),
    "conv_transpose2d": (F.conv_transpose2d, (IMAGE, (4, 6, 3, 3), (6,))),
    "scaled_dot_product_attention": (F.scaled_dot_product_attention, ((2, 2, 5, 8),) * 3),
    "causal_self_attention": (lambda x, w, b: causal_self_attention(x, w, b, 2), ((2, 5, 8), (24, 8), (24,))),
    "multi_head_attention_forward": (heads, ((5, 2, 4), (12, 4), (12,), (4, 4))),
    "recurrent": (lambda *a: recurrent("lstm", *a)[0], ((5, 2, 3), (16, 3), (16, 4), (16,), (16,))),
    **{name: (same(name), ((2, 3),)) for name in ("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "logit")},
    **{name: (same(name), ((2, 3),)) for name in ("reciprocal", "rsqrt", "tan", "asin", "acos", "sinh", "cosh")},
    "pow": (lambda x: x**3, ((2, 3),)),
    "pow of tensors": (tinydl.pow, PAIR),
    "softplus": (F.softplus, ((2, 3),)),
    **{name: (along(name), ((2, 3),)) for name in ("softmax", "log_softmax", "cumsum", "cumprod", "logcumsumexp")},
    "logsumexp": (along("logsumexp"), ((2, 3),)),
    "softmin": (lambda x: F.softmin(x, -1), ((2, 3),)),
    **{name: (same(name), ((2, 3),)) for name in ("sum", "nansum", "prod", "norm")},
    "linalg.vector_norm": (tinydl.linalg.vector_norm, ((2, 3),)),
    "linalg.matrix_norm": (tinydl.linalg.matrix_norm, ((2, 3),)),
    "normalize": (F.normalize, ((2, 3),)),
    "dist": (tinydl.dist, PAIR),
    "cdist": (tinydl.cdist, PAIR),
    "pdist": (distance.pdist, ((2, 3),)),
    "pairwise_distance": (F.pairwise_distance, PAIR),
    "cosine_similarity": (F.cosine_similarity, PAIR),
    "batch_norm": (lambda x, w, b: F.batch_norm(x, None, None, w, b, True), (IMAGE, (4,), (4,))),
    "instance_norm": (lambda x, w, b: F.instance_norm(x, None, None, w, b), (IMAGE, (4,), (4,))),
    "group_norm": (lambda x, w, b: F.group_norm(x, 2, w, b), (IMAGE, (4,), (4,))),
    "layer_norm": (lambda x, w, b: F.layer_norm(x, (3,), w, b), ((2, 3), (3,), (3,))),
    "rms_norm": (lambda x, w: F.rms_norm(x, (3,), w), ((2, 3), (3,))),
    "local_response_norm": (lambda x: F.local_response_norm(x, 3), (IMAGE,)),
    "cross_entropy": (lambda x: F.cross_entropy(x, labels(x)), ((2, 3),)),
    "cross_entropy of probabilities": (F.cross_entropy, PAIR),
    "nll_loss": (lambda x: F.nll_loss(x, labels(x)), ((2, 3),)),
    **{name: (getattr(F, name), PAIR) for name in ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss")},
    "kl_div": (lambda x, t: F.kl_div(x, t, reduction="sum"), PAIR),
    "binary_cross_entropy": (F.binary_cross_entropy, PAIR),
    "binary_cross_entropy_with_logits": (F.binary_cross_entropy_with_logits, PAIR),
    "soft_margin_loss": (lambda x: F.soft_margin_loss(x, signs(x)), ((2,),)),
    "gaussian_nll_loss": (F.gaussian_nll_loss, ((2, 3),) * 3),
    "poisson_nll_loss": (F.poisson_nll_loss, PAIR),
    "ctc_loss": (ctc, ((6, 2, 4),)),
    "hinge_embedding_loss": (lambda x: F.hinge_embedding_loss(x, signs(x)), ((2,),)),
    "margin_ranking_loss": (lambda a, b: F.margin_ranking_loss(a, b, signs(a)), ((2,), (2,))),
    "cosine_embedding_loss": (lambda a, b: F.cosine_embedding_loss(a, b, signs(a)), PAIR),
    "triplet_margin_loss": (F.triplet_margin_loss, ((2, 3),) * 3),
    "multi_margin_loss": (lambda x: F.multi_margin_loss(x, labels(x)), ((2, 3),)),
    "multilabel_margin_loss": (
        lambda x: F.multilabel_margin_loss(x, tinydl.tensor([[0, -1, -1], [1, 2, -1]]).to(x.device)),
        ((2, 3),),
    ),
    "multilabel_soft_margin_loss": (
        lambda x: F.multilabel_soft_margin_loss(x, tinydl.tensor([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0]]).to(x)),
        ((2, 3),),
    ),
    "causal_self_attention of rotary positions": (rotary, ((2, 5, 8), (24, 8))),
    "prelu": (F.prelu, (SIGNAL, (4,))),
    "cross": (tinydl.cross, PAIR),
    "linalg.vecdot": (tinydl.linalg.vecdot, PAIR),
    "dropout": (lambda x: F.dropout(x, 0.0), ((2, 3),)),
    **{name: (of(name, 0.0), (SIGNAL,)) for name in ("dropout1d", "alpha_dropout")},
    "dropout2d": (lambda x: F.dropout2d(x, 0.0), (IMAGE,)),
    "dropout3d": (lambda x: F.dropout3d(x, 0.0), ((2, 4, 2, 2, 2),)),
    "feature_alpha_dropout": (lambda x: F.feature_alpha_dropout(x, 0.0, True), (SIGNAL,)),
    **{name: (of(name, 2), (SIGNAL,)) for name in ("max_pool1d", "avg_pool1d")},
    **{name: (of(name, 2), (IMAGE,)) for name in ("max_pool2d", "avg_pool2d")},
    **{f"adaptive_{kind}_pool1d": (of(f"adaptive_{kind}_pool1d", 2), (SIGNAL,)) for kind in ("avg", "max")},
    **{f"adaptive_{kind}_pool2d": (of(f"adaptive_{kind}_pool2d", 2), (IMAGE,)) for kind in ("avg", "max")},
    "max_unpool1d": (lambda x: F.max_unpool1d(x, tinydl.tensor([[[0, 3]]]).to(x.device), 2), ((1, 1, 2),)),
    "max_unpool2d": (
        lambda x: F.max_unpool2d(x, tinydl.tensor([[[[0, 3], [8, 10]]]]).to(x.device), 2),
        ((1, 1, 2, 2),),
    ),
    "unfold": (lambda x: F.unfold(x, 2), (IMAGE,)),
    "fold": (lambda x: F.fold(x, (4, 4), 2), ((1, 8, 9),)),
}


def values(op, dtype=np.float32):
    """The inputs of a case, the same each time."""
    rng = np.random.default_rng(list(op.encode()))
    return [rng.uniform(0.1, 0.9, shape).astype(dtype) for shape in CASES[op][1]]
