"""Augmentation that gradients pass through: what a critic sees of every picture, real and synthetic alike."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

SHIFT, LEVEL, MASKED = 0.25, 0.1, 0.2
"""Most of the frames rolled by, of the grey range added or taken, and of an axis hidden: shares of the whole."""

Tensor = Any  # tf.Tensor; the libraries below carry no annotations


def seen(pictures: Tensor, seed: Tensor) -> Tensor:
    """The pictures rolled along time, made louder or softer, and with a stripe of either axis hidden.

    pictures: (n, mel, frame, 1) float32 in 0..1.  seed: (2,) int32; all that is drawn follows from it.
    A critic that only ever sees augmented pictures cannot learn a few of them by heart; since synthetic ones are
    treated alike, the generator does not learn the augmentation.
    Source: Zhao et al. 2020, "Differentiable Augmentation for Data-Efficient GAN Training", arXiv:2006.10738.
    """
    seeds = tf.random.experimental.stateless_split(seed, 4)
    level = tf.random.stateless_uniform((tf.shape(pictures)[0], 1, 1, 1), seeds[1], -LEVEL, LEVEL)
    shown = rolled(pictures, seeds[0]) + level
    return without_stripe(without_stripe(shown, 1, seeds[2]), 2, seeds[3])


def rolled(pictures: Tensor, seed: Tensor) -> Tensor:
    """Each picture rolled along time by up to a quarter of its frames; nothing is lost."""
    n, n_frames = tf.shape(pictures)[0], pictures.shape[2]
    most = round(SHIFT * n_frames)
    offsets = tf.random.stateless_uniform((n, 1), seed, -most, most + 1, tf.int32)
    by_time = tf.transpose(pictures, (0, 2, 1, 3))
    moved = tf.gather(by_time, (tf.range(n_frames) + offsets) % n_frames, axis=1, batch_dims=1)
    return tf.transpose(moved, (0, 2, 1, 3))


def without_stripe(pictures: Tensor, axis: int, seed: Tensor) -> Tensor:
    """Each picture with a stripe of a fifth of that axis black; one that begins outside hides less, or nothing.

    axis: 1 hides bands, 2 hides moments.
    """
    n, size = tf.shape(pictures)[0], pictures.shape[axis]
    width = round(MASKED * size)
    starts = tf.random.stateless_uniform((n, 1), seed, -width, size, tf.int32)
    places = tf.range(size)
    is_kept = tf.cast((places < starts) | (places >= starts + width), tf.float32)
    return pictures * tf.reshape(is_kept, (n, size, 1, 1) if axis == 1 else (n, 1, size, 1))
