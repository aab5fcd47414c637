"""Recurrent layers, attention and two training steps in JAX, each compiled as a whole.

The input's products of all steps are one, outside of the scan; weights are PyTorch's, as they are. Attention gets its
heads where JAX wants them, on the third axis; the digest of a result does not depend on the order of axes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

Weights = dict[str, Any]


def lstm(carry: Any, a: Any, r: Any) -> Any:
    i, f, g, o = jnp.split(a + r, 4, axis=1)
    c = jax.nn.sigmoid(f) * carry[1] + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jax.nn.sigmoid(o) * jnp.tanh(c), c


def gru(carry: Any, a: Any, r: Any) -> Any:
    (a_s, a_z, a_n), (r_s, r_z, r_n) = jnp.split(a, 3, axis=1), jnp.split(r, 3, axis=1)
    z = jax.nn.sigmoid(a_z + r_z)
    n = jnp.tanh(a_n + jax.nn.sigmoid(a_s + r_s) * r_n)
    return n + z * (carry[0] - n), carry[1]


def rnn(carry: Any, a: Any, r: Any) -> Any:
    return jnp.tanh(a + r), carry[1]


CELLS = {"lstm": lstm, "gru": gru, "rnn": rnn}


def layer(kind: str, w: Weights, x: Any, prefix: str = "") -> Any:
    """The states (T, N, H) of a layer over x (T, N, I), from zeros."""
    cell = CELLS[kind]
    w_ih, w_hh, b_ih, b_hh = (w[f"{prefix}{name}_l0"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    zeros = jnp.zeros((x.shape[1], w_hh.shape[1]), x.dtype)

    def step(carry: Any, a: Any) -> Any:
        carry = cell(carry, a, carry[0] @ w_hh.T + b_hh)
        return carry, carry[0]

    return jax.lax.scan(step, (zeros, zeros), x @ w_ih.T + b_ih)[1]


def text_loss(w: Weights, ids: Any, targets: Any) -> Any:
    """Of ids (N, T): embedding, LSTM, and cross-entropy over the vocabulary at each position."""
    states = layer("lstm", w, w["embedding.weight"][ids].transpose(1, 0, 2), "lstm.").transpose(1, 0, 2)
    logits = states @ w["linear.weight"].T + w["linear.bias"]
    return optax.softmax_cross_entropy_with_integer_labels(logits, targets).mean()


def predictor_loss(w: Weights, x: Any, targets: Any) -> Any:
    """Of x (N, T, I): the squared error of a linear map of the last state."""
    last = layer("rnn", w, x.transpose(1, 0, 2), "rnn.")[-1]
    return jnp.mean((last @ w["linear.weight"].T + w["linear.bias"] - targets) ** 2)


LOSSES = {"text": text_loss, "predictor": predictor_loss}


def training_step(loss_of: Callable[..., Any], w: Weights, x: Any, targets: Any) -> Callable[[], Any]:
    """A step of Adam, which returns its loss."""
    adam = optax.adam(1e-3)
    moments = adam.init(w)

    @jax.jit
    def compiled(w: Any, moments: Any) -> Any:
        loss, grads = jax.value_and_grad(loss_of)(w, x, targets)
        updates, moments = adam.update(grads, moments)
        return loss, optax.apply_updates(w, updates), moments

    jax.block_until_ready(compiled(w, moments))  # compiles, and forgets the step

    def step() -> Any:
        nonlocal w, moments
        loss, w, moments = compiled(w, moments)
        return jax.block_until_ready(loss)

    return step


def timed(function: Callable[..., Any], gradients: bool, grad: Any, *operands: Any) -> Callable[[], Any]:
    """The function of its operands; or its gradients for an upstream one, of which the first is returned."""
    if gradients:

        def both(*operands: Any) -> Any:
            return jax.vjp(function, *operands)[1](grad)

        compiled = jax.jit(both)
        return lambda: jax.tree.leaves(jax.block_until_ready(compiled(*operands))[0])[-1]
    compiled = jax.jit(function)
    return lambda: jax.block_until_ready(compiled(*operands))


def contender(job: dict[str, Any]) -> Callable[[], Any]:
    """What the job names: a layer, attention or a training step; of gradients, W_ih's or the query's."""
    what = str(job.pop("what"))
    arrays = {key: jnp.asarray(value) for key, value in job.items()}
    if what in LOSSES:
        x, targets = arrays.pop("x"), arrays.pop("targets")
        return training_step(LOSSES[what], arrays, x, targets)
    gradients, grad = bool(arrays.pop("gradients")), arrays.pop("grad")
    if what == "attention":
        grad, *operands = (x.transpose(0, 2, 1, 3) for x in (grad, arrays["q"], arrays["k"], arrays["v"]))
        attention = partial(jax.nn.dot_product_attention, is_causal=bool(job["causal"]))
        return timed(attention, gradients, grad, *operands)
    x = arrays.pop("x")
    return timed(partial(layer, what), gradients, grad, arrays, x)
