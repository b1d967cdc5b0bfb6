"""The multilayer perceptron for features."""

from __future__ import annotations

from typing import Any

import keras

from tasks.model.inputs import InputShapes
from tasks.model.networks import blocks

UNITS = (64, 64, 64)
DROPOUT = 0.3


def trunk(features: blocks.Tensor) -> blocks.Tensor:
    """Build all layers before the output layer.

    Input shape: (batch, feature).
    Output shape: (batch, 64).
    """
    x = blocks.dense_stack(features, UNITS[:-1], name="mlp", dropout=None)
    return blocks.dense_stack(x, UNITS[-1:], name="mlp_last", dropout=DROPOUT)


def build(shapes: InputShapes, n_classes: int) -> Any:
    """Build the untrained network: 11,099 parameters for 27 classes.

    Input shape: features (batch, feature).
    Output shape: (batch, n_classes).
    """
    features = blocks.input_of("features", shapes)
    return keras.Model(features, blocks.class_probabilities(trunk(features), n_classes), name="mlp")
