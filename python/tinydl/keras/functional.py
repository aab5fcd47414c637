"""The symbolic graph: what layers make of symbolic tensors, and the function from some of these to others.

A layer that is called with symbolic tensors makes a `Node`, and the node symbolic tensors, which know their shapes. A
`Graph` finds the nodes between inputs and outputs, and puts them in an order in which they can be computed.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from typing import TYPE_CHECKING, Any

from . import tree

if TYPE_CHECKING:
    from .layers.base import Layer

Function = Callable[[list[Any]], list[Any]]
Step = Callable[[list[Any]], None]


class KerasTensor:
    """What a layer will make, known by its shape, that begins with the batch axis.

    Attributes:
        node: the call of a layer that makes it.
        number: which of the node's outputs it is.
    """

    dtype = "float32"
    __array_priority__ = 1000

    def __init__(self, shape: Sequence[int | None], node: Node, number: int = 0, name: str | None = None) -> None:
        self.shape = tuple(shape)
        self.node = node
        self.number = number
        self.name = name or node.layer.name

    @property
    def ndim(self) -> int:
        """The number of axes, with the batch's."""
        return len(self.shape)

    def __repr__(self) -> str:
        return f"<KerasTensor shape={self.shape}, dtype={self.dtype}, name={self.name}>"

    def _refuse(self, *_: Any) -> Any:
        raise TypeError(
            f"{self!r} has no values yet: layers and operators take it; `layers.Lambda` makes a layer of a function"
        )

    __array__ = __bool__ = __float__ = __int__ = __iter__ = __len__ = _refuse


def _operator(operation: str, reflected: bool = False) -> Callable[..., Any]:
    def method(self: KerasTensor, *others: Any) -> Any:
        from .layers.operation import Operation

        return Operation(operation, reflected)(self, *others)

    return method


for _name, _operation in {
    "add": "add",
    "sub": "subtract",
    "mul": "multiply",
    "truediv": "true_divide",
    "pow": "power",
    "matmul": "matmul",
}.items():
    setattr(KerasTensor, f"__{_name}__", _operator(_operation))
    setattr(KerasTensor, f"__r{_name}__", _operator(_operation, reflected=True))
for _name, _operation in {"neg": "negative", "getitem": "getitem"}.items():
    setattr(KerasTensor, f"__{_name}__", _operator(_operation))


class Node:
    """A call of a layer: layer(*args, **options), among which there are symbolic tensors.

    Attributes:
        training: the mode that the call asks for, or None for that of the model.
        outputs: the symbolic tensors that it makes, in the structure that the layer returns.
    """

    def __init__(self, layer: Layer, args: tuple[Any, ...], options: dict[str, Any], training: bool | None) -> None:
        self.layer = layer
        self.args = args
        self.options = options
        self.training = training
        self.sources = [leaf for leaf in tree.flatten((args, options)) if isinstance(leaf, KerasTensor)]
        self.outputs: Any = None
        self.number = len(layer._nodes)
        layer._nodes.append(self)

    @property
    def results(self) -> list[KerasTensor]:
        """The outputs in a row."""
        return tree.flatten(self.outputs)


def has_symbols(structure: Any) -> bool:
    """Whether there is a symbolic tensor in it."""
    if isinstance(structure, list | tuple):
        return any(map(has_symbols, structure))
    return any(map(has_symbols, structure.values())) if isinstance(structure, dict) else type(structure) is KerasTensor


def only_node(layer: Layer) -> Node:
    """The one call of the layer with symbolic tensors; AttributeError where there is none, or several."""
    if len(layer._nodes) != 1:
        how = "not been called with a symbolic tensor" if not layer._nodes else "several inputs and outputs"
        raise AttributeError(f'Layer "{layer.name}" has {how}')
    return layer._nodes[0]


def new_input(layer: Layer, shape: Sequence[int | None], name: str | None = None) -> KerasTensor:
    """The symbolic tensor that a model's input layer stands for."""
    node = Node(layer, (), {}, None)
    node.outputs = KerasTensor(shape, node, name=name)
    return node.outputs  # type: ignore[no-any-return]


def apply(layer: Layer, args: tuple[Any, ...], options: dict[str, Any], training: bool | None) -> Any:
    """What a layer makes of symbolic tensors; builds the layer. ValueError where the shapes do not fit it."""
    first = tree.flatten(args[0])
    if not all(isinstance(leaf, KerasTensor) for leaf in first):
        wrong = next(type(leaf).__name__ for leaf in first if not isinstance(leaf, KerasTensor))
        raise ValueError(f'Layer "{layer.name}": got symbolic tensors and a {wrong}, wanted symbolic tensors alone')
    others = args[1:], options
    node = Node(layer, args, options, training)
    made: list[KerasTensor] = []

    def make(shape: Any) -> KerasTensor:
        made.append(KerasTensor(shape, node, len(made)))
        return made[-1]

    try:
        node.outputs = layer.symbolic_outputs(tree.map_leaves(lambda leaf: leaf.shape, args[0]), others, make)
    except BaseException:
        layer._nodes.remove(node)
        raise
    return node.outputs


