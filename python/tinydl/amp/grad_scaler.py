"""Loss scaling: gradients of float16 numbers are kept above what float16 rounds to 0."""

from __future__ import annotations

import math
import warnings
from typing import Any

from .. import backend, cuda, dtypes
from ..nn.utils.clip_grad import scale_
from ..ops.casting import cast
from ..optim import Optimizer
from ..tensor import Array, Tensor

READY, UNSCALED, STEPPED = "ready", "unscaled", "stepped"


class GradScaler:
    """Multiply the loss by a scale, divide the gradients by it, and skip steps whose gradients are not finite.

    The scale grows by `growth_factor` after `growth_interval` steps in a row with finite gradients, and shrinks by
    `backoff_factor` after each one without, down to 2^-126. An optimiser's gradients are looked at in one call for all
    of one dtype, which is the only thing in a step that waits for a GPU, and unscaled in another.

    Args:
        device: "cuda" or "cpu". Without a GPU a scaler for "cuda" warns and is disabled, as in PyTorch; else it makes
            no difference, as the scale is a Python number.
        init_scale: the first scale.
        growth_factor: above 1.
        backoff_factor: above 0 and below 1.
        growth_interval: at least 1.
        enabled: False makes `scale` and `unscale_` do nothing, and `step` the optimiser's own.

    Raises:
        ValueError: an argument is out of range, or there is no such device.

    Source: Micikevicius et al. 2018, "Mixed precision training", section 3.2.

    >>> import tinydl
    >>> w = tinydl.ones(2, requires_grad=True)
    >>> optimizer, scaler = tinydl.optim.SGD([w], lr=1.0), GradScaler("cpu", init_scale=4.0)
    >>> for factor in (1.0, float("inf")):
    ...     optimizer.zero_grad()
    ...     scaler.scale((w * factor).sum()).backward()
    ...     scaler.step(optimizer)
    ...     scaler.update()
    ...     print(w.tolist(), scaler.get_scale())
    [0.0, 0.0] 4.0
    [0.0, 0.0] 2.0
    """

    def __init__(
        self,
        device: str = "cuda",
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        self._enabled = bool(enabled)
        if self._enabled and device == "cuda" and not cuda.is_available():
            warnings.warn("GradScaler: device 'cuda' is not available; the scaler is disabled", stacklevel=2)
            self._enabled = False
        elif self._enabled:
            backend.check_device(device)
        self._scale = _positive("init_scale", init_scale)
        self.set_growth_factor(growth_factor)
        self.set_backoff_factor(backoff_factor)
        self.set_growth_interval(growth_interval)
        self._growth_tracker = 0  # the steps in a row with finite gradients
        self._stages: dict[int, str] = {}  # of each optimiser since the last update, by id
        self._found: dict[int, bool] = {}  # whether a gradient of each was infinite or NaN

    # -- A step -----------------------------------------------------------------------------------------------

    def scale(self, outputs: Any) -> Any:
        """A tensor times the scale, or a list or tuple of tensors, each times the scale; in float32 at least."""
        if not self._enabled:
            return outputs
        if isinstance(outputs, Tensor):
            wide = cast(outputs, dtypes.float32) if outputs._data.dtype.itemsize == 2 else outputs
            return wide * self._scale
        if isinstance(outputs, list | tuple):
            return type(outputs)([self.scale(each) for each in outputs])
        raise TypeError(f"GradScaler.scale: got {type(outputs).__name__}, wanted a tensor, or a list or tuple of them")

    def unscale_(self, optimizer: Optimizer) -> None:
        """Divide the gradients of an optimiser's parameters by the scale, in place; before `step`, to clip them.

        Raises:
            RuntimeError: they are unscaled already, or the optimiser has stepped, since the last `update`.
            ValueError: a gradient is float16, which holds too little of what was scaled.
        """
        if not self._enabled:
            return
        stage = self._stages.get(id(optimizer), READY)
        if stage == UNSCALED:
            raise RuntimeError("unscale_: the gradients of this optimizer are unscaled already; call update() first")
        if stage == STEPPED:
            raise RuntimeError("unscale_: this optimizer has stepped since the last update(); call it before step()")
        grads = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if any(g.dtype == dtypes.float16 for g in grads):
            raise ValueError("unscale_: got gradients of float16; keep the parameters in float32, and use autocast")
        lists = _by_kind(grads)
        if lists:
            self._found[id(optimizer)] = not all([_are_finite(alike) for alike in lists])
        for alike in lists:
            scale_(alike, 1 / self._scale)
        self._stages[id(optimizer)] = UNSCALED

    def step(self, optimizer: Optimizer, *args: Any, **kwargs: Any) -> Any:
        """`optimizer.step(...)`, whose result it returns, unless a gradient is infinite or NaN; unscales them first.

        RuntimeError for a second step before `update`, for a closure, and where no parameter has a gradient.
        """
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if args or kwargs.get("closure") is not None:
            raise RuntimeError("step: a closure cannot be used with a GradScaler")
        stage = self._stages.get(id(optimizer), READY)
        if stage == STEPPED:
            raise RuntimeError("step: this optimizer has stepped since the last update(); call that first")
        if stage == READY:
            self.unscale_(optimizer)
        if id(optimizer) not in self._found:
            raise RuntimeError("step: no parameter of the optimizer has a gradient; call backward() first")
        result = None if self._found[id(optimizer)] else optimizer.step(**kwargs)
        self._stages[id(optimizer)] = STEPPED
        return result

    def update(self, new_scale: float | Tensor | None = None) -> None:
        """Shrink or grow the scale after the steps of all optimisers, or set it to `new_scale`.

        RuntimeError where no step came before.
        """
        if not self._enabled:
            return
        if new_scale is not None:
            self._scale = _positive("new_scale", float(new_scale))
        elif not self._found:
            raise RuntimeError("update: no gradients were looked at; call step(optimizer) or unscale_(optimizer) first")
        elif any(self._found.values()):
            self._scale = max(self._scale * self._backoff_factor, _SMALLEST)
            self._growth_tracker = 0
        else:
            self._growth_tracker += 1
            if self._growth_tracker == self._growth_interval:
                grown = self._scale * self._growth_factor
                self._scale = grown if grown < _LARGEST else self._scale
                self._growth_tracker = 0
        self._stages.clear()
        self._found.clear()

    # -- What it holds ----------------------------------------------------------------------------------------

    def is_enabled(self) -> bool:
        """Whether it scales."""
        return self._enabled

    def get_scale(self) -> float:
        """The scale; 1 where it is not enabled."""
        return self._scale if self._enabled else 1.0

    def get_growth_factor(self) -> float:
        """What the scale grows by."""
        return self._growth_factor

    def set_growth_factor(self, new_factor: float) -> None:
        """Change that; ValueError unless it is above 1."""
        if not new_factor > 1:
            raise ValueError(f"GradScaler: got growth_factor={new_factor}, wanted a number above 1")
        self._growth_factor = float(new_factor)

    def get_backoff_factor(self) -> float:
        """What the scale shrinks by."""
        return self._backoff_factor

    def set_backoff_factor(self, new_factor: float) -> None:
        """Change that; ValueError unless it is between 0 and 1."""
        if not 0 < new_factor < 1:
            raise ValueError(f"GradScaler: got backoff_factor={new_factor}, wanted a number above 0 and below 1")
        self._backoff_factor = float(new_factor)

    def get_growth_interval(self) -> int:
        """After how many steps with finite gradients the scale grows."""
        return self._growth_interval

    def set_growth_interval(self, new_interval: int) -> None:
        """Change that; ValueError unless it is at least 1."""
        if not new_interval >= 1:
            raise ValueError(f"GradScaler: got growth_interval={new_interval}, wanted at least 1")
        self._growth_interval = int(new_interval)

    def state_dict(self) -> dict[str, Any]:
        """The scale, its factors and interval, and how far it is from growing, under PyTorch's names; {} if disabled.

        To be taken after `update`.
        """
        return {name: getattr(self, attribute) for name, attribute in _STATE.items()} if self._enabled else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a `state_dict`, of this class or PyTorch's; does nothing where the scaler is not enabled.

        Raises ValueError, and changes nothing, where an entry is missing, as in that of a scaler that is not enabled.
        """
        if not self._enabled:
            return
        missing = _STATE.keys() - state_dict.keys()
        if missing:
            raise ValueError(
                f"GradScaler.load_state_dict: the state lacks {', '.join(sorted(missing))}; was the scaler enabled?"
            )
        for name, attribute in _STATE.items():
            setattr(self, attribute, type(getattr(self, attribute))(state_dict[name]))


# No scale is outside, as gradients are float32; and 1 / scale is finite there.
_SMALLEST, _LARGEST = (float(limit) for limit in (dtypes.finfo(dtypes.float32).tiny, dtypes.finfo(dtypes.float32).max))
_STATE = {
    "scale": "_scale",
    "growth_factor": "_growth_factor",
    "backoff_factor": "_backoff_factor",
    "growth_interval": "_growth_interval",
    "_growth_tracker": "_growth_tracker",
}


def _positive(name: str, value: float) -> float:
    if not 0 < value < math.inf:
        raise ValueError(f"GradScaler: got {name}={value}, wanted a positive number")
    return float(value)


def _by_kind(grads: list[Tensor]) -> list[list[Tensor]]:
    """The gradients in lists of one dtype on one device."""
    lists: dict[Any, list[Tensor]] = {}
    for g in grads:
        lists.setdefault((g._data.dtype, backend.device_of(g._data)), []).append(g)
    return list(lists.values())


def _are_finite(grads: list[Tensor]) -> bool:
    """Whether no element is infinite or NaN; waits for a GPU."""
    arrays: list[Array] = [g._data for g in grads]
    return math.isfinite(backend.of(arrays[0]).total_norm(arrays, "maximum"))
