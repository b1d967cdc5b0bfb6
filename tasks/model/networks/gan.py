"""The two networks of the GAN: a generator that paints spectrograms of a class, and a critic that doubts them."""

from __future__ import annotations

from typing import Any

import keras

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
    """An untrained keras.Model from noise (n, 64) and class (n, n_classes), one-hot, to pictures (n, mel, frame, 1).

    Pictures are in 0..1. It begins with a grid eight times coarser on both axes and doubles it three times, the last
    time by sub-pixels, which costs a quarter of a convolution at full size; what stands over is cropped.
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
        x = keras.layers.ReLU(name=f"gan_relu_{step}")(_styled(x, style, name=f"gan_{step}"))
    x = keras.layers.Conv2D(4, 3, padding="same", activation="sigmoid", name="gan_pixels")(x)
    spare = (0, COARSE * rows - shapes.n_mels), (0, COARSE * columns - shapes.n_frames)
    return keras.Model([noise, classes], keras.layers.Cropping2D(spare, name="gan_picture")(_full(x)), name="gan")


def _styled(x: Tensor, style: Tensor, *, name: str) -> Tensor:
    """Normalised over each picture; then each channel is scaled and shifted as noise and class say.

    Source: Perez et al. 2018, "FiLM", arXiv:1709.07871; groups instead of the batch, Wu & He 2018, arXiv:1803.08494,
    so that a picture does not depend on those beside it.
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


def _full(x: Tensor) -> Tensor:
    """(n, row, column, 4) to (n, 2 row, 2 column, 1): four channels become the four pixels of a square."""
    _, rows, columns, _ = x.shape
    x = keras.layers.Reshape((rows, columns, 2, 2), name="gan_squares")(x)
    x = keras.layers.Permute((1, 3, 2, 4), name="gan_side_by_side")(x)
    return keras.layers.Reshape((2 * rows, 2 * columns, 1), name="gan_full")(x)


def critic(shapes: InputShapes, n_classes: int) -> Any:
    """An untrained keras.Model from pictures and classes to how real they look, and to what class they look like.

    From (n, mel, frame, 1) in 0..1 and (n, n_classes), one-hot, to (n, 1), unbounded, and (n, n_classes), logits. The
    largest singular value of every layer of pictures is held at one; the class enters as a projection. How far
    the pictures of a batch differ is a channel of its own: pictures all alike look false.
    Source: Miyato et al. 2018, "Spectral Normalization", arXiv:1802.05957; Miyato & Koyama 2018, "cGANs with
    Projection Discriminator", arXiv:1802.05637; the batch's deviation, Karras et al. 2018, arXiv:1710.10196; the
    class named too, Odena, Olah & Shlens 2017, "AC-GAN", arXiv:1610.09585.
    """
    picture = keras.Input((shapes.n_mels, shapes.n_frames, 1), name="picture")
    classes = keras.Input((n_classes,), name="class")
    x = keras.layers.Rescaling(2.0, -1.0)(picture)
    for n_filters in CRITIC_FILTERS:
        x = _bounded_conv(x, n_filters, 4)
    x = _bounded_conv(keras.layers.Concatenate()([x, _deviation(x)]), CRITIC_UNITS, 3)
    x = keras.ops.sum(x, axis=(1, 2))  # a mean would leave next to nothing of what bounded layers pass on
    real = keras.layers.SpectralNormalization(keras.layers.Dense(1))(x)
    of_class = keras.layers.Dense(CRITIC_UNITS, use_bias=False)(classes)
    score = keras.layers.Add()([real, keras.layers.Dot(1)([x, of_class])])
    return keras.Model([picture, classes], [score, keras.layers.Dense(n_classes)(x)])


def _bounded_conv(x: Tensor, n_filters: int, size: int) -> Tensor:
    conv = keras.layers.Conv2D(n_filters, size, strides=2, padding="same")
    return keras.layers.LeakyReLU(_LEAK)(keras.layers.SpectralNormalization(conv)(x))


def _deviation(x: Tensor) -> Tensor:
    """The mean deviation over the batch, the same in every place."""
    mean = keras.ops.mean(keras.ops.sqrt(keras.ops.var(x, axis=0) + 1e-8))
    return keras.ops.ones_like(x[..., :1]) * mean
