"""What a network is given: the columns of a shard as numbers of order one, the same in training and prediction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from domain.errors import Impossible

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
Value = TypeVar("Value")


# What `--features` may say: the numbers of the audio, those of where and when, or the one after the other.
FEATURE_SETS = ("audio", "metadata", "both")

METADATA_INPUTS = (
    "latitude", "longitude", "month_sin", "month_cos", "hour_sin", "hour_cos",
    "place_is_known", "month_is_known", "hour_is_known",
)  # fmt: skip


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
    A deviation of 0 stands for metadata that told nothing in training: it is always 0.  features: of FEATURE_SETS.
    """

    pixel_max: float = 255.0
    feature_means: tuple[float, ...] = ()
    feature_deviations: tuple[float, ...] = ()
    features: str = "audio"


@dataclass(frozen=True)
class RawBatch:
    """Rows of shards: spectrograms (n, mel, frame) in 0..255, uint8 or mixed to float32; features (n, 15) float32.

    metadata: (n, 9) float32 as `encoded` gives it, None where nobody will ask for it.
    """

    spectrograms: Pixels | Floats
    features: Floats
    metadata: Floats | None = None

    def chosen(self, features: str) -> Floats:
        """(n, width) float32: the numbers of this feature set, the audio's first."""
        if features == "audio":
            return self.features
        if self.metadata is None:
            raise ValueError(f"features {features!r} need metadata, which was not read from the shards")
        return self.metadata if features == "metadata" else np.hstack([self.features, self.metadata])


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
    """(batch, feature) float32: zero mean and unit deviation over the training examples; unknown metadata is 0."""
    values = raw.chosen(scaling.features)
    means = np.asarray(scaling.feature_means, np.float32)
    deviations = np.asarray(scaling.feature_deviations, np.float32)
    standardised: Floats = np.zeros_like(values, np.float32)
    np.divide(values - means, deviations, out=standardised, where=deviations > 0)
    told = standardised[:, standardised.shape[1] - n_metadata(scaling.features) :]
    told[np.isnan(told)] = 0
    return standardised


def encoded(metadata: Floats) -> Floats:
    """(n, 9) float32 in the order of METADATA_INPUTS, of raw metadata (n, 4) in that of METADATA; NaN where unknown.

    Month and hour go round a circle, so that December stands beside January and 23 h beside 0 h; whether something
    is known is 1 or 0.

    >>> encoded(np.array([[52.5, 13.25, 4, np.nan]], np.float32)).round(3).tolist()
    [[52.5, 13.25, 1.0, -0.0, nan, nan, 1.0, 1.0, 0.0]]
    """
    latitude, longitude, month, hour = metadata.astype(np.float32).T
    of_year, of_day = 2 * np.pi * (month - 1) / 12, 2 * np.pi * hour / 24
    cycles = (np.sin(of_year), np.cos(of_year), np.sin(of_day), np.cos(of_day))
    known = (~np.isnan(column) for column in (latitude, month, hour))
    return np.stack([latitude, longitude, *cycles, *known], axis=1).astype(np.float32)


def n_metadata(features: str) -> int:
    """How many of this feature set's last numbers say where and when."""
    return 0 if features == "audio" else len(METADATA_INPUTS)


def n_chosen(n_audio: int, features: str) -> int:
    """The width of this feature set where the audio gives `n_audio` numbers."""
    return (0 if features == "metadata" else n_audio) + n_metadata(features)


def feature_names(features: str) -> tuple[str, ...]:
    """The names of this feature set's numbers, in their order."""
    from tasks.audio.features import FEATURES  # noqa: PLC0415  # its libraries are slow to load, and names are rare

    return (() if features == "metadata" else FEATURES) + (() if features == "audio" else METADATA_INPUTS)


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


def measured_scaling(blocks: Iterable[Floats], features: str = "audio") -> Scaling:
    """The scaling for networks that read features, from blocks (n, width) of the training examples, in one pass.

    A feature of the audio that never changes is only shifted; metadata that never changes tells nothing and becomes 0,
    whatever it is later. What is unknown has no part in mean and deviation.
    Raises Impossible where a feature of the audio is not a finite number, and where metadata alone tells nothing.
    Source: Chan, Golub & LeVeque 1983, Am. Stat. 37(3), updating formulae for the pooled variance.
    """
    count, mean, squares = np.zeros(1), np.zeros(1), np.zeros(1)
    for block in (block.astype(np.float64) for block in blocks if len(block)):
        n_audio = block.shape[1] - n_metadata(features)
        if not np.isfinite(block[:, :n_audio]).all():
            raise Impossible("a training example has a feature that is not a finite number; pack its shard again")
        n, its_mean, its_squares = _moments(block)
        total = count + n
        delta = its_mean - mean
        squares = squares + its_squares + delta**2 * count * n / np.maximum(total, 1)
        mean = mean + delta * n / np.maximum(total, 1)
        count = total
    return _scaling(mean, np.sqrt(squares / np.maximum(count, 1)), features)


def _moments(block: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Of each column: how many numbers are known, their mean, and the sum of their squared distances from it."""
    is_known = ~np.isnan(block)
    n = is_known.sum(axis=0).astype(np.float64)
    mean = np.where(is_known, block, 0).sum(axis=0) / np.maximum(n, 1)
    return n, mean, (np.where(is_known, block - mean, 0) ** 2).sum(axis=0)


def _scaling(mean: NDArray[np.float64], deviations: NDArray[np.float64], features: str) -> Scaling:
    # Below a float32's resolution at this mean, a spread is rounding and must not be blown up to one.
    steady = deviations <= np.abs(mean) * np.finfo(np.float32).eps
    if features == "metadata" and steady.all():
        raise Impossible(
            "the training examples do not differ in place or time, so metadata alone teaches nothing; "
            "train with --features audio or both"
        )
    says_nothing = np.ones(len(mean))
    says_nothing[len(mean) - n_metadata(features) :] = 0
    return Scaling(
        feature_means=tuple(mean.tolist()),
        feature_deviations=tuple(np.where(steady, says_nothing, deviations).tolist()),
        features=features,
    )
