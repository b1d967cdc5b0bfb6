"""Generate synthetic examples with a trained generator; they are marked as synthetic and used for training only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from domain.digests import content_digest
from tasks.dataset.shards.shard import Example
from tasks.model.inputs import InputShapes, Pixels
from tasks.model.networks.gan import NOISE
from tasks.model.training.feed import one_hot

MAX_PER_CLASS = 1_000
"""Limit for classes with more real examples; beyond it, training takes longer and variety does not grow."""
NOISE_SCALE = 1.25
"""Deviation of the noise relative to training; above 1, examples of a class vary more and look as real.

Source: the inverse of the truncation trick of Brock et al. 2019, "BigGAN", arXiv:1809.11096; figures in
docs/reference/models.md.
"""
_BATCH = 64


def synthetic_examples(
    generator: Any, label_counts: Mapping[int, int], shapes: InputShapes, seed: int
) -> Iterator[Example]:
    """Generate as many examples of each class as it has real ones, at most 1,000 per class, in shuffled class order.

    generator: a keras.Model from `tasks.model.networks.gan.generator`.
    label_counts: real training examples by label number.
    The same seed gives the same examples. One batch of 64 is in memory at a time.
    The features are NaN because they are computed from audio, which synthetic examples lack; networks that read
    features refuse such shards.
    """
    draw = np.random.default_rng(seed)
    counts = {label: min(n, MAX_PER_CLASS) for label, n in sorted(label_counts.items())}
    labels = draw.permutation(np.repeat(list(counts), list(counts.values())))
    n_classes = generator.input_shape[1][-1]
    for start in range(0, len(labels), _BATCH):
        batch_labels = labels[start : start + _BATCH]
        noise = np.float32(NOISE_SCALE) * draw.standard_normal((len(batch_labels), NOISE), np.float32)
        spectrograms = generator.predict_on_batch([noise, one_hot(batch_labels, n_classes)])[..., 0]
        for at, (label, spectrogram) in enumerate(
            zip(batch_labels.tolist(), grey_levels(spectrograms), strict=True), start
        ):
            yield _example(spectrogram, label, at, shapes.n_features)


def grey_levels(spectrograms: Any) -> Pixels:
    """Convert (n, mel, frame) values in 0..1 to uint8, stretching each spectrogram to 0..255 as a preset does.

    A constant spectrogram is not stretched.
    """
    low, high = (f(spectrograms, axis=(1, 2), keepdims=True) for f in (np.min, np.max))
    stretched = np.where(high > low, (spectrograms - low) / np.where(high > low, high - low, 1), spectrograms)
    levels: Pixels = np.round(255 * stretched).astype(np.uint8)
    return levels


def _example(spectrogram: Pixels, label: int, number: int, n_features: int) -> Example:
    return Example(
        spectrogram=spectrogram,
        features=np.full(n_features, np.nan, np.float32),
        label=label,
        recording=f"synthetic {number}",
        digest=content_digest(spectrogram.tobytes()),
        group="synthetic",
        chunk=0,
        copy=0,
        synthetic=True,
    )
