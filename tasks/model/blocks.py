"""The parts that networks are made of; each takes a tensor and returns one, with names that depend on nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from tasks.model.inputs import INPUTS, InputShapes

Tensor = Any  # keras.KerasTensor; the libraries below carry no annotations


def input_of(kind: str, shapes: InputShapes) -> Tensor:
    """The input that `tasks.model.inputs` knows under this name."""
    return keras.Input(INPUTS[kind].shape(shapes), name=kind)


def conv_stack(x: Tensor, filters: Sequence[int], *, name: str, momentum: float) -> Tensor:
    """For each number of filters: a 3 by 3 valid convolution with ReLU, batch normalisation, 2 by 2 max pooling.

    x: (batch, mel, frame, channel). Each step takes two from both axes, then halves them, rounding down.
    momentum: share of the running mean and variance that one batch leaves in place, 0..1.
    """
    for step, n_filters in enumerate(filters, 1):
        x = keras.layers.Conv2D(n_filters, 3, activation="relu", name=f"{name}_conv_{step}")(x)
        x = keras.layers.BatchNormalization(momentum=momentum, name=f"{name}_norm_{step}")(x)
        x = keras.layers.MaxPooling2D(2, name=f"{name}_pool_{step}")(x)
    return x


def dense_stack(x: Tensor, units: Sequence[int], *, name: str, dropout: float | None) -> Tensor:
    """For each number of units: a dense layer with ReLU, then dropout of that share of its outputs, or no dropout.

    x: (batch, n). Returns (batch, units[-1]).
    """
    for step, n_units in enumerate(units, 1):
        x = keras.layers.Dense(n_units, activation="relu", name=f"{name}_dense_{step}")(x)
        if dropout is not None:
            x = keras.layers.Dropout(dropout, name=f"{name}_dropout_{step}")(x)
    return x


def class_probabilities(x: Tensor, n_classes: int) -> Tensor:
    """(batch, n_classes) in 0..1, each row summing to one."""
    return keras.layers.Dense(n_classes, activation="softmax", name="classes")(x)
