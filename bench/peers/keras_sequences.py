"""Recurrent layers, attention and two training steps in Keras on TensorFlow, each compiled by `tf.function`.

Operands have their axes in Keras's order; the digest of a result does not depend on that.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np
import tensorflow as tf
from keras import layers

LAYERS = {"lstm": layers.LSTM, "gru": layers.GRU, "rnn": layers.SimpleRNN}


def weights(kind: str, job: dict[str, Any], prefix: str = "") -> list[Any]:
    """PyTorch's as Keras's: transposed, one bias but for GRU, whose gates come in another order."""
    w_ih, w_hh, b_ih, b_hh = (job[f"{prefix}{name}_l0"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    if kind != "gru":
        return [w_ih.T, w_hh.T, b_ih + b_hh]
    units = w_hh.shape[1]
    order = np.r_[units : 2 * units, :units, 2 * units : 3 * units]
    return [w_ih[order].T, w_hh[order].T, np.stack([b_ih[order], b_hh[order]])]


def limit_threads() -> None:
    threads = int(os.environ["OMP_NUM_THREADS"])
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)


def trained(model: Any, loss: Any, state: list[Any], x: Any, targets: Any) -> Callable[[], Any]:
    """`train_on_batch` with Adam from such weights, which returns its loss."""
    model.compile(keras.optimizers.Adam(1e-3), loss)
    x, targets = tf.constant(x), tf.constant(targets)
    model.train_on_batch(x, targets)  # compiles
    model.set_weights(state)
    for variable in model.optimizer.variables:
        if variable.name != "learning_rate":
            variable.assign(tf.zeros_like(variable))

    def step() -> Any:
        value = model.train_on_batch(x, targets)
        return value[0] if isinstance(value, list) else value

    return step


def text_step(job: dict[str, Any]) -> Callable[[], Any]:
    count, size = job["embedding.weight"].shape
    units = job["lstm.weight_hh_l0"].shape[1]
    model = keras.Sequential(
        [
            keras.Input(job["x"].shape[1:]),
            layers.Embedding(count, size),
            layers.LSTM(units, return_sequences=True),
            layers.Dense(count),
        ]
    )
    state = [job["embedding.weight"], *weights("lstm", job, "lstm."), job["linear.weight"].T, job["linear.bias"]]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return trained(model, loss, state, job["x"], job["targets"])


def predictor_step(job: dict[str, Any]) -> Callable[[], Any]:
    units, features = job["rnn.weight_hh_l0"].shape[1], job["linear.bias"].size
    model = keras.Sequential([keras.Input(job["x"].shape[1:]), layers.SimpleRNN(units), layers.Dense(features)])
    state = [*weights("rnn", job, "rnn."), job["linear.weight"].T, job["linear.bias"]]
    return trained(model, "mse", state, job["x"], job["targets"])


def layer(kind: str, job: dict[str, Any]) -> tuple[Callable[..., Any], list[Any]]:
    """The layer, which takes N, T, I, and whose gradients are asked for first of W, then of the rest and of x."""
    x = tf.Variable(job["x"].transpose(1, 0, 2))
    made = LAYERS[kind](job["weight_hh_l0"].shape[1], return_sequences=True)
    made.build(x.shape)
    made.set_weights(weights(kind, job))
    return lambda: made(x), [*(v.value for v in made.trainable_variables), x]


def attention(job: dict[str, Any]) -> tuple[Callable[..., Any], list[Any]]:
    operands = [tf.Variable(job[name].transpose(0, 2, 1, 3)) for name in ("q", "k", "v")]
    causal = bool(job["causal"])
    return lambda: keras.ops.dot_product_attention(*operands, is_causal=causal), operands


def contender(job: dict[str, Any]) -> Callable[[], Any]:
    """What the job names: a layer, attention or a training step; of gradients, W_ih's or the query's."""
    limit_threads()
    what = str(job["what"])
    if what == "text":
        return text_step(job)
    if what == "predictor":
        return predictor_step(job)
    function, variables = attention(job) if what == "attention" else layer(what, job)
    if not job["gradients"]:
        forward = tf.function(function)
        return lambda: forward().numpy()
    grad = tf.constant(job["grad"].transpose((0, 2, 1, 3) if what == "attention" else (1, 0, 2)))

    @tf.function
    def both() -> Any:
        with tf.GradientTape() as tape:
            y = function()
        return tape.gradient(y, variables, grad)

    return lambda: next(g.numpy() for g in both())
