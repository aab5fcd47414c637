"""What all optimisers share: groups of parameters with their hyperparameters, and each parameter's state."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from ..autograd import enable_grad
from ..tensor import Array, Tensor

Params = Iterable[Tensor] | Iterable[dict[str, Any]]
Closure = Callable[[], Any]


class Optimizer:
    """Base of the optimisers; a subclass defines `_update` for a group and `_check` for hyperparameters.

    Args:
        params: tensors, or dicts {"params": tensors, hyperparameter: value} for groups with their own values.
        defaults: the hyperparameters of groups that name none.

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
        params = param_group["params"]
        params = [params] if isinstance(params, Tensor) else list(params)
        used = {id(p) for group in self.param_groups for p in group["params"]}
        for index, p in enumerate(params):
            if not isinstance(p, Tensor):
                raise TypeError(f"{self._name}: parameter {index} is a {type(p).__name__}, wanted a tensor")
            if not p.is_leaf:
                raise ValueError(f"{self._name}: parameter {index} was made by an operation; only leaves can change")
            if id(p) in used:
                raise ValueError(f"{self._name}: parameter {index} appears twice")
            used.add(id(p))
        group = {"params": params, **self.defaults, **{k: v for k, v in param_group.items() if k != "params"}}
        self._check(group)
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

        Args:
            closure: evaluates the model, calls backward and returns the loss, which `step` returns.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        for group in self.param_groups:
            self._check(group)
            params = [p for p in group["params"] if p.grad is not None]
            for p in params:
                if p.grad.dtype != p.dtype:
                    raise TypeError(f"{self._name}: a parameter of dtype {p.dtype} has a gradient of {p.grad.dtype}")
            for dtype in dict.fromkeys(p.dtype for p in params):
                self._update(group, [p for p in params if p.dtype == dtype])
            for p in params:
                p._version[0] += 1
        return loss

    def state_dict(self) -> dict[str, Any]:
        """{"state": {number: state}, "param_groups": [...]} as in PyTorch, the parameters numbered in order.

        The state's tensors are the optimiser's own, not copies.
        """
        numbers = {p: number for number, p in enumerate(self._params())}
        groups = [{**group, "params": [numbers[p] for p in group["params"]]} for group in self.param_groups]
        return {"state": {numbers[p]: dict(s) for p, s in self.state.items()}, "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a `state_dict` of this class, here or in PyTorch; the state is copied.

        Raises ValueError, and changes nothing, if the groups or the shapes do not fit.
        """
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
            state[p] = {key: _restored(number, key, value, p) for key, value in values.items()}
        groups = [
            {**ours, **theirs, "params": ours["params"]} for ours, theirs in zip(self.param_groups, saved, strict=True)
        ]
        for group in groups:
            self._check(group)
        for ours, group in zip(self.param_groups, groups, strict=True):
            ours.update(group)
        self.state = state

    def __repr__(self) -> str:
        lines = [f"{self._name} ("]
        for number, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {number}")
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key != "params"]
        return "\n".join([*lines, ")"])

    def _params(self) -> Iterator[Tensor]:
        return (p for group in self.param_groups for p in group["params"])

    # -- For subclasses --------------------------------------------------------------------------------------

    def _check(self, group: dict[str, Any]) -> None:
        """Raise ValueError for hyperparameters out of range."""
        raise NotImplementedError

    def _update(self, group: dict[str, Any], params: list[Tensor]) -> None:
        """Update parameters of one dtype, all of which have gradients."""
        raise NotImplementedError

    def _states(self, params: list[Tensor], key: str) -> list[Array]:
        """One state of each parameter as arrays; missing ones start as zeros."""
        arrays = []
        for p in params:
            state = self.state[p]
            if state.get(key) is None:
                state[key] = Tensor(np.zeros_like(p._data))
            arrays.append(state[key]._data)
        return arrays


def arrays(params: list[Tensor]) -> tuple[list[Array], list[Array]]:
    """The arrays of the parameters, and those of their gradients."""
    return [p._data for p in params], [p.grad._data for p in params if p.grad is not None]


def check_range(owner: Optimizer, group: dict[str, Any], key: str, below: float = math.inf) -> None:
    """Raise ValueError unless 0 <= group[key] < below."""
    if not 0 <= group[key] < below:
        limit = "a finite number" if below == math.inf else f"less than {below}"
        raise ValueError(f"{type(owner).__name__}: got {key} = {group[key]}, wanted at least 0 and {limit}")


def _restored(number: Any, key: str, value: Any, p: Tensor) -> Any:
    """A loaded state: counters as integers, arrays as tensors that lie in memory as the parameter does."""
    if value is None:
        return None
    if key == "step":
        return int(float(value))
    array = np.asarray(value._data if isinstance(value, Tensor) else value)
    if array.shape != p.shape:
        raise ValueError(f"load_state_dict: {key} of parameter {number} has shape {array.shape}, wanted {p.shape}")
    out = np.empty_like(p._data)
    out[...] = array
    return Tensor(out)
