"""Merged networks: the trunks of the convolutional and another network, concatenated before the output layer."""

from __future__ import annotations

from typing import Any

import keras

from tasks.model.inputs import InputShapes
from tasks.model.networks import blocks, cnn, lstm, mlp

MLP_JOINT_UNITS, MLP_JOINT_DROPOUT = 32, 0.3
LSTM_JOINT_UNITS = 64


def cnn_and_mlp(shapes: InputShapes, n_classes: int) -> Any:
    """Build the untrained network: 508,891 parameters for 27 classes.

    Input shape: spectrogram (batch, mel, frame, 1), features (batch, feature).
    Output shape: (batch, n_classes).
    """
    spectrogram, features = blocks.input_of("spectrogram", shapes), blocks.input_of("features", shapes)
    x = keras.layers.Concatenate(name="joint")([cnn.trunk(spectrogram), mlp.trunk(features)])
    x = blocks.dense_stack(x, (MLP_JOINT_UNITS,), name="joint", dropout=MLP_JOINT_DROPOUT)
    return keras.Model([spectrogram, features], blocks.class_probabilities(x, n_classes), name="cnn_mlp")


def cnn_and_lstm(shapes: InputShapes, n_classes: int) -> Any:
    """Build the untrained network, which reads the spectrogram twice: 562,347 parameters for 27 classes.

    Input shape: spectrogram (batch, mel, frame, 1), bands (batch, mel, frame).
    Output shape: (batch, n_classes).
    """
    spectrogram, bands = blocks.input_of("spectrogram", shapes), blocks.input_of("bands", shapes)
    x = keras.layers.Concatenate(name="joint")([cnn.trunk(spectrogram), lstm.trunk(bands)])
    x = blocks.dense_stack(x, (LSTM_JOINT_UNITS,), name="joint", dropout=None)
    return keras.Model([spectrogram, bands], blocks.class_probabilities(x, n_classes), name="cnn_lstm")
