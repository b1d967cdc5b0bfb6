"""What a training picture may also have looked like: later or earlier, partly hidden, mixed with another."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from tasks.model.inputs import Floats, Pixels, RawBatch
from tasks.model.spec import TrainingSettings

_STRIPES = 2
_KNOTS = 5


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
    if settings.shift or settings.stretch:
        pictures = shifted(pictures, settings.shift, draw, stretch=settings.stretch)
    if settings.mel_shift:
        pictures = transposed(pictures, settings.mel_shift, draw)
    if settings.band_gain:
        pictures = equalised(pictures, settings.band_gain, draw)
    if settings.time_mask:
        pictures = masked(pictures, 2, settings.time_mask, draw)
    if settings.mel_mask:
        pictures = masked(pictures, 1, settings.mel_mask, draw)
    changed = replace(raw, spectrograms=pictures)
    return mixed(changed, target, settings.mixup, draw) if settings.mixup else (changed, target)


def shifted(
    pictures: Pixels | Floats, most: float, draw: np.random.Generator, *, stretch: float = 0.0
) -> Pixels | Floats:
    """Each picture rolled along time, earlier or later by at most this share of its frames, and played at another pace.

    pictures: (n, mel, frame).  stretch: at most so much faster or slower, as a share; a picture that ends too soon
    begins again.
    """
    n, _, n_frames = pictures.shape
    offsets = draw.integers(-round(most * n_frames), round(most * n_frames), n, endpoint=True)
    frames = np.arange(n_frames) - offsets[:, np.newaxis]
    if stretch:
        paces = np.exp(draw.uniform(-1, 1, (n, 1)) * np.log1p(stretch))
        frames = np.floor(frames * paces).astype(np.int64)
    return cast("Pixels | Floats", np.take_along_axis(pictures, (frames % n_frames)[:, np.newaxis, :], axis=2))


def transposed(pictures: Pixels | Floats, most: float, draw: np.random.Generator) -> Pixels | Floats:
    """Each picture moved up or down by at most this share of its bands; the band at the edge is repeated.

    pictures: (n, mel, frame).
    """
    n, n_mels, _ = pictures.shape
    offsets = draw.integers(-round(most * n_mels), round(most * n_mels), n, endpoint=True)
    rows = np.clip(np.arange(n_mels) - offsets[:, np.newaxis], 0, n_mels - 1)
    return cast("Pixels | Floats", np.take_along_axis(pictures, rows[:, :, np.newaxis], axis=1))


def equalised(pictures: Pixels | Floats, most: float, draw: np.random.Generator) -> Pixels | Floats:
    """Each picture as through another microphone: bands made louder or softer along a line with a few random knots.

    pictures: (n, mel, frame) in 0..255; levels stay there.  most: the greatest change, as a share of that range.
    Source: Nam et al. 2022, "FilterAugment", arXiv:2110.03282, the linear kind.
    """
    n, n_mels, _ = pictures.shape
    knots = draw.uniform(-most, most, (n, _KNOTS)) * 255
    places = np.linspace(0, _KNOTS - 1, n_mels)
    left = np.minimum(places.astype(int), _KNOTS - 2)
    part = places - left
    gains = knots[:, left] * (1 - part) + knots[:, left + 1] * part
    louder = np.clip(pictures + gains[:, :, np.newaxis].astype(np.float32), 0, 255)
    return cast("Pixels | Floats", louder.astype(pictures.dtype))


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

    metadata = None if raw.metadata is None else laid_over(raw.metadata)  # of which one is unknown, both are
    return (
        RawBatch(laid_over(raw.spectrograms), laid_over(raw.features), metadata),
        Target(laid_over(target.classes), laid_over(target.weights)),
    )