class Graph:
    """The function from some symbolic tensors to others.

    Attributes:
        nodes: the calls, each after those that it needs.
        layers: the layers of the nodes, as Keras orders them: those far from the outputs first.
    """

    def __init__(self, owner: str, inputs: Sequence[KerasTensor], outputs: Sequence[KerasTensor]) -> None:
        self.inputs = list(inputs)
        self.outputs = list(outputs)
        for what, tensors in (("inputs", self.inputs), ("outputs", self.outputs)):
            for tensor in tensors:
                if not isinstance(tensor, KerasTensor):
                    kind = type(tensor).__name__
                    raise ValueError(f"{owner}: got a {kind} among the {what}, wanted symbolic tensors, as of `Input`")
            if not tensors:
                raise ValueError(f"{owner}: got no {what}")
        if len({id(tensor) for tensor in self.inputs}) < len(self.inputs):
            raise ValueError(f"{owner}: an input is there twice")
        self.nodes, visited = self._ordered(owner)
        self.layers = self._layers(visited)

    @property
    def _given(self) -> set[int]:
        return {id(tensor) for tensor in self.inputs}  # not kept: a copy has other ids

    def _ordered(self, owner: str) -> tuple[list[Node], list[Node]]:
        """The nodes in an order to compute them, and in the order of a walk from the outputs."""
        done: list[Node] = []
        visited: list[Node] = []
        seen: set[int] = set()
        given = self._given
        stack: list[tuple[Node, bool]] = [(t.node, False) for t in reversed(self.outputs) if id(t) not in given]
        while stack:
            node, ready = stack.pop()
            if ready:
                done.append(node)
            elif id(node) not in seen:
                seen.add(id(node))
                visited.append(node)
                if not node.sources:
                    raise ValueError(
                        f'{owner}: the graph is disconnected: the outputs need the input "{node.layer.name}", which '
                        f"is not among the inputs {[tensor.name for tensor in self.inputs]}"
                    )
                stack.append((node, True))
                stack += [(t.node, False) for t in reversed(node.sources) if id(t) not in given]
        used = {id(tensor) for node in done for tensor in node.sources} | {id(tensor) for tensor in self.outputs}
        for tensor in self.inputs:
            if id(tensor) not in used:
                raise ValueError(f'{owner}: no output depends on the input "{tensor.name}"')
        return done, visited

    def _layers(self, visited: list[Node]) -> list[Layer]:
        """Input layers and the nodes' layers; a layer's depth is the most steps from one of its calls to an output."""
        depth: dict[int, int] = {}
        given = self._given
        for node in reversed(self.nodes):
            own = depth.setdefault(id(node), 0)
            for tensor in node.sources:
                if id(tensor) not in given:
                    depth[id(tensor.node)] = max(depth.get(id(tensor.node), 0), own + 1)
        layers: dict[int, tuple[int, Layer]] = {}
        for node in visited:
            known = layers.get(id(node.layer), (0, node.layer))[0]
            layers[id(node.layer)] = max(known, depth[id(node)]), node.layer
        first = [t.node.layer for t in self.inputs if not t.node.sources]
        rest = [layer for _, layer in sorted(layers.values(), key=lambda entry: -entry[0])]
        return [*first, *rest]

    def takes_any_length(self, number: int) -> bool:
        """Whether an input may be longer or shorter than it was said to be: whether the layers know what to do then."""
        varying = {id(self.inputs[number])}
        for node in self.nodes:
            ranks = [tensor.ndim for tensor in node.sources if id(tensor) in varying]
            if ranks:
                if not 0 < node.layer._steps_from <= min(ranks):
                    return False
                varying |= {id(tensor) for tensor in node.results if tensor.ndim >= min(ranks)}
        return True

    def links(self) -> dict[int, list[str]] | None:
        """By the id of each layer, the results that its calls take: `layer[call][output]`; None for a chain."""
        found: dict[int, list[str]] = {id(layer): [] for layer in self.layers}
        used: list[int] = []
        for node in self.nodes:
            for tensor in node.sources:
                found[id(node.layer)].append(f"{tensor.node.layer.name}[{tensor.node.number}][{tensor.number}]")
                used.append(id(tensor.node.layer))
        chain = len(set(used)) == len(used) and all(len(names) < 2 for names in found.values())
        return None if chain and len(self.inputs) == len(self.outputs) == 1 else found

    def logits_layer(self, number: int) -> Layer | None:
        """The layer of an output's last step, where that is a softmax which nothing else of the graph needs."""
        tensor = self.outputs[number]
        others = [t for node in self.nodes for t in node.sources]
        alone = sum(t is tensor for t in [*others, *self.outputs]) == 1 and id(tensor) not in self._given
        layer = tensor.node.layer
        return layer if alone and tensor.node.training is None and layer.ends_in_softmax else None

    def _pooled(self) -> dict[int, Any]:
        """By the id of its node, the windows of each convolution that takes in the pooling after it; None for that.

        Nothing else may need the convolution's output. Both nodes follow the model's mode.
        """
        found: dict[int, Any] = {}
        needed = [id(tensor) for node in self.nodes for tensor in node.sources] + [id(t) for t in self.outputs]
        for node in self.nodes:
            windows = node.layer._pool_windows
            before = node.sources[0].node if len(node.sources) == 1 else None
            if windows is None or before is None or id(node.sources[0]) in self._given:
                continue
            alone = needed.count(id(node.sources[0])) == 1 and node.training is before.training is None
            if alone and before.layer._takes_pooling:
                found[id(before)], found[id(node)] = windows, None
        return found

    def plan(self, bare: Container[int] = (), masked: bool = False) -> Function:
        """The function of lists of tensors, from and to N, C, H, W.

        The outputs with the numbers in `bare` come without the softmax at their ends. With `masked`, or where a layer
        makes masks, these go from layer to layer. A tensor that is no more needed
        gives its place to the next one, so that its memory does.
        """
        without = {id(self.outputs[number].node) for number in range(len(self.outputs)) if number in bare}
        last = {id(tensor): number for number, node in enumerate(self.nodes) for tensor in node.sources}
        last |= {id(tensor): len(self.nodes) for tensor in self.outputs}
        slots = {id(tensor): number for number, tensor in enumerate(self.inputs)}
        pooled = self._pooled()
        masked = masked or any(node.layer.may_mask for node in self.nodes)
        count = len(self.inputs)
        free: list[int] = []
        steps: list[Step] = []
        for number, node in enumerate(self.nodes):
            free += dict.fromkeys(slots[id(t)] for t in node.sources if last[id(t)] == number)
            targets = []
            for tensor in node.results:
                if not free:
                    free.append(count)
                    count += 1
                slots[id(tensor)] = free.pop()
                targets.append(slots[id(tensor)])
            free += [slots[id(tensor)] for tensor in node.results if id(tensor) not in last]
            function = _function(node, id(node) in without, pooled)
            steps.append(_step(node, slots, targets, _carrying(node.layer, function) if masked else function))
        ends = [slots[id(tensor)] for tensor in self.outputs]
        blanks = [None] * (count - len(self.inputs))

        def run(inputs: list[Any]) -> list[Any]:
            values = [*inputs, *blanks]
            for step in steps:
                step(values)
            return [values[end] for end in ends]

        return run


