"""What a network is given: the columns of a shard as numbers of order one, the same in training and prediction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from tasks.failures import Impossible

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
Value = TypeVar("Value")


@dataclass(frozen=True)
class InputShapes:
    """The sizes a network is built for: a spectrogram of `n_mels` by `n_frames` and `n_features` numbers a chunk."""

    n_mels: int = 48
    n_frames: int = 128
    n_features: int = 15


@dataclass(frozen=True)
class Scaling:
    """How raw columns become numbers of order one; kept beside the weights, for they are worth nothing without it.

    Grey levels are divided by `pixel_max`. Features have `feature_means` subtracted and are divided by
    `feature_deviations`, both measured on the training examples alone; empty where the network reads no features.
    """

    pixel_max: float = 255.0
    feature_means: tuple[float, ...] = ()
    feature_deviations: tuple[float, ...] = ()


@dataclass(frozen=True)
class RawBatch:
    """Rows of shards: spectrograms (n, mel, frame) in 0..255, uint8 or mixed to float32; features (n, 15) float32."""

    spectrograms: Pixels | Floats
    features: Floats


@dataclass(frozen=True)
class InputKind:
    """One input a network may ask for by name: its shape without the batch, and how its numbers are made."""

    shape: Callable[[InputShapes], tuple[int, ...]]
    prepare: Callable[[RawBatch, Scaling], Floats]


def bands(raw: RawBatch, scaling: Scaling) -> Floats:
    """(batch, mel, frame) float32 in 0..1: the same picture as a sequence of bands, the lowest first."""
    return np.divide(raw.spectrograms, scaling.pixel_max, dtype=np.float32)


def grey(raw: RawBatch, scaling: Scaling) -> Floats:
    """(batch, mel, frame, channel) float32 in 0..1, one channel."""
    return bands(raw, scaling)[..., np.newaxis]


def standard(raw: RawBatch, scaling: Scaling) -> Floats:
    """(batch, feature) float32: zero mean and unit deviation over the training examples."""
    means = np.asarray(scaling.feature_means, np.float32)
    deviations = np.asarray(scaling.feature_deviations, np.float32)
    standardised: Floats = np.divide(raw.features - means, deviations, dtype=np.float32)
    return standardised


# The words a model's entry in the zoo may use for its inputs; a Keras input bears the same name.
INPUTS: dict[str, InputKind] = {
    "spectrogram": InputKind(lambda shapes: (shapes.n_mels, shapes.n_frames, 1), grey),
    "bands": InputKind(lambda shapes: (shapes.n_mels, shapes.n_frames), bands),
    "features": InputKind(lambda shapes: (shapes.n_features,), standard),
}


def prepared(raw: RawBatch, inputs: Iterable[str], scaling: Scaling) -> dict[str, Floats]:
    """What a network with these inputs is fed, by input name.

    >>> raw = RawBatch(np.full((2, 48, 128), 255, np.uint8), np.zeros((2, 15), np.float32))
    >>> batch = prepared(raw, ["spectrogram"], Scaling())["spectrogram"]
    >>> batch.shape, float(batch.max())
    ((2, 48, 128, 1), 1.0)
    """
    return {name: INPUTS[name].prepare(raw, scaling) for name in inputs}


def as_keras_takes(inputs: Mapping[str, Value]) -> Value | tuple[Value, ...]:
    """The only input as it is, several as a tuple: Keras warns of a dictionary where a model has one input."""
    values = tuple(inputs.values())
    return values[0] if len(values) == 1 else values


def measured_scaling(features: Iterable[Floats]) -> Scaling:
    """The scaling for networks that read features, from blocks (n, 15) of the training examples, in one pass.

    A feature that never changes is only shifted. Raises Impossible where a feature is not a finite number.
    Source: Chan, Golub & LeVeque 1983, Am. Stat. 37(3), updating formulae for the pooled variance.
    """
    count, mean, squares = 0, np.zeros(1), np.zeros(1)
    for block in (block.astype(np.float64) for block in features if len(block)):
        if not np.isfinite(block).all():
            raise Impossible("a training example has a feature that is not a finite number; pack its shard again")
        total = count + len(block)
        delta = block.mean(axis=0) - mean
        squares = squares + block.var(axis=0) * len(block) + delta**2 * count * len(block) / total
        mean = mean + delta * len(block) / total
        count = total
    deviations = np.sqrt(squares / max(count, 1))
    # Below a float32's resolution at this mean, a spread is rounding and must not be blown up to one.
    steady = deviations <= np.abs(mean) * np.finfo(np.float32).eps
    return Scaling(
        feature_means=tuple(mean.tolist()),
        feature_deviations=tuple(np.where(steady, 1.0, deviations).tolist()),
    )
