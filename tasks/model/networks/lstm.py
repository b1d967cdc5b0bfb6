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
    """Build all layers before the output layer; the recurrence runs from the lowest band to the highest.

    Input shape: (batch, mel, frame).
    Output shape: (batch, 32).
    """
    x = blocks.lstm_stack(bands, RECURRENT_UNITS, name="lstm")
    return blocks.dense_stack(x, UNITS, name="lstm", dropout=DROPOUT)


def build(shapes: InputShapes, n_classes: int) -> Any:
    """Build the untrained network: 58,699 parameters for 27 classes.

    Input shape: bands (batch, mel, frame).
    Output shape: (batch, n_classes).
    """
    bands = blocks.input_of("bands", shapes)
    return keras.Model(bands, blocks.class_probabilities(trunk(bands), n_classes), name="lstm")
