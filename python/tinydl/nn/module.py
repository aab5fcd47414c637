"""The base of all layers and models: named parameters, buffers and submodules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

import numpy as np

from .. import backend, dtypes
from ..tensor import Tensor
from . import hooks, state
from .parameter import Parameter

__all__ = ["Module"]

_T = TypeVar("_T")
_Self = TypeVar("_Self", bound="Module")
_KINDS = ("_parameters", "_buffers", "_modules")


class Module(hooks.Hookable):
    """A layer or a model: subclasses call `super().__init__()`, assign parameters and layers, and define `forward`.

    A `Parameter` or `Module` that is assigned to an attribute is found by `parameters`, `state_dict` and their kin
    under the attribute's name, those of submodules under dotted names, as in PyTorch.

    >>> from tinydl import nn
    >>> class Net(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.fc = nn.Linear(3, 2)
    ...     def forward(self, x):
    ...         return self.fc(x)
    >>> [name for name, _ in Net().named_parameters()]
    ['fc.weight', 'fc.bias']
    """

    training: bool
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Module | None]
    _transient: set[str]  # the buffers that state_dict leaves out
    _optional_state: frozenset[str] = frozenset()  # names that load_state_dict does not miss

    def __init__(self) -> None:
        put = super().__setattr__
        put("training", True)
        for kind in _KINDS:
            put(kind, {})
        put("_transient", set())

    # -- Attributes -------------------------------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Parameter):
            self.register_parameter(name, value)
        elif isinstance(value, Module):
            self.add_module(name, value)
        elif name in self.__dict__.get("_parameters", ()):
            if value is not None:
                raise TypeError(
                    f"cannot assign {type(value).__name__} as parameter '{name}' (Parameter or None expected)"
                )
            self._parameters[name] = None
        elif name in self.__dict__.get("_modules", ()):
            if value is not None:
                raise TypeError(
                    f"cannot assign {type(value).__name__} as child module '{name}' (Module or None expected)"
                )
            self._modules[name] = None
        elif name in self.__dict__.get("_buffers", ()):
            if not isinstance(value, Tensor | None):
                raise TypeError(f"cannot assign {type(value).__name__} as buffer '{name}' (Tensor or None expected)")
            self._buffers[name] = value
        else:
            super().__setattr__(name, value)

    def __getattr__(self, name: str) -> Any:
        for kind in _KINDS:
            entries = self.__dict__.get(kind)
            if entries is not None and name in entries:
                return entries[name]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __delattr__(self, name: str) -> None:
        for kind in _KINDS:
            if name in self.__dict__.get(kind, ()):
                del self.__dict__[kind][name]
                self._transient.discard(name)
                return
        super().__delattr__(name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._parameters, *self._buffers, *self._modules})

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Make `param` the parameter `name`; None reserves the name, for an absent bias."""
        if not isinstance(param, Parameter | None):
            raise TypeError(f"cannot assign {type(param).__name__} as parameter '{name}' (Parameter or None expected)")
        if param is not None and param.grad_fn is not None:
            raise ValueError(f"cannot assign a non-leaf tensor as parameter '{name}'")
        self._register("_parameters", "parameters", name, param)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Make `tensor` part of the state without training it; `persistent=False` keeps it out of state dicts."""
        if not isinstance(tensor, Tensor | None):
            raise TypeError(f"cannot assign {type(tensor).__name__} as buffer '{name}' (Tensor or None expected)")
        self._register("_buffers", "buffers", name, tensor)
        (self._transient.discard if persistent else self._transient.add)(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Make `module` the submodule `name`."""
        if not isinstance(module, Module | None):
            raise TypeError(f"{type(module).__name__} is not a Module subclass")
        self._register("_modules", "module", name, module)

    register_module = add_module

    def _register(self, kind: str, what: str, name: str, value: Any) -> None:
        if kind not in self.__dict__:
            raise AttributeError(f"cannot assign {what} before Module.__init__() call")
        if not isinstance(name, str):
            raise TypeError(f"{what}: the name must be a string, got {type(name).__name__}")
        if "." in name or not name:
            raise KeyError(f"{what}: the name must not be empty or contain a dot, got '{name}'")
        if hasattr(type(self), name):
            raise KeyError(f"attribute '{name}' already exists")
        self.__dict__.pop(name, None)
        for other in _KINDS:
            if other != kind:
                self.__dict__[other].pop(name, None)
        self.__dict__[kind][name] = value

    # -- Walking ----------------------------------------------------------------------------------------------

    def get_submodule(self, target: str) -> Module:
        """The submodule with a dotted name; AttributeError if there is none."""
        module = self
        for name in target.split(".") if target else ():
            found = getattr(module, name, None)
            if not isinstance(found, Module):
                raise AttributeError(f"{type(module).__name__} has no submodule '{name}' (of '{target}')")
            module = found
        return module

    def set_submodule(self, target: str, module: Module, strict: bool = False) -> None:
        """Put `module` in the place of the dotted name; `strict` refuses names that do not exist."""
        path, _, name = target.rpartition(".")
        owner = self.get_submodule(path)
        if not name:
            raise ValueError("set_submodule: the name is empty")
        if not isinstance(module, Module):
            raise ValueError(f"set_submodule: got {type(module).__name__}, wanted a module")
        if strict and name not in owner._modules:
            raise AttributeError(f"{type(owner).__name__} has no submodule '{name}' (of '{target}')")
        owner.add_module(name, module)

    def get_parameter(self, target: str) -> Parameter:
        """The parameter with a dotted name; AttributeError if there is none."""
        return self._get("_parameters", "parameter", target)  # type: ignore[no-any-return]

    def get_buffer(self, target: str) -> Tensor:
        """The buffer with a dotted name; AttributeError if there is none."""
        return self._get("_buffers", "buffer", target)  # type: ignore[no-any-return]

    def _get(self, kind: str, what: str, target: str) -> Any:
        path, _, name = target.rpartition(".")
        owner = self.get_submodule(path)
        found = owner.__dict__[kind].get(name)
        if found is None:
            raise AttributeError(f"{type(owner).__name__} has no {what} '{name}' (of '{target}')")
        return found

    def named_modules(
        self, memo: set[Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """The module itself and all below it with their dotted names, a module before its children.

        Modules in `memo` are left out; those that come are added to it.
        """
        return self._walk(prefix, (set() if memo is None else memo) if remove_duplicate else None)

    def _walk(self, prefix: str, seen: set[Module] | None) -> Iterator[tuple[str, Module]]:
        if seen is not None:
            if self in seen:
                return
            seen.add(self)
        yield prefix, self
        for name, module in self._modules.items():
            if module is not None:
                yield from module._walk(_join(prefix, name), seen)

    def modules(self, remove_duplicate: bool = True) -> Iterator[Module]:
        """The module itself and all below it, each once unless `remove_duplicate` is False."""
        return (module for _, module in self.named_modules(remove_duplicate=remove_duplicate))

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The direct submodules with their names."""
        return _unique((name, module) for name, module in self._modules.items() if module is not None)

    def children(self) -> Iterator[Module]:
        """The direct submodules."""
        return (module for _, module in self.named_children())

    def _named(self, kind: str, prefix: str, recurse: bool, remove_duplicate: bool) -> Iterator[tuple[str, Any]]:
        owners = self.named_modules(None, prefix, remove_duplicate) if recurse else iter([(prefix, self)])
        entries = (
            (_join(path, name), value)
            for path, module in owners
            for name, value in module.__dict__[kind].items()
            if value is not None
        )
        return _unique(entries) if remove_duplicate else entries

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """The parameters with their dotted names; a shared one under its first name only."""
        return self._named("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The parameters, each once."""
        return (param for _, param in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """The buffers with their dotted names."""
        return self._named("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """The buffers, each once."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def apply(self: _Self, fn: Callable[[Module], None]) -> _Self:
        """Call `fn` on every submodule, children first, and on the module itself."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    # -- Modes and dtypes -------------------------------------------------------------------------------------

    def train(self: _Self, mode: bool = True) -> _Self:
        """Switch all layers to training (dropout drops) or, with False, to evaluation."""
        if not isinstance(mode, bool):
            raise TypeError(f"train: mode must be a bool, got {type(mode).__name__}")
        for module in self.modules():
            module.training = mode
        return self

    def eval(self: _Self) -> _Self:
        """Switch all layers to evaluation."""
        return self.train(False)

    def requires_grad_(self: _Self, requires_grad: bool = True) -> _Self:
        """Train all parameters, or freeze them with False."""
        for param in self.parameters():
            param.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients of all parameters, or set them to 0."""
        for param in self.parameters():
            if set_to_none or param.grad is None:
                param.grad = None
            else:
                param.grad.zero_()

    def to(self: _Self, *args: Any, dtype: Any = None, device: Any = None, non_blocking: bool = False) -> _Self:
        """Convert parameters, their gradients and buffers in place: `to("float64")`, `to("cuda")`.

        Another dtype is for floating-point tensors, another device for all. Parameters stay the same objects, so that
        an optimiser keeps them, whose states move with the next step; `non_blocking` changes nothing. Raises TypeError
        where dtype is no floating-point dtype, ValueError for a device that is missing.
        """
        for arg in args:
            if isinstance(arg, Tensor):
                dtype, device = arg.dtype, arg.device
        args = tuple([arg for arg in args if not isinstance(arg, Tensor | bool)])
        wanted, place = backend.conversion(args, dtype, device)
        if wanted is not None and not dtypes.is_floating_point(wanted):
            raise TypeError(f"Module.to: got dtype {wanted}, wanted a floating-point dtype")
        for tensor in (*self.parameters(), *self.buffers()):
            if wanted is not None and dtypes.is_floating_point(tensor.dtype):
                _convert(tensor, wanted)
            _move(tensor, place)
        return self

    def type(self: _Self, dst_type: Any) -> _Self:
        """Convert all parameters and buffers in place, integer ones included."""
        self.to(dst_type)
        wanted, _ = backend.conversion((dst_type,))
        for buffer in self.buffers():
            if wanted is not None:
                _convert(buffer, wanted)
        return self

    def float(self: _Self) -> _Self:
        """Convert to float32, in place."""
        return self.to(dtypes.float32)

    def double(self: _Self) -> _Self:
        """Convert to float64, in place."""
        return self.to(dtypes.float64)

    def half(self: _Self) -> _Self:
        """Convert to float16, in place."""
        return self.to(dtypes.float16)

    def cpu(self: _Self) -> _Self:
        """Move all parameters and buffers to the CPU, in place."""
        return self.to(device="cpu")

    def cuda(self: _Self, device: Any = None) -> _Self:
        """Move all parameters and buffers to a GPU ("cuda", or its number), in place."""
        return self.to(device=f"cuda:{device}" if type(device) is int else device or "cuda")

    # -- State ------------------------------------------------------------------------------------------------

    def get_extra_state(self) -> Any:
        """What a subclass adds to its state dict (under "_extra_state") beside tensors."""
        raise RuntimeError(f"{type(self).__name__} has no extra state: define get_extra_state and set_extra_state")

    def set_extra_state(self, state: Any) -> None:
        """Take back what `get_extra_state` returned."""
        raise RuntimeError(f"{type(self).__name__} has no extra state: define get_extra_state and set_extra_state")

    def _has_extra_state(self) -> bool:
        return type(self).get_extra_state is not Module.get_extra_state

    def state_dict(
        self, *, destination: dict[str, Any] | None = None, prefix: str = "", keep_vars: bool = False
    ) -> dict[str, Any]:
        """Parameters and persistent buffers by dotted name, PyTorch's: tensors off the tape that share the storage.

        Args:
            destination: a dictionary to put them into.
            prefix: what the names start with, its dot included.
            keep_vars: give the tensors themselves.
        """
        out: dict[str, Any] = {} if destination is None else destination
        for path, module in self.named_modules(remove_duplicate=False):
            start = f"{prefix}{path}." if path else prefix
            for name, tensor in module._named_state():
                out[start + name] = tensor if keep_vars else tensor.detach()
            if module._has_extra_state():
                out[start + "_extra_state"] = module.get_extra_state()
        return out

    def _named_state(self) -> Iterator[tuple[str, Tensor]]:
        """The module's own parameters and persistent buffers."""
        for name, param in self._parameters.items():
            if param is not None:
                yield name, param
        for name, buffer in self._buffers.items():
            if buffer is not None and name not in self._transient:
                yield name, buffer

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> state.IncompatibleKeys:
        """Copy values into the parameters and buffers, in place: all of them, or none if something does not fit.

        Args:
            state_dict: dotted names to tinydl tensors, NumPy arrays or PyTorch tensors, of any numeric dtype.
            strict: whether the names must be exactly those of `state_dict()`.
            assign: put the given tensors in the place of the module's, with their dtypes, instead of copying.

        Returns:
            the names that were missing and unexpected (both empty when strict).

        Raises:
            ValueError: names that differ (when strict), or shapes that do; the message lists all of them.
            TypeError: a value is not numeric.
        """
        return state.load(self, state_dict, strict, assign)

    # -- Printing ---------------------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """What stands in the parentheses of the layer's line."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = [f"({name}): " + repr(module).replace("\n", "\n  ") for name, module in self._modules.items()]
        if not lines:
            body = extra if "\n" not in extra else "\n  " + extra.replace("\n", "\n  ") + "\n"
        else:
            body = "\n  " + "\n  ".join([*extra.split("\n"), *lines] if extra else lines) + "\n"
        return f"{type(self).__name__}({body})"


def _join(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name


def _unique(entries: Iterable[tuple[str, _T]]) -> Iterator[tuple[str, _T]]:
    seen: set[int] = set()
    for name, value in entries:
        if id(value) not in seen:
            seen.add(id(value))
            yield name, value


def _convert(tensor: Tensor, dtype: np.dtype[Any]) -> None:
    """Another dtype for the tensor and its gradient, in place; the memory order stays."""
    if tensor.dtype == dtype:
        return
    tensor._data = tensor._data.astype(dtype, order="K")
    tensor._version = [0]
    if tensor.grad is not None:
        tensor.grad = Tensor(tensor.grad._data.astype(dtype, order="K"))


def _move(tensor: Tensor, device: str | None) -> None:
    """Another device for the tensor and its gradient, in place."""
    if backend.lies_on(tensor._data, device):
        return
    tensor._data = backend.place(tensor._data, device)
    tensor._version = [0]
    if tensor.grad is not None:
        tensor.grad = Tensor(backend.place(tensor.grad._data, device))
