"""The multilayer perceptron on the fifteen features."""

from __future__ import annotations

from typing import Any

import keras

from tasks.model.inputs import InputShapes
from tasks.model.networks import blocks

UNITS = (64, 64, 64)
DROPOUT = 0.3


def trunk(features: blocks.Tensor) -> blocks.Tensor:
    """Everything before the classes, (batch, 15) to (batch, 64)."""
    x = blocks.dense_stack(features, UNITS[:-1], name="mlp", dropout=None)
    return blocks.dense_stack(x, UNITS[-1:], name="mlp_last", dropout=DROPOUT)


def build(shapes: InputShapes, n_classes: int) -> Any:
    """An untrained keras.Model from features to class probabilities; 11,099 parameters at 27 classes."""
    features = blocks.input_of("features", shapes)
    return keras.Model(features, blocks.class_probabilities(trunk(features), n_classes), name="mlp")
