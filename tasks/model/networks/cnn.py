"""The convolutional network for spectrograms."""

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
    """Build all layers before the output layer; the merged models reuse them.

    Input shape: (batch, mel, frame, 1), both sizes at least 46.
    Output shape: (batch, 128).
    """
    x = blocks.conv_stack(spectrogram, FILTERS, name="cnn", momentum=MOMENTUM)
    x = keras.layers.GlobalAveragePooling2D(name="cnn_average")(x)
    return blocks.dense_stack(x, UNITS, name="cnn", dropout=DROPOUT)


def build(shapes: InputShapes, n_classes: int) -> Any:
    """Build the untrained network: 495,963 parameters for 27 classes.

    Input shape: spectrogram (batch, mel, frame, 1), both sizes at least 46.
    Output shape: (batch, n_classes).
    """
    spectrogram = blocks.input_of("spectrogram", shapes)
    classes = blocks.class_probabilities(trunk(spectrogram), n_classes)
    return keras.Model(spectrogram, classes, name="cnn")
