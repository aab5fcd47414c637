"""What all optimisers share: groups of parameters with their hyperparameters, and each parameter's state."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from .. import backend, capture
from ..autograd import enable_grad
from ..hooks import RemovableHandle
from ..tensor import Array, Tensor

Params = Iterable[Tensor] | Iterable[dict[str, Any]] | Iterable[tuple[str, Tensor]]
Closure = Callable[[], Any]

# PyTorch's choices between ways to compute a step. Here every step is one fused call over all parameters, which a CUDA
# graph can capture: three of them change nothing, and `differentiable` cannot be had.
ENGINE = ("foreach", "fused", "capturable", "differentiable")


class Optimizer:
    """Base of the optimisers: a subclass defines `_call`, and `_check` for its hyperparameters, or a `step` of its own.

    Args:
        params: tensors, pairs (name, tensor), or dicts {"params": tensors or pairs, hyperparameter: value} for groups
            with their own values.
        defaults: the hyperparameters of groups that name none.

    PyTorch's options of how a step is computed, not what, are accepted for its scripts' sake: `foreach`, `fused` and
    `capturable` change nothing, since every step is one call over all parameters, which a CUDA graph can capture;
    `differentiable` must be False.

    Attributes:
        param_groups: a list of dicts; changing an entry (`group["lr"] = 0.01`) acts from the next step on.
        state: what the optimiser remembers for each parameter.

    Raises:
        ValueError: no parameters, one twice, one that an operation made, or a hyperparameter out of range.
        TypeError: a parameter is no tensor.
    """

    def __init__(self, params: Params, defaults: dict[str, Any]) -> None:
        if isinstance(params, Tensor | dict):
            raise TypeError(f"{self._name}: params is a {type(params).__name__}, wanted a list of tensors or dicts")
        self.defaults = defaults
        self.state: dict[Tensor, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        self._scattered: set[Tensor] = set()  # the parameters with gaps in memory, which no kernel updates in place
        self._hooks: dict[str, dict[int, Any]] = {name: {} for name in HOOKS}
        self._opt_called = False  # which the schedules look at
        groups: list[Any] = list(params)
        if not groups:
            raise ValueError(f"{self._name}: got an empty list of parameters")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    @property
    def _name(self) -> str:
        return type(self).__name__

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Optimise more parameters: {"params": tensors, hyperparameter: value ...}."""
        if not isinstance(param_group, dict) or "params" not in param_group:
            raise TypeError(f'{self._name}: a parameter group must be a dict with the key "params"')
        names, params = _named(self._name, param_group["params"])
        used = {id(p) for group in self.param_groups for p in group["params"]}
        for index, p in enumerate(params):
            if not isinstance(p, Tensor):
                raise TypeError(f"{self._name}: parameter {index} is a {type(p).__name__}, wanted a tensor")
            if not p.is_leaf:
                raise ValueError(f"{self._name}: parameter {index} was made by an operation; only leaves can change")
            if id(p) in used:
                raise ValueError(f"{self._name}: parameter {index} appears twice")
            if not backend.is_writeable(p._data):
                raise ValueError(f"{self._name}: parameter {index} is read-only, or repeats elements; pass a clone()")
            used.add(id(p))
        group = {**self.defaults, **param_group, "params": params}
        if names is not None:
            group["param_names"] = names
        if group.get("differentiable"):
            raise ValueError(
                f"{self._name}: differentiable=True is not available: "
                "a step changes the parameters in place and is not recorded"
            )
        self._check(group)
        self._scattered.update(p for p in params if not _is_dense(p._data))
        self.param_groups.append(group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients; without `set_to_none` fill them with zeros."""
        for p in self._params():
            if set_to_none:
                p.grad = None
            elif p.grad is not None:
                p.grad._data.fill(0)
                p.grad._version[0] += 1

    def step(self, closure: Closure | None = None) -> Any:
        """Update every parameter that has a gradient.

        Captured in a CUDA graph, each replay is the next step, with the hyperparameters that the groups have by then.
        Of hooks and the closure the launches are repeated, not what they do in Python. The states must be there before,
        from a first step, and parameters stay in their groups.

        Args:
            closure: evaluates the model, calls backward and returns the loss, which `step` returns.
        """
        self._opt_called = True
        if self._hooks["step_pre"]:
            closure = self._call_pre_hooks(closure)
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        if capture.active is not None and capture.active.here:
            self._record(capture.active)
        else:
            self._update_groups()
        for hook in self._hooks["step_post"].values():
            hook(self, () if closure is None else (closure,), {})
        return loss

    def _record(self, captured: capture.Capture) -> None:
        """A step within a capture: nothing runs, so the parameters' numbers stay as they were."""
        gradients = {p: p.grad for p in self._params() if p.grad is not None}
        if any(backend.kind_of(p._data) != "cuda" for p in gradients):
            capture.refuse(f"{self._name}.step on parameters of the CPU", "it would run at once")
        if not self._scattered.isdisjoint(gradients):
            capture.refuse(f"{self._name}.step on parameters with gaps in memory", "make them with clone()")
        if any(not getattr(type(self), name).__module__.startswith("tinydl.") for name in ("_call", "_update")):
            capture.refuse(f"{self._name}.step, a class of your own,", "call it after the replay")
        before = self._numbers_of(gradients)
        try:
            with captured.slots.taken(fills=False):
                self._update_groups()
            begun = any(_present(self.state[p]) - _present(state) - {*self._numbers} for p, state in before.items())
        finally:
            self._set_back(before)
        if begun:
            raise capture.CaptureError(
                f"{self._name}.step: the first step of a parameter cannot be captured in a CUDA graph, as each replay "
                "would begin its state anew; run a step before the capture"
            )
        captured.steps.append(capture.Step(self, gradients))

    def _numbers_of(self, params: Iterable[Tensor]) -> dict[Tensor, dict[str, Any]]:
        """The states of parameters, for `_set_back`."""
        return {p: dict(self.state.get(p, {})) for p in params}

    def _set_back(self, states: dict[Tensor, dict[str, Any]]) -> None:
        for p, state in states.items():
            if state:
                self.state[p] = state
            else:
                self.state.pop(p, None)

    def _repeat(self, gradients: dict[Tensor, Tensor]) -> None:
        """The captured step once more, on the same gradients, for the numbers that it would write."""
        now = {p: p.grad for p in self._params()}
        try:
            for p in now:
                p._grad = gradients.get(p)
            self._update_groups()
        finally:
            for p, gradient in now.items():
                p._grad = gradient

    def _update_groups(self) -> None:
        for group in self.param_groups:
            self._check(group)
            params = [p for p in group["params"] if p.grad is not None]
            for p in params:
                if p.grad.dtype != p.dtype:
                    raise TypeError(f"{self._name}: a parameter of dtype {p.dtype} has a gradient of {p.grad.dtype}")
            scattered = [(p, p._data) for p in params if p in self._scattered] if self._scattered else ()
            for p, array in scattered:
                p._data = array.copy(order="K")
            try:
                for dtype in dict.fromkeys(p.dtype for p in params):
                    self._update(group, [p for p in params if p.dtype == dtype])
            finally:
                for p, array in scattered:
                    array[...], p._data = p._data, array
            for p in params:
                p._version[0] += 1

    def _call_pre_hooks(self, closure: Closure | None) -> Closure | None:
        """Call the hooks before a step, which may replace its arguments."""
        args: tuple[Any, ...] = () if closure is None else (closure,)
        kwargs: dict[str, Any] = {}
        for hook in self._hooks["step_pre"].values():
            result = hook(self, args, kwargs)
            if result is not None:
                if not isinstance(result, tuple) or len(result) != 2:
                    raise TypeError(f"{self._name}: a step_pre_hook returned {result!r}, wanted None or (args, kwargs)")
                args, kwargs = result
        return args[0] if args else kwargs.get("closure")

    def state_dict(self) -> dict[str, Any]:
        """{"state": {number: state}, "param_groups": [...]} as in PyTorch, the parameters numbered in order.

        The state's tensors are the optimiser's own, not copies.
        """
        for hook in self._hooks["state_dict_pre"].values():
            hook(self)
        numbers = {p: number for number, p in enumerate(self._params())}
        groups = [{**group, "params": [numbers[p] for p in group["params"]]} for group in self.param_groups]
        state = {numbers[p]: {k: self._saved(k, v) for k, v in s.items()} for p, s in self.state.items()}
        out: dict[str, Any] = {"state": state, "param_groups": groups}
        for hook in self._hooks["state_dict_post"].values():
            out = _or(hook(self, out), out)
        return out

    def _saved(self, key: str, value: Any) -> Any:
        """A state as PyTorch keeps it: counters and other numbers are tensors of no axes."""
        if key not in self._numbers:
            return value
        return Tensor(np.array(value, np.float32 if key == "step" else np.float64))

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a `state_dict` of this class, here or in PyTorch; the state is copied.

        Raises ValueError, and changes nothing, if the groups or the shapes do not fit.
        """
        for hook in self._hooks["load_state_dict_pre"].values():
            state_dict = _or(hook(self, state_dict), state_dict)
        saved = state_dict["param_groups"]
        sizes, wanted = ([len(group["params"]) for group in groups] for groups in (saved, self.param_groups))
        if sizes != wanted:
            raise ValueError(f"load_state_dict: got groups of {sizes} parameters, wanted {wanted}")
        numbers = [number for group in saved for number in group["params"]]
        by_number = dict(zip(numbers, self._params(), strict=True))
        state: dict[Tensor, dict[str, Any]] = defaultdict(dict)
        for number, values in state_dict["state"].items():
            if number not in by_number:
                raise ValueError(f"load_state_dict: got state for parameter {number}, which no group has")
            p = by_number[number]
            state[p] = {key: self._restored(number, key, value, p) for key, value in values.items()}
        kept = ("params", "param_names", *ENGINE)
        groups = [
            {**ours, **theirs, **{key: ours[key] for key in kept if key in ours}}
            for ours, theirs in zip(self.param_groups, saved, strict=True)
        ]
        for group in groups:
            self._check(group)
        for ours, group in zip(self.param_groups, groups, strict=True):
            ours.update(group)
        self.state = state
        for hook in self._hooks["load_state_dict_post"].values():
            hook(self)

    def _restored(self, number: Any, key: str, value: Any, p: Tensor) -> Any:
        """A loaded state: numbers as such, arrays as tensors that lie in memory as the parameter does."""
        if value is None:
            return None
        if key in self._numbers:
            return int(float(value)) if key == "step" else float(value)
        array = backend.asarray(value._data if isinstance(value, Tensor) else value)
        if array.shape != p.shape:
            raise ValueError(f"load_state_dict: {key} of parameter {number} has shape {array.shape}, wanted {p.shape}")
        out = np.empty_like(p._data)
        out[...] = backend.place(array, backend.device_of(out))
        return Tensor(out)

    # -- Hooks -----------------------------------------------------------------------------------------------

    def register_step_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call hook(optimizer, args, kwargs) before each step; it may return other (args, kwargs)."""
        return RemovableHandle(self._hooks["step_pre"], hook)

    def register_step_post_hook(self, hook: Callable[..., None]) -> RemovableHandle:
        """Call hook(optimizer, args, kwargs) after each step."""
        return RemovableHandle(self._hooks["step_post"], hook)

    def register_state_dict_pre_hook(self, hook: Callable[..., None], prepend: bool = False) -> RemovableHandle:
        """Call hook(optimizer) before `state_dict`."""
        return RemovableHandle(self._hooks["state_dict_pre"], hook, prepend)

    def register_state_dict_post_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Call hook(optimizer, state_dict) on what `state_dict` will return; it may return another one."""
        return RemovableHandle(self._hooks["state_dict_post"], hook, prepend)

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Call hook(optimizer, state_dict) before `load_state_dict`; it may return another one to load."""
        return RemovableHandle(self._hooks["load_state_dict_pre"], hook, prepend)

    def register_load_state_dict_post_hook(self, hook: Callable[..., None], prepend: bool = False) -> RemovableHandle:
        """Call hook(optimizer) after `load_state_dict`."""
        return RemovableHandle(self._hooks["load_state_dict_post"], hook, prepend)

    def __repr__(self) -> str:
        lines = [f"{self._name} ("]
        for number, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {number}")
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key != "params"]
        return "\n".join([*lines, ")"])

    def _params(self) -> Iterator[Tensor]:
        return (p for group in self.param_groups for p in group["params"])

    # -- For subclasses --------------------------------------------------------------------------------------

    _numbers: tuple[str, ...] = ("step",)  # the states that are numbers, not arrays
    _ranges: tuple[str, ...] = ()  # the hyperparameters that must be at least 0, and "betas"

    def _check(self, group: dict[str, Any]) -> None:
        """Raise ValueError for hyperparameters out of range."""
        for key in self._ranges:
            check_betas(self, group) if key == "betas" else check_range(self, group, key)

    def _update(self, group: dict[str, Any], params: list[Tensor]) -> None:
        """Update parameters of one dtype, all of which have gradients: those at the same step together."""
        by_step: dict[int, list[Tensor]] = {}
        for p in params:
            by_step.setdefault(self.state[p].get("step", 0) + 1, []).append(p)
        for step, alike in by_step.items():
            self._call(group, alike, step)
            for p in alike:
                self.state[p]["step"] = step

    def _call(self, group: dict[str, Any], params: list[Tensor], step: int) -> None:
        """Update parameters that are all at their step `step`, counted from 1."""
        raise NotImplementedError(f"{self._name} defines neither _call nor step")

    def _alike(self, params: list[Tensor], **initial: float) -> Iterable[tuple[tuple[Any, ...], list[Tensor]]]:
        """The parameters in lists whose numbers of the given names are equal, with those numbers."""
        lists: dict[tuple[Any, ...], list[Tensor]] = {}
        for p in params:
            state = self.state[p]
            key = tuple([state.get(name, start) for name, start in initial.items()])
            lists.setdefault(key, []).append(p)
        return lists.items()

    def _states(self, params: list[Tensor], key: str, fill: float = 0) -> list[Array]:
        """One state of each parameter as arrays; missing ones start full of `fill`."""
        arrays = []
        for p in params:
            state = self.state[p]
            if state.get(key) is None:
                state[key] = Tensor(np.full_like(p._data, fill))
            elif type(state[key]._data) is not type(p._data):  # the parameter has moved between host and GPU since
                state[key] = Tensor(backend.place(state[key]._data, backend.device_of(p._data)))
            arrays.append(state[key]._data)
        return arrays


