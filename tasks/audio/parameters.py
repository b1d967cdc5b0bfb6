"""The values of a preset, one frozen dataclass a step; each field carries the range that pydantic checks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field

from domain.errors import Impossible


class PresetError(Impossible):
    """A preset that cannot be used; the text names the key, the value and what is allowed."""

    exit_code = 2


def _range(low: float, high: float) -> Any:
    return Field(strict=True, ge=low, le=high)


class Section:
    """A table of a preset: an unknown key is an error."""

    __pydantic_config__: ClassVar = ConfigDict(extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True)
class DecodeSettings(Section):
    """How bytes become mono samples, and which recordings are tried at all."""

    rate_hz: Annotated[int, _range(8_000, 192_000)]
    span_s: Annotated[int, _range(1, 600)]
    lowest_rate_hz: Annotated[int, _range(100, 192_000)]
    highest_rate_hz: Annotated[int, _range(8_000, 1_000_000)]
    most_channels: Annotated[int, _range(1, 64)]


@dataclass(frozen=True)
class GateSettings(Section):
    """What a recording must have before it is worth a picture."""

    shortest_s: Annotated[float, _range(0.0, 60.0)]
    silence_dbfs: Annotated[float, _range(-200.0, 0.0)]


@dataclass(frozen=True)
class DenoiseSettings(Section):
    """Spectral gating; `stationary` and `none` use none of the values but their own names."""

    method: Literal["non-stationary", "stationary", "none"]
    n_fft: Annotated[int, _range(64, 8_192)]
    time_constant_s: Annotated[float, _range(0.01, 60.0)]
    threshold: Annotated[float, _range(0.0, 100.0)]
    slope: Annotated[float, _range(0.01, 100.0)]
    smooth_hz: Annotated[float, _range(1.0, 8_000.0)]
    smooth_ms: Annotated[float, _range(1.0, 2_000.0)]
    block_samples: Annotated[int, _range(8_192, 50_000_000)]
    context_samples: Annotated[int, _range(8_192, 1_000_000)]


@dataclass(frozen=True)
class ChunkSettings(Section):
    """How a recording is cut."""

    duration_s: Annotated[float, _range(0.5, 60.0)]
    shortest_tail_s: Annotated[float, _range(0.0, 60.0)]


@dataclass(frozen=True)
class MelSettings(Section):
    """The picture of a chunk."""

    n_fft: Annotated[int, _range(64, 16_384)]
    hop_samples: Annotated[int, _range(16, 1_000_000)]
    n_mels: Annotated[int, _range(8, 512)]
    fmin_hz: Annotated[float, _range(0.0, 96_000.0)]
    fmax_hz: Annotated[float, _range(1.0, 96_000.0)]
    top_db: Annotated[float, _range(1.0, 200.0)]


@dataclass(frozen=True)
class FeatureSettings(Section):
    """The numbers that go beside the picture; their mel bands are those of the picture."""

    n_fft: Annotated[int, _range(64, 16_384)]
    hop_samples: Annotated[int, _range(16, 1_000_000)]
    magnitude_floor: Annotated[float, _range(1e-9, 1.0)]
    zero_crossing_threshold: Annotated[float, _range(0.0, 1.0)]


@dataclass(frozen=True)
class AugmentSettings(Section):
    """How far an augmented copy may be from the recording; 0 copies is none."""

    copies: Annotated[int, _range(0, 99)]
    gain_db: Annotated[float, _range(0.0, 40.0)]
    shift_s: Annotated[float, _range(0.0, 60.0)]
    lowest_snr_db: Annotated[float, _range(-20.0, 100.0)]
    highest_snr_db: Annotated[float, _range(-20.0, 100.0)]
    mask_s: Annotated[float, _range(0.0, 60.0)]
    equaliser_db: Annotated[float, _range(0.0, 40.0)]
