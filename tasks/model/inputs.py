"""Convert shard columns into network inputs of order one; training and prediction use the same code."""

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


# The values of `--features`: audio features, metadata (place and time), or both.
FEATURE_SETS = ("audio", "metadata", "both")

METADATA_INPUTS = (
    "latitude", "longitude", "month_sin", "month_cos", "hour_sin", "hour_cos",
    "place_is_known", "month_is_known", "hour_is_known",
)  # fmt: skip


@dataclass(frozen=True)
class InputShapes:
    """The input sizes of a network: spectrograms of `n_mels` by `n_frames`, and `n_features` features per chunk."""

    n_mels: int = 48
    n_frames: int = 128
    n_features: int = 15


@dataclass(frozen=True)
class Scaling:
    """Parameters that scale raw columns to order one; the bundle stores them beside the weights, which need them.

    pixel_max: divisor of the grey levels.
    feature_means, feature_deviations: statistics of the training examples, subtracted from and divided into each
    feature; empty if the network reads no features. A deviation of 0 marks metadata that was constant in training:
    its input is always 0.
    features: a name from FEATURE_SETS.
    """

    pixel_max: float = 255.0
    feature_means: tuple[float, ...] = ()
    feature_deviations: tuple[float, ...] = ()
    features: str = "audio"


@dataclass(frozen=True)
class RawBatch:
    """Rows of shards.

    spectrograms: (n, mel, frame), 0..255, uint8, or float32 after mixup.  features: (n, 15) float32.
    metadata: (n, 9) float32 from `encode_metadata`, None if the network does not read it.
    """

    spectrograms: Pixels | Floats
    features: Floats
    metadata: Floats | None = None

    def feature_columns(self, features: str) -> Floats:
        """Return the feature set as (n, width) float32, audio columns first."""
        if features == "audio":
            return self.features
        if self.metadata is None:
            raise ValueError(f"features {features!r} need metadata, which was not read from the shards")
        return self.metadata if features == "metadata" else np.hstack([self.features, self.metadata])


@dataclass(frozen=True)
class InputKind:
    """A network input: its shape without the batch axis, and the function that computes it."""

    shape: Callable[[InputShapes], tuple[int, ...]]
    prepare: Callable[[RawBatch, Scaling], Floats]


def bands(raw: RawBatch, scaling: Scaling) -> Floats:
    """Return (batch, mel, frame) float32 in 0..1: the spectrogram as a sequence of bands, lowest first."""
    return np.divide(raw.spectrograms, scaling.pixel_max, dtype=np.float32)


def spectrogram_images(raw: RawBatch, scaling: Scaling) -> Floats:
    """Return (batch, mel, frame, channel) float32 in 0..1, one channel."""
    return bands(raw, scaling)[..., np.newaxis]


def standardised_features(raw: RawBatch, scaling: Scaling) -> Floats:
    """Return (batch, feature) float32 with zero mean and unit deviation over the training examples.

    Unknown metadata becomes 0, the mean.
    """
    values = raw.feature_columns(scaling.features)
    means = np.asarray(scaling.feature_means, np.float32)
    deviations = np.asarray(scaling.feature_deviations, np.float32)
    standardised: Floats = np.zeros_like(values, np.float32)
    np.divide(values - means, deviations, out=standardised, where=deviations > 0)
    metadata = standardised[:, standardised.shape[1] - n_metadata(scaling.features) :]
    metadata[np.isnan(metadata)] = 0
    return standardised


def encode_metadata(metadata: Floats) -> Floats:
    """Encode raw metadata as network inputs.

    metadata: (n, 4) in the order of METADATA, NaN if unknown.
    Returns (n, 9) float32 in the order of METADATA_INPUTS. Month and hour become sine and cosine, so that December is
    close to January and 23 h to 0 h. The last three columns are 1 if place, month and hour are known, else 0.

    >>> encode_metadata(np.array([[52.5, 13.25, 4, np.nan]], np.float32)).round(3).tolist()
    [[52.5, 13.25, 1.0, -0.0, nan, nan, 1.0, 1.0, 0.0]]
    """
    latitude, longitude, month, hour = metadata.astype(np.float32).T
    of_year, of_day = 2 * np.pi * (month - 1) / 12, 2 * np.pi * hour / 24
    cycles = (np.sin(of_year), np.cos(of_year), np.sin(of_day), np.cos(of_day))
    known = (~np.isnan(column) for column in (latitude, month, hour))
    return np.stack([latitude, longitude, *cycles, *known], axis=1).astype(np.float32)


