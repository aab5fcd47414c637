"""The differentiable operations, and the tensor's operators and methods made of them.

Each family has a module of its name. `METHODS` is the one list of what a tensor can do beyond storing elements;
`tensor.pyi` declares the same for type checkers, and a test compares the two.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import autograd, backend, creation, exchange, refusal, sampling
from ..tensor import Tensor
from . import (
    counting,
    diagonal,
    distance,
    draw,
    elementwise,
    elementwise_methods,
    extremes,
    index,
    indexing,
    inplace,
    inspection,
    join,
    mask,
    matmul,
    order,
    products,
    put,
    rearrange,
    reduce,
    scan,
    scatter,
    shape,
    softmax,
    sort,
    statistics,
    view,
)
from .inplace import in_place


def _to(
    self: Tensor, *args: Any, dtype: Any = None, device: Any = None, non_blocking: bool = False, copy: bool = False
) -> Tensor:
    """The tensor in another dtype, or in another tensor's, and on another device (so far always "cpu").

    What is so already is returned itself, unless `copy` asks for a copy.
    """
    args = tuple([arg.dtype if isinstance(arg, Tensor) else arg for arg in args if not isinstance(arg, bool)])
    wanted = backend.conversion(args, dtype, device)
    if copy and wanted in (None, self.dtype):
        return _clone(self)
    return self if wanted is None else elementwise.cast(self, wanted)


def _clone(self: Tensor) -> Tensor:
    """A copy, recorded."""
    return elementwise.To(self.dtype).apply(self)  # type: ignore[no-any-return]


METHODS: dict[str, Any] = {
    "backward": autograd.backward,
    "register_hook": autograd.register_hook,
    "retain_grad": autograd.retain_grad,
    **elementwise_methods.METHODS,
    # softmax
    "softmax": softmax.softmax,
    "log_softmax": softmax.log_softmax,
    # reductions
    "sum": reduce.sum,
    "mean": reduce.mean,
    "amax": extremes.amax,
    "amin": extremes.amin,
    "aminmax": extremes.aminmax,
    "argmax": extremes.argmax,
    "argmin": extremes.argmin,
    "max": extremes.max,
    "min": extremes.min,
    "median": order.median,
    "nanmedian": order.nanmedian,
    "mode": order.mode,
    "quantile": order.quantile,
    "nanquantile": order.nanquantile,
    "prod": reduce.prod,
    "nansum": reduce.nansum,
    "nanmean": reduce.nanmean,
    "any": reduce.any,
    "all": reduce.all,
    "count_nonzero": reduce.count_nonzero,
    "var": statistics.var,
    "std": statistics.std,
    "logsumexp": statistics.logsumexp,
    "norm": distance.norm,
    "dist": distance.dist,
    "cumsum": scan.cumsum,
    "cumprod": scan.cumprod,
    "cummax": scan.cummax,
    "cummin": scan.cummin,
    "logcumsumexp": scan.logcumsumexp,
    "diff": scan.diff,
    # products
    "matmul": matmul.matmul,
    "__matmul__": matmul.matmul,
    "__rmatmul__": matmul.rmatmul,
    "mm": products.mm,
    "bmm": products.bmm,
    "mv": products.mv,
    "dot": products.dot,
    "vdot": products.vdot,
    "outer": products.outer,
    "inner": products.inner,
    "addmm": products.addmm,
    "addmv": products.addmv,
    "addr": products.addr,
    "addbmm": products.addbmm,
    "baddbmm": products.baddbmm,
    "kron": products.kron,
    "ger": products.outer,
    "diagonal": diagonal.diagonal,
    "diag": diagonal.diag,
    "diag_embed": diagonal.diag_embed,
    "diagflat": diagonal.diagflat,
    "trace": diagonal.trace,
    # shapes
    "reshape": view.reshape,
    "view": shape.view,
    "flatten": view.flatten,
    "permute": view.permute,
    "transpose": view.transpose,
    "t": view.t,
    "T": property(shape.reversed_axes),
    "mT": property(shape.matrix_transpose),
    "mH": property(shape.matrix_transpose),
    "H": property(shape.hermitian),
    "unflatten": shape.unflatten,
    "ravel": shape.ravel,
    "movedim": shape.movedim,
    "moveaxis": shape.movedim,
    "swapaxes": shape.swapaxes,
    "swapdims": shape.swapdims,
    "narrow": shape.narrow,
    "select": shape.select,
    "unfold": shape.unfold,
    "broadcast_to": shape.broadcast_to,
    "expand_as": shape.expand_as,
    "view_as": shape.view_as,
    "reshape_as": shape.reshape_as,
    "flip": rearrange.flip,
    "fliplr": rearrange.fliplr,
    "flipud": rearrange.flipud,
    "roll": rearrange.roll,
    "rot90": rearrange.rot90,
    "repeat": rearrange.repeat,
    "tile": rearrange.tile,
    "squeeze": view.squeeze,
    "unsqueeze": view.unsqueeze,
    "expand": view.expand,
    "contiguous": view.contiguous,
    "__getitem__": indexing.getitem,
    "__setitem__": indexing.setitem,
    # new tensors
    "new_tensor": creation.new_tensor,
    "new_zeros": creation.new_zeros,
    "new_ones": creation.new_ones,
    "new_empty": creation.new_empty,
    "new_full": creation.new_full,
    "bernoulli": sampling.bernoulli,
    "multinomial": sampling.multinomial,
    # exchange
    "__dlpack__": exchange.dlpack,
    "__dlpack_device__": exchange.dlpack_device,
    "__buffer__": exchange.buffer,
    # chosen, put together, cut apart
    "gather": index.gather,
    "take": index.take_flat,
    "take_along_dim": index.take_along_dim,
    "index_select": index.index_select,
    "index_add": index.index_add,
    "index_copy": index.index_copy,
    "index_fill": index.index_fill,
    "repeat_interleave": index.repeat_interleave,
    "scatter": scatter.scatter,
    "scatter_add": scatter.scatter_add,
    "scatter_reduce": scatter.scatter_reduce,
    "masked_fill": mask.masked_fill,
    "masked_select": mask.masked_select,
    "masked_scatter": mask.masked_scatter,
    "nonzero": mask.nonzero,
    "argwhere": mask.argwhere,
    "tril": mask.tril,
    "triu": mask.triu,
    "split": join.split_method,
    "chunk": join.chunk,
    "tensor_split": join.tensor_split,
    "unbind": join.unbind,
    # order
    "sort": sort.sort,
    "argsort": sort.argsort,
    "msort": sort.msort,
    "topk": sort.topk,
    "kthvalue": sort.kthvalue,
    "unique": sort.unique,
    # what the tensor is
    "is_floating_point": inspection.is_floating_point,
    "is_nonzero": inspection.is_nonzero,
    "is_same_size": inspection.is_same_size,
    "nelement": inspection.numel,
    "ndimension": Tensor.dim,
    "element_size": inspection.element_size,
    "itemsize": property(inspection.element_size),
    "nbytes": property(inspection.nbytes),
    "data_ptr": inspection.data_ptr,
    "is_cuda": property(inspection.is_cuda),
    "cpu": inspection.cpu,
    "cuda": inspection.cuda,
    "type": inspection.type_,
    "bincount": counting.bincount,
    # dtypes and copies
    "to": _to,
    "clone": _clone,
    # in place
    "index_add_": in_place(index.index_add, "index_add_"),
    "index_copy_": in_place(index.index_copy, "index_copy_"),
    "index_fill_": in_place(index.index_fill, "index_fill_"),
    "scatter_": in_place(scatter.scatter, "scatter_"),
    "scatter_add_": in_place(scatter.scatter_add, "scatter_add_"),
    "scatter_reduce_": in_place(scatter.scatter_reduce, "scatter_reduce_"),
    "masked_fill_": in_place(mask.masked_fill, "masked_fill_"),
    "masked_scatter_": in_place(mask.masked_scatter, "masked_scatter_"),
    "tril_": in_place(mask.tril, "tril_"),
    "triu_": in_place(mask.triu, "triu_"),
    "index_put_": put.index_put_,
    "fill_diagonal_": put.fill_diagonal_,
    "uniform_": draw.uniform_,
    "normal_": draw.normal_,
    "exponential_": draw.exponential_,
    "bernoulli_": draw.bernoulli_,
    "random_": draw.random_,
    "detach_": inspection.detach_,
    "zero_": inplace.zero_,
    "fill_": inplace.fill_,
    "copy_": inplace.copy_,
}

refusal.guard(METHODS, refusal.TRAINING - refusal.WITH_DIM, aliased=True)
for _name, _method in METHODS.items():
    setattr(Tensor, _name, _method)
