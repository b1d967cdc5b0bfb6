"""The two networks of the GAN: a generator of spectrograms of a class, and a critic that rates how real they are."""

from __future__ import annotations

from typing import Any

import keras

from domain.frozen_words import INTERLEAVED_PIXELS
from tasks.model.inputs import InputShapes
from tasks.model.networks.blocks import Tensor

NOISE = 64
COARSE = 8
GENERATOR_FILTERS = (48, 32, 24)
CRITIC_FILTERS = (24, 48, 64)
CRITIC_UNITS = 96
_GROUPS = 8
_LEAK = 0.2


def generator(shapes: InputShapes, n_classes: int) -> Any:
    """Build the untrained generator: noise and class to spectrograms in 0..1.

    It starts on a grid eight times coarser on both axes and doubles it three times. The last doubling uses sub-pixels,
    at a quarter of the cost of a convolution at full size. A final crop removes the surplus rows and columns.
    Input shape: noise (batch, 64), class (batch, n_classes), one-hot.
    Output shape: (batch, mel, frame, 1).
    Source: Shi et al. 2016, "Real-Time Single Image Super-Resolution", arXiv:1609.05158, for the sub-pixels.
    """
    noise, classes = keras.Input((NOISE,), name="noise"), keras.Input((n_classes,), name="class")
    of_class = keras.layers.Dense(NOISE, use_bias=False, name="gan_class")(classes)
    style = keras.layers.Concatenate(name="gan_style")([noise, of_class])
    rows, columns = -(-shapes.n_mels // COARSE), -(-shapes.n_frames // COARSE)
    x = keras.layers.Dense(rows * columns * GENERATOR_FILTERS[0], name="gan_grid")(style)
    x = keras.layers.Reshape((rows, columns, GENERATOR_FILTERS[0]), name="gan_coarse")(x)
    for step, n_filters in enumerate(GENERATOR_FILTERS, 1):
        x = keras.layers.UpSampling2D(2, name=f"gan_up_{step}")(x) if step > 1 else x
        x = keras.layers.Conv2D(n_filters, 3, padding="same", name=f"gan_conv_{step}")(x)
        x = keras.layers.ReLU(name=f"gan_relu_{step}")(_film(x, style, name=f"gan_{step}"))
    x = keras.layers.Conv2D(4, 3, padding="same", activation="sigmoid", name="gan_pixels")(x)
    surplus = (0, COARSE * rows - shapes.n_mels), (0, COARSE * columns - shapes.n_frames)
    x = keras.layers.Cropping2D(surplus, name="gan_picture")(_pixel_shuffle(x))
    return keras.Model([noise, classes], x, name="gan")


def _film(x: Tensor, style: Tensor, *, name: str) -> Tensor:
    """Normalise each spectrogram, then scale and shift each channel by linear functions of noise and class.

    Source: Perez et al. 2018, "FiLM", arXiv:1709.07871. Group normalisation, Wu & He 2018, arXiv:1803.08494, replaces
    batch normalisation so that a spectrogram does not depend on the rest of its batch.
    """
    n = x.shape[-1]
    x = keras.layers.GroupNormalization(_GROUPS, center=False, scale=False, name=f"{name}_norm")(x)
    scale = keras.layers.Dense(n, bias_initializer="ones", name=f"{name}_scale")(style)
    shift = keras.layers.Dense(n, name=f"{name}_shift")(style)
    scale, shift = (
        keras.layers.Reshape((1, 1, n), name=f"{name}_{what}_all")(each)
        for what, each in (("scale", scale), ("shift", shift))
    )
    return keras.layers.Add(name=f"{name}_shifted")([keras.layers.Multiply(name=f"{name}_scaled")([x, scale]), shift])


def _pixel_shuffle(x: Tensor) -> Tensor:
    """Map (n, row, column, 4) to (n, 2 row, 2 column, 1): four channels become a square of four pixels."""
    _, rows, columns, _ = x.shape
    x = keras.layers.Reshape((rows, columns, 2, 2), name="gan_squares")(x)
    x = keras.layers.Permute((1, 3, 2, 4), name=INTERLEAVED_PIXELS)(x)
    return keras.layers.Reshape((2 * rows, 2 * columns, 1), name="gan_full")(x)


def critic(shapes: InputShapes, n_classes: int) -> Any:
    """Build the untrained critic: spectrograms and classes to a realness score and class logits.

    Spectral normalisation limits the largest singular value of the spectrogram layers to 1. The class enters as a
    projection. An extra channel holds the deviation over the batch, so that the critic detects mode collapse.
    Input shape: picture (batch, mel, frame, 1) in 0..1, class (batch, n_classes), one-hot.
    Output shape: score (batch, 1), unbounded, and class logits (batch, n_classes).
    Source: Miyato et al. 2018, "Spectral Normalization", arXiv:1802.05957; Miyato & Koyama 2018, "cGANs with
    Projection Discriminator", arXiv:1802.05637; deviation over the batch, Karras et al. 2018, arXiv:1710.10196; class
    logits, Odena, Olah & Shlens 2017, "AC-GAN", arXiv:1610.09585.
    """
    picture = keras.Input((shapes.n_mels, shapes.n_frames, 1), name="picture")
    classes = keras.Input((n_classes,), name="class")
    x = keras.layers.Rescaling(2.0, -1.0)(picture)
    for n_filters in CRITIC_FILTERS:
        x = _spectral_norm_conv(x, n_filters, 4)
    x = _spectral_norm_conv(keras.layers.Concatenate()([x, _batch_deviation(x)]), CRITIC_UNITS, 3)
    x = keras.ops.sum(x, axis=(1, 2))  # A mean would shrink the bounded activations to almost zero.
    real = keras.layers.SpectralNormalization(keras.layers.Dense(1))(x)
    of_class = keras.layers.Dense(CRITIC_UNITS, use_bias=False)(classes)
    score = keras.layers.Add()([real, keras.layers.Dot(1)([x, of_class])])
    return keras.Model([picture, classes], [score, keras.layers.Dense(n_classes)(x)])


def _spectral_norm_conv(x: Tensor, n_filters: int, size: int) -> Tensor:
    conv = keras.layers.Conv2D(n_filters, size, strides=2, padding="same")
    return keras.layers.LeakyReLU(_LEAK)(keras.layers.SpectralNormalization(conv)(x))


def _batch_deviation(x: Tensor) -> Tensor:
    """Return a channel that holds the mean deviation over the batch at every position."""
    mean = keras.ops.mean(keras.ops.sqrt(keras.ops.var(x, axis=0) + 1e-8))
    return keras.ops.ones_like(x[..., :1]) * mean
