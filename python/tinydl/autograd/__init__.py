"""The tape: operations that know their derivatives, and the walk back over them.

An operation is a `Function` with two explicit methods on arrays: `forward`, and `backward`, which turns the gradient
of the output into the gradients of the inputs. Applying one to tensors that require gradients leaves the Function
object behind as a node of the tape: the output points at it (`grad_fn`), and it points at the inputs' nodes.

The rules for gradients, stated once:

- The first gradient that reaches a tensor is stored (`=`), later ones are added (`+=`).
- `backward` returns, for each input, None or an array of the input's shape: the gradient it was given, a view of it, or
  a fresh array that it keeps no reference to. It computes nothing for inputs whose `needs` is False.
- Arrays that `backward` reads go through `save`, which releases them after it. Each is an input or the output itself
  (the version counters of their tensors are checked, so that a change in place between forward and backward is an
  error, not a wrong gradient), or private to the Function.
"""

from .engine import backward_from, register_hook, retain_grad
from .function import Function
from .grad_mode import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from .gradcheck import gradcheck
from .gradients import backward, grad

__all__ = [
    "Function",
    "backward",
    "backward_from",
    "enable_grad",
    "grad",
    "gradcheck",
    "inference_mode",
    "is_grad_enabled",
    "no_grad",
    "register_hook",
    "retain_grad",
    "set_grad_enabled",
]
