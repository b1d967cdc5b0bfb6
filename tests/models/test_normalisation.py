"""Moving statistics of batch normalisation, computed anew before a validation."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from tasks.model.training.normalisation import N_BATCHES, NormalisationStatistics


def batches(*arrays):
    """Batches as a feed yields them: inputs, targets, example weights."""
    signature = (tf.TensorSpec((None, 4, 2)), tf.TensorSpec((None, 1)), tf.TensorSpec((None,)))
    triples = [(array, np.zeros((len(array), 1), np.float32), np.ones(len(array), np.float32)) for array in arrays]
    return tf.data.Dataset.from_generator(lambda: iter(triples), output_signature=signature)


def noise(seed, n, spread=1.0):
    return np.random.default_rng(seed).normal(3.0, spread, (n, 4, 2)).astype(np.float32)


def network(*layers):
    inputs = keras.Input((4, 2))
    x = inputs
    for layer in layers:
        x = layer(x)
    return keras.Model(inputs, x)


def test_the_statistics_are_averages_over_the_batches_weighted_by_their_size():
    layer = keras.layers.BatchNormalization()
    small, large = noise(1, 2, spread=5.0), noise(2, 6)
    NormalisationStatistics(network(layer)).recompute(batches(small, large))
    for statistic, moment in ((layer.moving_mean, np.mean), (layer.moving_variance, np.var)):
        expected = (2 * moment(small, axis=(0, 1)) + 6 * moment(large, axis=(0, 1))) / 8
        np.testing.assert_allclose(statistic.numpy(), expected, rtol=1e-5)


def test_a_later_layer_sees_the_batch_as_the_earlier_one_normalises_it_in_training():
    first, second = keras.layers.BatchNormalization(), keras.layers.BatchNormalization()
    NormalisationStatistics(network(first, second)).recompute(batches(noise(1, 8), noise(2, 8)))
    np.testing.assert_allclose(second.moving_mean.numpy(), 0, atol=1e-5)
    np.testing.assert_allclose(second.moving_variance.numpy(), 1, atol=2e-3)


def test_one_unusual_batch_at_the_end_of_an_epoch_has_a_small_share():
    layer = keras.layers.BatchNormalization(momentum=0.9)
    usual = [noise(seed, 8) for seed in range(N_BATCHES - 1)]
    model, unusual = network(layer), noise(99, 8, spread=30.0)
    for batch in (*usual, unusual):
        model(batch, training=True)
    spoilt = layer.moving_variance.numpy()
    NormalisationStatistics(model).recompute(batches(*usual, unusual))
    assert (spoilt > 2 * layer.moving_variance.numpy()).all(), "a tenth of it is the last batch; now a thirtieth is"


@pytest.mark.parametrize("layers", [(), (keras.layers.Flatten(), keras.layers.Dense(3))])
def test_a_network_without_batch_normalisation_keeps_its_weights(layers):
    model = network(*layers)
    before = model.get_weights()
    NormalisationStatistics(model).recompute(batches(noise(1, 8)))
    for weight, unchanged in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, unchanged)
