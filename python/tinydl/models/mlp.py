"""The multilayer perceptron of sigmoid units, trained by the equations of back-propagation, and by autograd.

The algorithm of document 003, section 3 (1). With a⁰ = x and, for the layers l = 1 ... L,

    zˡ = Wˡ aˡ⁻¹ + bˡ,  aˡ = σ(zˡ),  y = aᴸ,  E = ½ Σ (t - y)²,

the errors δˡ = ∂E/∂zˡ go backward, and the weights go down the gradient:

    δᴸ = (y - t) ⊙ σ'(zᴸ),  σ'(z) = a (1 - a),
    δˡ = (Wˡ⁺¹ᵀ δˡ⁺¹) ⊙ aˡ ⊙ (1 - aˡ),
    ∂E/∂Wˡ = δˡ (aˡ⁻¹)ᵀ,  ∂E/∂bˡ = δˡ,  W ← W - α ∂E/∂W,  b ← b - α ∂E/∂b.

So Rumelhart, Hinton and Williams (1986). The document's step 4 multiplies by the input x once more and
transposes the wrong factor, its step 5 gives δˡ, with Wˡ⁺¹ untransposed, for the gradient of Wˡ, and it has no biases.

Here samples are rows: a matrix of activations is (N, units), and gradients are sums over the N samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from .. import nn
from ..autograd import no_grad
from ..ops.activation import sigmoid
from ..ops.matmul import linear, matmul
from ..tensor import Tensor

Gradients = list[tuple[Tensor, Tensor]]


class MLP(nn.Module):
    """Fully connected layers with sigmoids after each: (N, ..., sizes[0] in all) to (N, sizes[-1]).

    >>> MLP(2, 3, 1)
    MLP(
      (layers): ModuleList(
        (0): Linear(in_features=2, out_features=3, bias=True)
        (1): Linear(in_features=3, out_features=1, bias=True)
      )
    )
    """

    def __init__(self, *sizes: int) -> None:
        super().__init__()
        if len(sizes) < 2:
            raise ValueError(f"MLP: got the sizes {sizes}, wanted those of two layers or more")
        self.layers = nn.ModuleList([nn.Linear(n, m) for n, m in pairwise(sizes)])

    def forward(self, input: Tensor) -> Tensor:
        """y, each element in (0, 1)."""
        a = input.flatten(1)
        for layer in self.layers:
            a = layer(a, "sigmoid")
        return a


def mlp(hidden: Sequence[int] = (64,), inputs: int = 28 * 28, classes: int = 10) -> MLP:
    """The perceptron for images of `inputs` pixels: one output unit for each class."""
    return MLP(inputs, *hidden, classes)


def squared_error(y: Tensor, t: Tensor) -> Tensor:
    """E = ½ Σ (t - y)², summed over samples and units."""
    return 0.5 * ((t - y) ** 2).sum()


def gradients_by_hand(model: MLP, x: Tensor, t: Tensor) -> Gradients:
    """(∂E/∂W, ∂E/∂b) of each layer for inputs x (N, sizes[0]) and targets t (N, sizes[-1]), by the equations above."""
    with no_grad():
        activations = [x.flatten(1)]
        for layer in model.layers:
            activations.append(sigmoid(linear(activations[-1], layer.weight, layer.bias)))
        y = activations[-1]
        delta = (y - t) * y * (1 - y)
        gradients: Gradients = []
        for number in reversed(range(len(model.layers))):
            a = activations[number]
            gradients.insert(0, (matmul(delta.t(), a), delta.sum(0)))
            if number:
                delta = matmul(delta, model.layers[number].weight) * a * (1 - a)
    return gradients


def gradients_by_autograd(model: MLP, x: Tensor, t: Tensor) -> Gradients:
    """The same gradients from the tape."""
    model.zero_grad()
    squared_error(model(x), t).backward()
    return [(layer.weight.grad, layer.bias.grad) for layer in model.layers]


def step(model: MLP, gradients: Gradients, lr: float) -> None:
    """W ← W - α ∂E/∂W and b ← b - α ∂E/∂b for every layer, in place."""
    with no_grad():
        for layer, (weight, bias) in zip(model.layers, gradients, strict=True):
            layer.weight.sub_(lr * weight)
            layer.bias.sub_(lr * bias)
