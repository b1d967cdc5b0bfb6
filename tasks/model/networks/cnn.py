"""The convolutional network on spectrograms."""

from __future__ import annotations

from typing import Any

import keras

from tasks.model.inputs import InputShapes
from tasks.model.networks import blocks

FILTERS = (16, 32, 64, 128)
UNITS = (512, 512, 128)
DROPOUT = 0.5
MOMENTUM = 0.9


def trunk(spectrogram: blocks.Tensor) -> blocks.Tensor:
    """Everything before the classes, (batch, 48, 128, 1) to (batch, 128); the merged models start from here."""
    x = blocks.conv_stack(spectrogram, FILTERS, name="cnn", momentum=MOMENTUM)
    x = keras.layers.GlobalAveragePooling2D(name="cnn_average")(x)
    return blocks.dense_stack(x, UNITS, name="cnn", dropout=DROPOUT)


def build(shapes: InputShapes, n_classes: int) -> Any:
    """An untrained keras.Model from spectrograms to class probabilities; 495,963 parameters at 27 classes."""
    spectrogram = blocks.input_of("spectrogram", shapes)
    classes = blocks.class_probabilities(trunk(spectrogram), n_classes)
    return keras.Model(spectrogram, classes, name="cnn")
