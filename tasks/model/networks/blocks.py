"""Building blocks of networks. Each takes and returns a tensor and names its layers after its `name` argument."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from tasks.model.inputs import INPUTS, InputShapes

Tensor = Any  # keras.KerasTensor; Keras has no type annotations


def input_of(kind: str, shapes: InputShapes) -> Tensor:
    """Return the Keras input of that name from `tasks.model.inputs.INPUTS`."""
    return keras.Input(INPUTS[kind].shape(shapes), name=kind)


def conv_stack(x: Tensor, filters: Sequence[int], *, name: str, momentum: float) -> Tensor:
    """For each number of filters: a 3 by 3 valid convolution with ReLU, batch normalisation, 2 by 2 max pooling.

    momentum: of the moving mean and variance, 0..1; the share that one batch leaves unchanged.
    Input shape: (batch, mel, frame, channel).
    Output shape: (batch, mel', frame', filters[-1]); each step maps a size n to floor((n - 2) / 2).
    """
    for step, n_filters in enumerate(filters, 1):
        x = keras.layers.Conv2D(n_filters, 3, activation="relu", name=f"{name}_conv_{step}")(x)
        x = keras.layers.BatchNormalization(momentum=momentum, name=f"{name}_norm_{step}")(x)
        x = keras.layers.MaxPooling2D(2, name=f"{name}_pool_{step}")(x)
    return x


def normal_conv(x: Tensor, n_filters: int, *, name: str, momentum: float, size: int = 3, relu: bool = True) -> Tensor:
    """Apply a convolution without bias, batch normalisation and, if `relu`, ReLU.

    size: kernel size along both axes.
    Input shape: (batch, mel, frame, channel).
    Output shape: (batch, mel, frame, n_filters).
    """
    x = keras.layers.Conv2D(n_filters, size, padding="same", use_bias=False, name=f"{name}_conv")(x)
    x = keras.layers.BatchNormalization(momentum=momentum, name=f"{name}_norm")(x)
    return keras.layers.ReLU(name=f"{name}_relu")(x) if relu else x


def strided_conv(x: Tensor, n_filters: int, strides: tuple[int, int], *, name: str, momentum: float) -> Tensor:
    """Apply a strided convolution without bias, batch normalisation and ReLU.

    strides: along bands and frames; the kernel is three wider than the stride on each axis.
    Input shape: (batch, mel, frame, channel).
    Output shape: (batch, mel / strides[0], frame / strides[1], n_filters), both rounded up.
    """
    size = tuple(stride + 3 for stride in strides)
    x = keras.layers.Conv2D(n_filters, size, strides, padding="same", use_bias=False, name=f"{name}_conv")(x)
    x = keras.layers.BatchNormalization(momentum=momentum, name=f"{name}_norm")(x)
    return keras.layers.ReLU(name=f"{name}_relu")(x)


def mean_and_peak(x: Tensor, *, name: str) -> Tensor:
    """Average over bands, then add the mean and the maximum over frames; the maximum preserves short calls in silence.

    Input shape: (batch, mel, frame, channel).
    Output shape: (batch, channel).
    Source: Kong et al. 2020, "PANNs", arXiv:1912.10211, the pooling of its networks.
    """
    x = keras.layers.AveragePooling2D((x.shape[1], 1), name=f"{name}_bands")(x)
    mean = keras.layers.GlobalAveragePooling2D(name=f"{name}_mean")(x)
    peak = keras.layers.GlobalMaxPooling2D(name=f"{name}_peak")(x)
    return keras.layers.Add(name=f"{name}_both")([mean, peak])


def residual(x: Tensor, n_filters: int, *, name: str, momentum: float) -> Tensor:
    """Apply two 3 by 3 convolutions and add the input to their output, projected by a 1 by 1 convolution if needed.

    Input shape: (batch, mel, frame, channel).
    Output shape: (batch, mel, frame, n_filters).
    Source: He et al. 2015, arXiv:1512.03385.
    """
    shortcut = x
    if x.shape[-1] != n_filters:
        shortcut = normal_conv(x, n_filters, name=f"{name}_short", momentum=momentum, size=1, relu=False)
    x = normal_conv(x, n_filters, name=f"{name}_1", momentum=momentum)
    x = normal_conv(x, n_filters, name=f"{name}_2", momentum=momentum, relu=False)
    return keras.layers.ReLU(name=f"{name}_relu")(keras.layers.Add(name=f"{name}_add")([x, shortcut]))


def dense_stack(x: Tensor, units: Sequence[int], *, name: str, dropout: float | None) -> Tensor:
    """For each number of units, apply a dense layer with ReLU, then dropout unless `dropout` is None.

    Input shape: (batch, n).
    Output shape: (batch, units[-1]).
    """
    for step, n_units in enumerate(units, 1):
        x = keras.layers.Dense(n_units, activation="relu", name=f"{name}_dense_{step}")(x)
        if dropout is not None:
            x = keras.layers.Dropout(dropout, name=f"{name}_dropout_{step}")(x)
    return x


def lstm_stack(x: Tensor, units: Sequence[int], *, name: str) -> Tensor:
    """For each number of units, apply an LSTM; all but the last return their whole sequence.

    Input shape: (batch, step, n).
    Output shape: (batch, units[-1]).
    """
    for step, n_units in enumerate(units, 1):
        x = keras.layers.LSTM(n_units, return_sequences=step < len(units), name=f"{name}_lstm_{step}")(x)
    return x


def class_probabilities(x: Tensor, n_classes: int) -> Tensor:
    """Apply the output layer, a softmax over the classes; it computes in float32 under mixed precision too.

    Input shape: (batch, n).
    Output shape: (batch, n_classes), in 0..1, each row summing to one.
    """
    return keras.layers.Dense(n_classes, activation="softmax", dtype="float32", name="classes")(x)
