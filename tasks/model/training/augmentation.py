"""Augmentation of training batches: shifts, stretches, gains, masks and mixup."""

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
    """Training targets of a batch: classes (n, n_classes) float32, rows summing to one; weights (n,) float32."""

    classes: Floats
    weights: Floats


def augmented(
    raw: RawBatch, target: Target, settings: TrainingSettings, draw: np.random.Generator
) -> tuple[RawBatch, Target]:
    """Apply the augmentation that the settings enable, in a fixed order; return the batch unchanged if none is."""
    spectrograms = raw.spectrograms
    if settings.shift or settings.stretch:
        spectrograms = shifted(spectrograms, settings.shift, draw, stretch=settings.stretch)
    if settings.mel_shift:
        spectrograms = transposed(spectrograms, settings.mel_shift, draw)
    if settings.band_gain:
        spectrograms = equalised(spectrograms, settings.band_gain, draw)
    if settings.time_mask:
        spectrograms = masked(spectrograms, 2, settings.time_mask, draw)
    if settings.mel_mask:
        spectrograms = masked(spectrograms, 1, settings.mel_mask, draw)
    changed = replace(raw, spectrograms=spectrograms)
    return mixed(changed, target, settings.mixup, draw) if settings.mixup else (changed, target)


def shifted(
    spectrograms: Pixels | Floats, limit: float, draw: np.random.Generator, *, stretch: float = 0.0
) -> Pixels | Floats:
    """Roll each spectrogram along time by a random offset and, if `stretch` is set, change its tempo.

    spectrograms: (n, mel, frame).  limit: maximum offset in either direction, as a share of the frames.
    stretch: maximum tempo change as a share; a spectrogram that becomes too short is repeated.
    Returns an array of the same shape and type.
    """
    n, _, n_frames = spectrograms.shape
    offsets = draw.integers(-round(limit * n_frames), round(limit * n_frames), n, endpoint=True)
    frames = np.arange(n_frames) - offsets[:, np.newaxis]
    if stretch:
        paces = np.exp(draw.uniform(-1, 1, (n, 1)) * np.log1p(stretch))
        frames = np.floor(frames * paces).astype(np.int64)
    return cast("Pixels | Floats", np.take_along_axis(spectrograms, (frames % n_frames)[:, np.newaxis, :], axis=2))


def transposed(spectrograms: Pixels | Floats, limit: float, draw: np.random.Generator) -> Pixels | Floats:
    """Shift each spectrogram up or down by a random number of bands; the edge band is repeated.

    spectrograms: (n, mel, frame).  limit: maximum offset in either direction, as a share of the bands.
    Returns an array of the same shape and type.
    """
    n, n_mels, _ = spectrograms.shape
    offsets = draw.integers(-round(limit * n_mels), round(limit * n_mels), n, endpoint=True)
    rows = np.clip(np.arange(n_mels) - offsets[:, np.newaxis], 0, n_mels - 1)
    return cast("Pixels | Floats", np.take_along_axis(spectrograms, rows[:, :, np.newaxis], axis=1))


def equalised(spectrograms: Pixels | Floats, limit: float, draw: np.random.Generator) -> Pixels | Floats:
    """Add a random frequency response, linear between five knots, as another microphone would.

    spectrograms: (n, mel, frame), 0..255.  limit: maximum change as a share of that range.
    Returns an array of the same shape and type, clipped to 0..255.
    Source: Nam et al. 2022, "FilterAugment", arXiv:2110.03282, the linear kind.
    """
    n, n_mels, _ = spectrograms.shape
    knots = draw.uniform(-limit, limit, (n, _KNOTS)) * 255
    positions = np.linspace(0, _KNOTS - 1, n_mels)
    left = np.minimum(positions.astype(int), _KNOTS - 2)
    fraction = positions - left
    gains = knots[:, left] * (1 - fraction) + knots[:, left + 1] * fraction
    changed = np.clip(spectrograms + gains[:, :, np.newaxis].astype(np.float32), 0, 255)
    return cast("Pixels | Floats", changed.astype(spectrograms.dtype))


def masked(spectrograms: Pixels | Floats, axis: int, limit: float, draw: np.random.Generator) -> Pixels | Floats:
    """Replace two random stripes of each spectrogram with its mean.

    spectrograms: (n, mel, frame).  axis: 1 masks bands, 2 masks frames.
    limit: maximum width of a stripe, as a share of the axis.
    Returns an array of the same shape and type.
    Source: Park et al. 2019, "SpecAugment", arXiv:1904.08779, without its time warping.
    """
    n, size = len(spectrograms), spectrograms.shape[axis]
    hidden = np.zeros((n, size), bool)
    for _ in range(_STRIPES):
        widths = draw.integers(0, round(limit * size), n, endpoint=True)
        starts = draw.integers(0, size - widths, endpoint=True)
        positions = np.arange(size)
        hidden |= (positions >= starts[:, np.newaxis]) & (positions < (starts + widths)[:, np.newaxis])
    means = spectrograms.mean(axis=(1, 2)).astype(spectrograms.dtype)[:, np.newaxis, np.newaxis]
    return np.where(np.expand_dims(hidden, 3 - axis), means, spectrograms)


def mixed(raw: RawBatch, target: Target, alpha: float, draw: np.random.Generator) -> tuple[RawBatch, Target]:
    """Mix each example and its target with another one of the batch, in the same random proportion.

    alpha: parameter of the Beta distribution of the proportions, > 0; small values leave most examples nearly unmixed.
    Source: Zhang et al. 2018, "mixup", arXiv:1710.09412.
    """
    n = len(target.weights)
    share, other = draw.beta(alpha, alpha, n).astype(np.float32), draw.permutation(n)

    def mix(values: Pixels | Floats) -> Floats:
        parts = share.reshape(-1, *[1] * (values.ndim - 1))
        mixture: Floats = parts * values + (1 - parts) * values[other]
        return mixture

    metadata = None if raw.metadata is None else mix(raw.metadata)  # NaN if either value is unknown.
    return (
        RawBatch(mix(raw.spectrograms), mix(raw.features), metadata),
        Target(mix(target.classes), mix(target.weights)),
    )
