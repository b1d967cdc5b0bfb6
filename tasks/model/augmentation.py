"""What a training picture may also have looked like: later or earlier, partly hidden, mixed with another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np

from tasks.model.inputs import Floats, Pixels, RawBatch
from tasks.model.spec import TrainingSettings

_STRIPES = 2


@dataclass(frozen=True)
class Target:
    """What is to be learnt of a batch: classes (n, n_classes) float32, rows summing to one; weights (n,) float32."""

    classes: Floats
    weights: Floats


def augmented(
    raw: RawBatch, target: Target, settings: TrainingSettings, draw: np.random.Generator
) -> tuple[RawBatch, Target]:
    """The batch as this epoch sees it; nothing changes where the settings ask for nothing."""
    pictures = raw.spectrograms
    if settings.shift:
        pictures = shifted(pictures, settings.shift, draw)
    if settings.time_mask:
        pictures = masked(pictures, 2, settings.time_mask, draw)
    if settings.mel_mask:
        pictures = masked(pictures, 1, settings.mel_mask, draw)
    changed = RawBatch(pictures, raw.features)
    return mixed(changed, target, settings.mixup, draw) if settings.mixup else (changed, target)


def shifted(pictures: Pixels | Floats, most: float, draw: np.random.Generator) -> Pixels | Floats:
    """Each picture rolled along time, earlier or later by at most this share of its frames.

    pictures: (n, mel, frame).
    """
    n, _, n_frames = pictures.shape
    offsets = draw.integers(-round(most * n_frames), round(most * n_frames), n, endpoint=True)
    frames = (np.arange(n_frames) - offsets[:, np.newaxis]) % n_frames
    return cast("Pixels | Floats", np.take_along_axis(pictures, frames[:, np.newaxis, :], axis=2))


def masked(pictures: Pixels | Floats, axis: int, widest: float, draw: np.random.Generator) -> Pixels | Floats:
    """Two stripes across each picture hidden under its mean, each up to this share of the axis wide.

    pictures: (n, mel, frame).  axis: 1 hides bands, 2 hides moments.
    Source: Park et al. 2019, "SpecAugment", arXiv:1904.08779, without its time warping.
    """
    n, size = len(pictures), pictures.shape[axis]
    hidden = np.zeros((n, size), bool)
    for _ in range(_STRIPES):
        widths = draw.integers(0, round(widest * size), n, endpoint=True)
        starts = draw.integers(0, size - widths, endpoint=True)
        places = np.arange(size)
        hidden |= (places >= starts[:, np.newaxis]) & (places < (starts + widths)[:, np.newaxis])
    means = pictures.mean(axis=(1, 2)).astype(pictures.dtype)[:, np.newaxis, np.newaxis]
    return np.where(np.expand_dims(hidden, 3 - axis), means, pictures)


def mixed(raw: RawBatch, target: Target, alpha: float, draw: np.random.Generator) -> tuple[RawBatch, Target]:
    """Each example laid over another of the batch, and what is to be learnt in the same proportion.

    alpha: of the Beta distribution the proportions come from; small ones leave most examples nearly alone.
    Source: Zhang et al. 2018, "mixup", arXiv:1710.09412.
    """
    n = len(target.weights)
    share, other = draw.beta(alpha, alpha, n).astype(np.float32), draw.permutation(n)

    def laid_over(values: Pixels | Floats) -> Floats:
        parts = share.reshape(-1, *[1] * (values.ndim - 1))
        both: Floats = parts * values + (1 - parts) * values[other]
        return both

    return (
        RawBatch(laid_over(raw.spectrograms), laid_over(raw.features)),
        Target(laid_over(target.classes), laid_over(target.weights)),
    )
