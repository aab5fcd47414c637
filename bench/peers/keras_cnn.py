"""The training step of the 32-64-64 CNN in Keras on TensorFlow: `train_on_batch` of the compiled model."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import tensorflow as tf
from keras import layers


def weights(job: dict[str, Any]) -> list[Any]:
    """PyTorch's state dict in Keras's order: kernels H W I O, and dense weights that read H W C."""
    out = []
    for layer in ("0", "3", "6"):
        out += [job[f"{layer}.weight"].transpose(2, 3, 1, 0), job[f"{layer}.bias"]]
    first = job["9.weight"].reshape(64, 64, 3, 3).transpose(2, 3, 1, 0).reshape(576, 64)
    return [*out, first, job["9.bias"], job["11.weight"].T, job["11.bias"]]


def contender(job: dict[str, Any]) -> Callable[[], Any]:
    """A step, which returns its loss. The images are N, H, W, C."""
    threads = int(os.environ["OMP_NUM_THREADS"])
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(10),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-3), loss)
    x, labels = tf.constant(job["x"]), tf.constant(job["labels"])
    model.train_on_batch(x, labels)  # compiles
    model.set_weights(weights(job))
    for variable in model.optimizer.variables:
        if variable.name != "learning_rate":
            variable.assign(tf.zeros_like(variable))

    def step() -> Any:
        value = model.train_on_batch(x, labels)
        return value[0] if isinstance(value, list) else value

    return step