def n_metadata(features: str) -> int:
    """Return the number of metadata columns, which are the last ones of the feature set."""
    return 0 if features == "audio" else len(METADATA_INPUTS)


def feature_width(n_audio: int, features: str) -> int:
    """Return the width of the feature set, given `n_audio` audio features."""
    return (0 if features == "metadata" else n_audio) + n_metadata(features)


def feature_names(features: str) -> tuple[str, ...]:
    """Return the names of the columns of the feature set, in order."""
    from tasks.audio.features import FEATURES  # noqa: PLC0415  # Imports slow audio libraries.

    return (() if features == "metadata" else FEATURES) + (() if features == "audio" else METADATA_INPUTS)


# Names that zoo entries may use for inputs; the Keras input has the same name.
INPUTS: dict[str, InputKind] = {
    "spectrogram": InputKind(lambda shapes: (shapes.n_mels, shapes.n_frames, 1), spectrogram_images),
    "bands": InputKind(lambda shapes: (shapes.n_mels, shapes.n_frames), bands),
    "features": InputKind(lambda shapes: (shapes.n_features,), standardised_features),
}


def prepare_inputs(raw: RawBatch, inputs: Iterable[str], scaling: Scaling) -> dict[str, Floats]:
    """Compute the named network inputs of a batch.

    inputs: names from INPUTS.
    Raises: KeyError for an unknown name.

    >>> raw = RawBatch(np.full((2, 48, 128), 255, np.uint8), np.zeros((2, 15), np.float32))
    >>> batch = prepare_inputs(raw, ["spectrogram"], Scaling())["spectrogram"]
    >>> batch.shape, float(batch.max())
    ((2, 48, 128, 1), 1.0)
    """
    return {name: INPUTS[name].prepare(raw, scaling) for name in inputs}


def keras_arguments(inputs: Mapping[str, Value]) -> Value | tuple[Value, ...]:
    """Return a single input bare and several as a tuple; Keras warns if a one-input model receives a dictionary."""
    values = tuple(inputs.values())
    return values[0] if len(values) == 1 else values


def fit_scaling(blocks: Iterable[Floats], features: str = "audio") -> Scaling:
    """Compute the scaling of a feature set in one pass over the training examples.

    blocks: (n, width) float32 arrays.
    A constant audio feature is only shifted. Constant metadata carries no information and is set to 0 in every later
    batch. Unknown values (NaN) are excluded from mean and deviation.
    Raises: Impossible if an audio feature is not finite, or if the set is "metadata" and every column is constant.
    Source: Chan, Golub & LeVeque 1983, Am. Stat. 37(3), updating formulae for the pooled variance.
    """
    count, mean, squares = np.zeros(1), np.zeros(1), np.zeros(1)
    for block in (block.astype(np.float64) for block in blocks if len(block)):
        n_audio = block.shape[1] - n_metadata(features)
        if not np.isfinite(block[:, :n_audio]).all():
            raise Impossible("a training example has a feature that is not a finite number; pack its shard again")
        n, block_mean, block_squares = _moments(block)
        total = count + n
        delta = block_mean - mean
        squares = squares + block_squares + delta**2 * count * n / np.maximum(total, 1)
        mean = mean + delta * n / np.maximum(total, 1)
        count = total
    return _scaling(mean, np.sqrt(squares / np.maximum(count, 1)), features)


def _moments(block: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return, for each column, the number of known values, their mean, and the sum of squared deviations."""
    is_known = ~np.isnan(block)
    n = is_known.sum(axis=0).astype(np.float64)
    mean = np.where(is_known, block, 0).sum(axis=0) / np.maximum(n, 1)
    return n, mean, (np.where(is_known, block - mean, 0) ** 2).sum(axis=0)


def _scaling(mean: NDArray[np.float64], deviations: NDArray[np.float64], features: str) -> Scaling:
    # A deviation below the float32 resolution of its mean is rounding noise; dividing by it would amplify the noise.
    is_constant = deviations <= np.abs(mean) * np.finfo(np.float32).eps
    if features == "metadata" and is_constant.all():
        raise Impossible(
            "the training examples do not differ in place or time, so a model cannot learn from metadata alone; "
            "train with --features audio or both"
        )
    constant_deviation = np.ones(len(mean))
    constant_deviation[len(mean) - n_metadata(features) :] = 0
    return Scaling(
        feature_means=tuple(mean.tolist()),
        feature_deviations=tuple(np.where(is_constant, constant_deviation, deviations).tolist()),
        features=features,
    )
