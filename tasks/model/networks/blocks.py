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


def normal_conv(x: Tensor, n_filters: int, *, name: str, momentum: float, size: int = 3, relu: bool = True) -> Tensor:
    """A convolution that keeps the sizes of both axes, batch normalisation, and ReLU unless it is left out."""
    x = keras.layers.Conv2D(n_filters, size, padding="same", use_bias=False, name=f"{name}_conv")(x)
    x = keras.layers.BatchNormalization(momentum=momentum, name=f"{name}_norm")(x)
    return keras.layers.ReLU(name=f"{name}_relu")(x) if relu else x


def strided_conv(x: Tensor, n_filters: int, strides: tuple[int, int], *, name: str, momentum: float) -> Tensor:
    """A convolution that looks at every so many places of both axes, batch normalisation, ReLU.

    x: (batch, mel, frame, channel).  strides: along bands and frames; the kernel is three places wider than each.
    Returns (batch, mel / strides[0], frame / strides[1], n_filters), both rounded up.
    """
    size = tuple(stride + 3 for stride in strides)
    x = keras.layers.Conv2D(n_filters, size, strides, padding="same", use_bias=False, name=f"{name}_conv")(x)
    x = keras.layers.BatchNormalization(momentum=momentum, name=f"{name}_norm")(x)
    return keras.layers.ReLU(name=f"{name}_relu")(x)


def mean_and_peak(x: Tensor, *, name: str) -> Tensor:
    """For each channel the mean over bands; of that, the mean over frames and the highest frame, added.

    x: (batch, mel, frame, channel). Returns (batch, channel). The highest frame keeps a short call apart from the
    silence around it. Source: Kong et al. 2020, "PANNs", arXiv:1912.10211, the pooling of its networks.
    """
    x = keras.layers.AveragePooling2D((x.shape[1], 1), name=f"{name}_bands")(x)
    mean = keras.layers.GlobalAveragePooling2D(name=f"{name}_mean")(x)
    peak = keras.layers.GlobalMaxPooling2D(name=f"{name}_peak")(x)
    return keras.layers.Add(name=f"{name}_both")([mean, peak])


def residual(x: Tensor, n_filters: int, *, name: str, momentum: float) -> Tensor:
    """Two 3 by 3 convolutions whose outcome is added to what came in. Source: He et al. 2015, arXiv:1512.03385."""
    shortcut = x
    if x.shape[-1] != n_filters:
        shortcut = normal_conv(x, n_filters, name=f"{name}_short", momentum=momentum, size=1, relu=False)
    x = normal_conv(x, n_filters, name=f"{name}_1", momentum=momentum)
    x = normal_conv(x, n_filters, name=f"{name}_2", momentum=momentum, relu=False)
    return keras.layers.ReLU(name=f"{name}_relu")(keras.layers.Add(name=f"{name}_add")([x, shortcut]))


def dense_stack(x: Tensor, units: Sequence[int], *, name: str, dropout: float | None) -> Tensor:
    """For each number of units: a dense layer with ReLU, then dropout of that share of its outputs, or no dropout.

    x: (batch, n). Returns (batch, units[-1]).
    """
    for step, n_units in enumerate(units, 1):
        x = keras.layers.Dense(n_units, activation="relu", name=f"{name}_dense_{step}")(x)
        if dropout is not None:
            x = keras.layers.Dropout(dropout, name=f"{name}_dropout_{step}")(x)
    return x


def lstm_stack(x: Tensor, units: Sequence[int], *, name: str) -> Tensor:
    """For each number of units: an LSTM over the sequence that the one before it gives; only the last gives one state.

    x: (batch, step, n). Returns (batch, units[-1]).
    """
    for step, n_units in enumerate(units, 1):
        x = keras.layers.LSTM(n_units, return_sequences=step < len(units), name=f"{name}_lstm_{step}")(x)
    return x


def class_probabilities(x: Tensor, n_classes: int) -> Tensor:
    """(batch, n_classes) in 0..1, each row summing to one; in 32 bits even where the layers before compute in 16."""
    return keras.layers.Dense(n_classes, activation="softmax", dtype="float32", name="classes")(x)
