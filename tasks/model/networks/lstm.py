"""The recurrent network that reads a spectrogram band by band."""

from __future__ import annotations

from typing import Any

import keras

from tasks.model.inputs import InputShapes
from tasks.model.networks import blocks

RECURRENT_UNITS = (36, 32, 28, 24, 20, 16)
UNITS = (64, 64, 32)
DROPOUT = 0.3


def trunk(bands: blocks.Tensor) -> blocks.Tensor:
    """Everything before the classes, (batch, 48, 128) to (batch, 32): 48 steps from the lowest band upwards."""
    x = blocks.lstm_stack(bands, RECURRENT_UNITS, name="lstm")
    return blocks.dense_stack(x, UNITS, name="lstm", dropout=DROPOUT)


def build(shapes: InputShapes, n_classes: int) -> Any:
    """An untrained keras.Model from bands to class probabilities; 58,699 parameters at 27 classes."""
    bands = blocks.input_of("bands", shapes)
    return keras.Model(bands, blocks.class_probabilities(trunk(bands), n_classes), name="lstm")