def _function(node: Node, bare: bool, pooled: dict[int, Any]) -> Callable[..., Any]:
    """What a node computes; see `Graph._pooled`."""
    if id(node) in pooled:
        windows = pooled[id(node)]
        layer: Any = node.layer
        return _same if windows is None else lambda x: layer.pooled(x, windows)
    return node.layer.logits if bare else node.layer.forward


def _carrying(layer: Layer, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, for inputs that may have masks."""
    from .layers.masks import carried

    return lambda x, *others, **options: carried(layer, function, x, others, options)


def _same(x: Any) -> Any:
    return x


def _step(node: Node, slots: dict[int, int], targets: list[int], function: Callable[..., Any]) -> Step:
    """What computes a node: takes its inputs from the slots of a list, and puts its outputs into others."""
    layer, training = node.layer, node.training
    if training is not None:
        plain = function

        def function(*args: Any, **options: Any) -> Any:
            with layer._in_mode(training):
                return plain(*args, **options)

    if len(node.args) == 1 and not node.options and type(node.args[0]) is type(node.outputs) is KerasTensor:
        source, target = slots[id(node.args[0])], targets[0]

        def step(values: list[Any]) -> None:
            values[target] = function(values[source])

        return step

    def general(values: list[Any]) -> None:
        def value(leaf: Any) -> Any:
            return values[slots[id(leaf)]] if type(leaf) is KerasTensor else leaf

        out = function(*tree.map_leaves(value, node.args), **tree.map_leaves(value, node.options))
        for slot, result in zip(targets, tree.flatten(out), strict=True):
            values[slot] = result

    return general
