"""The parameters of a preset: one frozen dataclass per step. Each field has the range that pydantic checks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field

from domain.errors import Impossible


class PresetError(Impossible):
    """The preset cannot be used. The text names the key, the value and the allowed values."""

    exit_code = 2


def _range(low: float, high: float) -> Any:
    return Field(strict=True, ge=low, le=high)


class Section:
    """A table of a preset; unknown keys are an error."""

    __pydantic_config__: ClassVar = ConfigDict(extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True)
class DecodeSettings(Section):
    """Decoding to mono, and limits of the recordings that are decoded.

    rate_hz: sampling rate of all later steps.  span_s: length of a span.  lowest_rate_hz, highest_rate_hz,
    most_channels: limits of the recording itself.
    """

    rate_hz: Annotated[int, _range(8_000, 192_000)]
    span_s: Annotated[int, _range(1, 600)]
    lowest_rate_hz: Annotated[int, _range(100, 192_000)]
    highest_rate_hz: Annotated[int, _range(8_000, 1_000_000)]
    most_channels: Annotated[int, _range(1, 64)]


@dataclass(frozen=True)
class GateSettings(Section):
    """Limits below which a recording is quarantined: its length, and its loudest sample in dB of full scale."""

    shortest_s: Annotated[float, _range(0.0, 60.0)]
    silence_dbfs: Annotated[float, _range(-200.0, 0.0)]


@dataclass(frozen=True)
class DenoiseSettings(Section):
    """Spectral gating. The methods `stationary` and `none` ignore all other values."""

    method: Literal["non-stationary", "stationary", "none"]
    n_fft: Annotated[int, _range(64, 8_192)]
    time_constant_s: Annotated[float, _range(0.01, 60.0)]
    threshold: Annotated[float, _range(0.0, 100.0)]
    slope: Annotated[float, _range(0.01, 100.0)]
    smooth_hz: Annotated[float, _range(1.0, 8_000.0)]
    smooth_ms: Annotated[float, _range(1.0, 2_000.0)]
    block_samples: Annotated[int, _range(8_192, 50_000_000)]
    context_samples: Annotated[int, _range(8_192, 1_000_000)]

    def whole_blocks(self, n: int) -> int:
        """Return how many samples of a span are denoised together with its first n, without the context; >= n."""
        return n if self.method == "none" else -(-n // self.block_samples) * self.block_samples


@dataclass(frozen=True)
class ChunkSettings(Section):
    """Cutting into chunks. shortest_tail_s: a shorter rest at the end is dropped, other rests are padded with zeros."""

    duration_s: Annotated[float, _range(0.5, 60.0)]
    shortest_tail_s: Annotated[float, _range(0.0, 60.0)]


@dataclass(frozen=True)
class MelSettings(Section):
    """The spectrogram of a chunk. top_db: range below the chunk's maximum; lower levels are raised to its end."""

    n_fft: Annotated[int, _range(64, 16_384)]
    hop_samples: Annotated[int, _range(16, 1_000_000)]
    n_mels: Annotated[int, _range(8, 512)]
    fmin_hz: Annotated[float, _range(0.0, 96_000.0)]
    fmax_hz: Annotated[float, _range(1.0, 96_000.0)]
    top_db: Annotated[float, _range(1.0, 200.0)]


@dataclass(frozen=True)
class FeatureSettings(Section):
    """The features of a chunk. They use the mel bands of `MelSettings`."""

    n_fft: Annotated[int, _range(64, 16_384)]
    hop_samples: Annotated[int, _range(16, 1_000_000)]
    magnitude_floor: Annotated[float, _range(1e-9, 1.0)]
    zero_crossing_threshold: Annotated[float, _range(0.0, 1.0)]


@dataclass(frozen=True)
class AugmentSettings(Section):
    """Largest changes of an augmented copy. copies: number per recording; 0 disables augmentation."""

    copies: Annotated[int, _range(0, 99)]
    gain_db: Annotated[float, _range(0.0, 40.0)]
    shift_s: Annotated[float, _range(0.0, 60.0)]
    lowest_snr_db: Annotated[float, _range(-20.0, 100.0)]
    highest_snr_db: Annotated[float, _range(-20.0, 100.0)]
    mask_s: Annotated[float, _range(0.0, 60.0)]
    equaliser_db: Annotated[float, _range(0.0, 40.0)]
