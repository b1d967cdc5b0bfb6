"""The deep convolutional network: residual blocks over the spectrogram."""

from __future__ import annotations

from typing import Any

import keras

from tasks.model.inputs import InputShapes
from tasks.model.networks import blocks

STEM_FILTERS = 32
FINE_BANDS = 96
"""From this number of bands on, the stem has a stride of 4 over bands instead of 2, to keep the later layers equally
cheap.
"""
FILTERS = (48, 96, 192)
DROPOUT = 0.3
MOMENTUM = 0.9


def build(shapes: InputShapes, n_classes: int) -> Any:
    """Build the untrained network.

    Input shape: spectrogram (batch, mel, frame, 1), both sizes at least 15.
    Output shape: (batch, n_classes).
    """
    spectrogram = blocks.input_of("spectrogram", shapes)
    strides = (4 if shapes.n_mels >= FINE_BANDS else 2, 2)
    x = blocks.strided_conv(spectrogram, STEM_FILTERS, strides, name="deep_stem", momentum=MOMENTUM)
    for step, n_filters in enumerate(FILTERS, 1):
        x = keras.layers.AveragePooling2D(2, name=f"deep_pool_{step}")(x)
        x = blocks.residual(x, n_filters, name=f"deep_{step}", momentum=MOMENTUM)
    x = blocks.mean_and_peak(x, name="deep")
    x = keras.layers.Dropout(DROPOUT, name="deep_dropout")(x)
    return keras.Model(spectrogram, blocks.class_probabilities(x, n_classes), name="deep_cnn")
