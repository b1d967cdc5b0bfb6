"""The moving statistics of batch normalisation, computed anew for validation."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

N_BATCHES = 30
"""Batches to average over. Moving averages with a momentum of 0.9 cover ten, and one unusual batch among these is
enough to spoil a validation (docs/notes/experiments.md)."""


class NormalisationStatistics:
    """Sets the moving mean and variance of a network's batch normalisations to averages over training batches.

    The averages belong to the current weights, whereas moving averages still hold statistics of earlier weights.
    model: a keras.Model; one without batch normalisation is left as it is.
    Source: Wu and Johnson 2021, "Rethinking 'Batch' in BatchNorm", arXiv:2105.07576, section 3.
    """

    def __init__(self, model: Any) -> None:
        self._layers = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
        if self._layers:
            self._inputs_of_layers = keras.Model(model.inputs, [layer.input for layer in self._layers])
        self._moments = tf.function(self._moments_of_batch, reduce_retracing=True)

    def recompute(self, batches: Any) -> None:
        """Recompute the statistics.

        batches: as `Feed.epoch` yields them; the first N_BATCHES are used, each weighted by its number of examples.
        """
        if not self._layers:
            return
        sums: list[Any] = [0.0] * (2 * len(self._layers))
        n_examples = 0
        for inputs, targets, _ in batches.take(N_BATCHES):
            size = len(targets)
            sums = [total + size * moment.numpy() for total, moment in zip(sums, self._moments(inputs), strict=True)]
            n_examples += size
        for layer, mean, variance in zip(self._layers, sums[::2], sums[1::2], strict=True):
            layer.moving_mean.assign(mean / n_examples)
            layer.moving_variance.assign(variance / n_examples)

    def _moments_of_batch(self, inputs: Any) -> list[Any]:
        """Return mean and variance of each channel, (channel,) float32, of the input of each layer in turn."""
        activations = keras.tree.flatten(self._inputs_of_layers(inputs, training=True))
        return [
            moment
            for x in activations
            for moment in tf.nn.moments(tf.cast(x, tf.float32), list(range(x.shape.rank - 1)))
        ]
