"""Keras 3 on JAX with autolog."""

from __future__ import annotations

import os

os.environ["KERAS_BACKEND"] = "jax"
import keras
import mlflow
import numpy as np


def log(name: str) -> None:
    """Train a small network for three epochs; `name` is of the experiment."""
    keras.utils.set_random_seed(1)
    mlflow.keras.autolog()
    x = np.linspace(-1, 1, 64).reshape(-1, 2).astype("float32")
    y = (x.sum(axis=1) > 0).astype("float32")
    with mlflow.start_run(run_name="keras"):
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(4, "relu"), keras.layers.Dense(1)])
        model.compile(optimizer=keras.optimizers.SGD(0.1), loss="mse", metrics=["mae"])
        model.fit(x, y, epochs=3, batch_size=16, validation_split=0.25, verbose=0, shuffle=False)
    mlflow.keras.autolog(disable=True)