_ROUNDING = 1e-12
HOOKS = ("step_pre", "step_post", "state_dict_pre", "state_dict_post", "load_state_dict_pre", "load_state_dict_post")


def _present(state: dict[str, Any]) -> set[str]:
    return {key for key, value in state.items() if value is not None}


def _is_dense(array: Array) -> bool:
    """Whether the elements lie without gaps, in any order of the axes."""
    steps = zip(array.shape, array.strides, np.empty_like(array).strides, strict=True)
    return array.size == 0 or all(ours == dense for size, ours, dense in steps if size > 1)


def arrays(params: list[Tensor]) -> tuple[list[Array], list[Array]]:
    """The arrays of the parameters, and those of their gradients."""
    return [p._data for p in params], [p.grad._data for p in params if p.grad is not None]


def check_range(owner: Optimizer, group: dict[str, Any], key: str) -> None:
    """Raise ValueError unless 0 <= group[key] < ∞; what a schedule's rounding takes just below 0 passes."""
    if not -_ROUNDING <= group[key] < math.inf:
        raise ValueError(f"{type(owner).__name__}: got {key} = {group[key]}, wanted at least 0 and a finite number")


def check_betas(owner: Optimizer, group: dict[str, Any]) -> None:
    """Raise ValueError unless group["betas"] are two numbers from 0 to below 1."""
    if len(group["betas"]) != 2 or not all(0 <= beta < 1 for beta in group["betas"]):
        raise ValueError(f"{type(owner).__name__}: got betas = {group['betas']}, wanted two numbers from 0 to below 1")


def decay(group: dict[str, Any]) -> tuple[float, float, bool]:
    """What every kernel takes last: the gradient's share of p, what is kept of p, and whether to climb."""
    if group.get("decoupled_weight_decay"):
        return 0.0, 1 - group["lr"] * group["weight_decay"], group["maximize"]
    return group["weight_decay"], 1.0, group["maximize"]


def _named(owner: str, params: Any) -> tuple[list[str] | None, list[Any]]:
    """The names and the tensors of a group's parameters; None where they have no names."""
    if isinstance(params, Tensor):
        return None, [params]
    if isinstance(params, set | frozenset):
        raise TypeError(f"{owner}: params is a set, whose order changes from run to run; pass a list")
    params = list(params)
    pairs = [p for p in params if isinstance(p, tuple) and len(p) == 2 and isinstance(p[0], str)]
    if not pairs:
        return None, params
    if len(pairs) != len(params):
        raise ValueError(f"{owner}: some parameters have names and some have none")
    return [name for name, _ in pairs], [p for _, p in pairs]


def _or(result: Any, otherwise: Any) -> Any:
    return otherwise if result is None else result
