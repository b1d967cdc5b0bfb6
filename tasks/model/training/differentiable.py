"""Augmentation that gradients pass through, applied to every spectrogram that a critic reads, real and synthetic."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

SHIFT, LEVEL, MASK = 0.25, 0.1, 0.2
"""Maximum time shift, maximum level change, and width of the mask: shares of frames, grey range and axis."""

Tensor = Any  # tf.Tensor; TensorFlow has no type annotations


def augment_for_critic(spectrograms: Tensor, seed: Tensor) -> Tensor:
    """Roll the spectrograms along time, change their level, and mask one stripe of each axis.

    spectrograms: (n, mel, frame, 1) float32 in 0..1.  seed: (2,) int32, which determines all random numbers.
    Returns a tensor of the same shape; gradients pass through it.
    Augmentation keeps the critic from memorising a small training subset. It applies to synthetic spectrograms too, so
    the generator does not learn to imitate it.
    Source: Zhao et al. 2020, "Differentiable Augmentation for Data-Efficient GAN Training", arXiv:2006.10738.
    """
    seeds = tf.random.experimental.stateless_split(seed, 4)
    level = tf.random.stateless_uniform((tf.shape(spectrograms)[0], 1, 1, 1), seeds[1], -LEVEL, LEVEL)
    changed = roll(spectrograms, seeds[0]) + level
    return mask_stripe(mask_stripe(changed, 1, seeds[2]), 2, seeds[3])


def roll(spectrograms: Tensor, seed: Tensor) -> Tensor:
    """Roll each spectrogram along time by a random number of frames, at most a quarter in either direction.

    spectrograms: (n, mel, frame, 1).  seed: (2,) int32.
    Returns a tensor of the same shape and type.
    """
    n, n_frames = tf.shape(spectrograms)[0], spectrograms.shape[2]
    limit = round(SHIFT * n_frames)
    offsets = tf.random.stateless_uniform((n, 1), seed, -limit, limit + 1, tf.int32)
    frames_first = tf.transpose(spectrograms, (0, 2, 1, 3))
    moved = tf.gather(frames_first, (tf.range(n_frames) + offsets) % n_frames, axis=1, batch_dims=1)
    return tf.transpose(moved, (0, 2, 1, 3))


def mask_stripe(spectrograms: Tensor, axis: int, seed: Tensor) -> Tensor:
    """Set a stripe of a fifth of the axis to zero; a stripe that starts outside covers less or nothing.

    spectrograms: (n, mel, frame, 1) float32.  axis: 1 masks bands, 2 masks frames.  seed: (2,) int32.
    Returns a tensor of the same shape.
    """
    n, size = tf.shape(spectrograms)[0], spectrograms.shape[axis]
    width = round(MASK * size)
    starts = tf.random.stateless_uniform((n, 1), seed, -width, size, tf.int32)
    positions = tf.range(size)
    is_kept = tf.cast((positions < starts) | (positions >= starts + width), tf.float32)
    return spectrograms * tf.reshape(is_kept, (n, size, 1, 1) if axis == 1 else (n, 1, size, 1))
