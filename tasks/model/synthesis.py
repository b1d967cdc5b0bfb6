"""A trained generator to synthetic examples: marked as such, for training sides alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from domain.digests import content_digest
from tasks.dataset.shards.shard import Example
from tasks.model.inputs import InputShapes, Pixels
from tasks.model.networks.gan import NOISE
from tasks.model.training.feed import one_hot

MOST_A_CLASS = 1_000
"""However many real examples a class has: more add time, and no variety."""
WIDENED = 1.25
"""Deviation of the noise, in that of the noise it learnt with: examples of a class differ more and look as real.

Source: the truncation of Brock et al. 2019, "BigGAN", arXiv:1809.11096, the other way round.
Figures: docs/reference/models.md.
"""
_BATCH = 64


def synthetic_examples(
    generator: Any, label_counts: Mapping[int, int], shapes: InputShapes, seed: int
) -> Iterator[Example]:
    """As many examples of each class as it has real ones, up to 1,000, classes mixed; the same for the same seed.

    generator: a keras.Model as `tasks.model.networks.gan.generator` makes it.
    label_counts: real training examples by label.
    Nobody knows the features of a sound that was never heard: they are NaN, which no network that reads features
    learns from. A batch of 64 is in memory at a time.
    """
    draw = np.random.default_rng(seed)
    counts = {label: min(n, MOST_A_CLASS) for label, n in sorted(label_counts.items())}
    labels = draw.permutation(np.repeat(list(counts), list(counts.values())))
    n_classes = generator.input_shape[1][-1]
    for start in range(0, len(labels), _BATCH):
        some = labels[start : start + _BATCH]
        noise = np.float32(WIDENED) * draw.standard_normal((len(some), NOISE), np.float32)
        pictures = generator.predict_on_batch([noise, one_hot(some, n_classes)])[..., 0]
        for at, (label, picture) in enumerate(zip(some.tolist(), grey_levels(pictures), strict=True), start):
            yield _example(picture, label, at, shapes.n_features)


def grey_levels(pictures: Any) -> Pixels:
    """(n, mel, frame) uint8 of pictures in 0..1, each stretched to the whole range as a preset stretches a chunk.

    A picture of one grey throughout stays as it is.
    """
    low, high = (f(pictures, axis=(1, 2), keepdims=True) for f in (np.min, np.max))
    stretched = np.where(high > low, (pictures - low) / np.where(high > low, high - low, 1), pictures)
    levels: Pixels = np.round(255 * stretched).astype(np.uint8)
    return levels


def _example(picture: Pixels, label: int, number: int, n_features: int) -> Example:
    return Example(
        spectrogram=picture,
        features=np.full(n_features, np.nan, np.float32),
        label=label,
        recording=f"synthetic {number}",
        digest=content_digest(picture.tobytes()),
        group="synthetic",
        chunk=0,
        copy=0,
        synthetic=True,
    )
