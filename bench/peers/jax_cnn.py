"""The training step of the 32-64-64 CNN in JAX: Flax layers, optax's Adam, the whole step compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax


class Network(nn.Module):
    @nn.compact
    def __call__(self, x: Any) -> Any:
        x = nn.max_pool(nn.relu(nn.Conv(32, (3, 3), padding="VALID")(x)), (2, 2), (2, 2))
        x = nn.max_pool(nn.relu(nn.Conv(64, (3, 3), padding="VALID")(x)), (2, 2), (2, 2))
        x = nn.relu(nn.Conv(64, (3, 3), padding="VALID")(x))
        x = nn.relu(nn.Dense(64)(x.reshape(len(x), -1)))
        return nn.Dense(10)(x)


def parameters(job: dict[str, Any]) -> dict[str, Any]:
    """PyTorch's state dict as Flax's: kernels H W I O, and dense weights that read H W C."""
    out = {}
    for i, layer in enumerate(("0", "3", "6")):
        kernel = job[f"{layer}.weight"].transpose(2, 3, 1, 0)
        out[f"Conv_{i}"] = {"kernel": jnp.asarray(kernel), "bias": jnp.asarray(job[f"{layer}.bias"])}
    first = job["9.weight"].reshape(64, 64, 3, 3).transpose(2, 3, 1, 0).reshape(576, 64)
    out["Dense_0"] = {"kernel": jnp.asarray(first), "bias": jnp.asarray(job["9.bias"])}
    out["Dense_1"] = {"kernel": jnp.asarray(job["11.weight"].T), "bias": jnp.asarray(job["11.bias"])}
    return {"params": out}


def contender(job: dict[str, Any]) -> Callable[[], Any]:
    """A step, which returns its loss. The images are N, H, W, C."""
    network, adam = Network(), optax.adam(1e-3)
    state = parameters(job)
    moments = adam.init(state)
    x, labels = jnp.asarray(job["x"]), jnp.asarray(job["labels"])

    def loss_of(state: Any) -> Any:
        return optax.softmax_cross_entropy_with_integer_labels(network.apply(state, x), labels).mean()

    @jax.jit
    def compiled(state: Any, moments: Any) -> Any:
        loss, grads = jax.value_and_grad(loss_of)(state)
        updates, moments = adam.update(grads, moments)
        return loss, optax.apply_updates(state, updates), moments

    jax.block_until_ready(compiled(state, moments))  # compiles, and forgets the step

    def step() -> Any:
        nonlocal state, moments
        loss, state, moments = compiled(state, moments)
        return jax.block_until_ready(loss)

    return step
