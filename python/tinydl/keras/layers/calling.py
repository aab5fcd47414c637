"""How a layer is called: with data, with symbolic tensors, or from within the `call` of another layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np

from ... import nn
from ...autograd import enable_grad, no_grad
from ...tensor import Tensor
from .. import functional, tree
from ..config import Configured
from . import masks, own
from .layout import all_first, all_last, as_float


class Called(Configured):
    """What `Layer` has for that."""

    _calls: ClassVar[bool] = False  # whether the class has a `call` of its own
    _takes_training: ClassVar[bool] = False  # and whether that has an argument `training`
    _takes_pooling = False  # whether its kernels can do a maximum pooling after it, too
    _pool_windows: Any = None  # what such a layer has to know to do this one's work, if it can
    _takes_mask = False  # whether `call`, or `forward`, has an argument `mask`
    _makes_masks = False  # whether outputs may have a mask where inputs have none
    supports_masking = False  # whether outputs have a mask where the inputs have one
    _steps_from = 0  # the fewest axes, with the batch's, of inputs that may be of any length; 0 where that is fixed
    inner: nn.Module | None = None
    activity_regularizer: Callable[[Tensor], Tensor] | None
    _losses: list[Tensor]
    _beside: own.Beside

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        defined = vars(cls)
        if "compute_mask" in defined:
            cls.supports_masking = defined.get("supports_masking", True)
            cls._makes_masks = defined.get("_makes_masks", True)
        if "call" in defined:
            cls._takes_mask = own.accepts(defined["call"], "mask")

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """The mask of the outputs, from the inputs and their mask; None where there is none."""
        return previous_mask

    @property
    def may_mask(self: Any) -> bool:
        """Whether outputs may have a mask where inputs have none."""
        return any(layer._makes_masks for layer in self.all_layers())

    def forget_losses(self: Any) -> None:
        """Drop the penalties of the last call."""
        for layer in self.all_layers():
            layer._losses.clear()

    def adopt(self: Any) -> None:
        """Let `inner` have the modules of the layers within this one."""
        if self.inner is None:
            self.inner = nn.Module()
        if not isinstance(self.inner, nn.Module):
            raise ValueError(f'Layer "{self.name}": an attribute must not have the name `inner`: choose another one')
        for path, layer in self.sublayers().items():
            if layer.inner is not None:
                self.inner._modules[path] = layer.inner

    @property
    def input_shape(self: Any) -> Any:
        """The shape of a sample that goes in."""
        return self._in

    @property
    def output_shape(self: Any) -> Any:
        """The shape of a sample that comes out."""
        return self._out

    def __call__(self: Any, inputs: Any, *others: Any, training: bool | None = None, **options: Any) -> Any:
        """The output for a batch; only with `training` are the operations recorded for gradients.

        Called within another layer's `call` it is in that layer's mode, unless `training` says otherwise, and recorded
        if that is. Of a symbolic tensor, such as `Input` makes, it makes another.
        """
        if type(inputs) is not Tensor and functional.has_symbols((inputs, others, options)):
            return functional.apply(self, (inputs, *others), options, training)
        x = self._as_inputs(inputs)
        if not self.built:
            self._beside = others, options
            self.build(x.shape if type(x) is Tensor else tree.map_leaves(lambda t: t.shape, x))
        where = own.place()
        if where == own.NESTED:
            if training is None or training == self.training:
                return self._output(x, others, options)
            with self._in_mode(training):
                return self._output(x, others, options)
        if where == own.TOP:
            self.forget_losses()
        with self._in_mode(bool(training)):
            if where == own.STEP:
                return self._output(x, others, options)
            with enable_grad() if training else no_grad():
                return self._output(x, others, options)

    def _as_inputs(self, inputs: Any) -> Any:
        """The inputs as tensors."""
        if type(inputs) is Tensor:
            return as_float(inputs)
        several = isinstance(inputs, dict | list | tuple) and any(
            isinstance(leaf, Tensor | np.ndarray) for leaf in tree.flatten(inputs)
        )
        return tree.map_leaves(as_float, inputs) if several else as_float(inputs)

    def _output(self: Any, x: Any, others: tuple[Any, ...], options: dict[str, Any]) -> Any:
        if self._makes_masks or "mask" in options or masks.any_mask(x):
            return masks.carried(self, self._unmasked, x, others, options)
        return self._unmasked(x, *others, **options)

    def _unmasked(self: Any, x: Any, *others: Any, **options: Any) -> Any:
        if self._calls:
            return self._called(x, *others, **options)
        return all_last(self.forward(all_first(x), *others, **options))

    @contextmanager
    def _in_mode(self, training: bool) -> Iterator[None]:
        """Training or evaluation mode for a block."""
        inner = self.inner
        before = [] if inner is None else [(module, module.training) for module in inner.modules()]
        for module, _ in before:
            module.training = training
        try:
            yield
        finally:
            for module, was in before:
                module.training = was

    def _called(self: Any, x: Any, *others: Any, **options: Any) -> Any:
        """What the layer's own `call` returns."""
        if self._takes_training and options.get("training") is None:
            options["training"] = self.training
        with own.within(own.NESTED):
            out = self.call(x, *others, **options)
        if self.activity_regularizer is not None:
            for each in tree.flatten(out):
                self._losses.append(self.activity_regularizer(each) / each.shape[0])
        return out

    @property
    def input(self: Any) -> Any:
        """The symbolic input, where the layer has been called with one, once."""
        return functional.only_node(self).args[0]

    @property
    def output(self: Any) -> Any:
        """The symbolic output, where the layer has been called with a symbolic input, once."""
        return functional.only_node(self).outputs
