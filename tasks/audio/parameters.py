"""The values of a preset, one frozen dataclass a step; each field carries what is allowed."""

from __future__ import annotations

import math
from dataclasses import Field, dataclass, field, fields
from typing import Any, TypeVar

from domain.errors import Impossible


class PresetError(Impossible):
    """A preset that cannot be used; the text names the key, the value and what is allowed."""

    exit_code = 2


def _number(low: float, high: float) -> Any:
    return field(metadata={"low": low, "high": high})


def _one_of(*choices: str) -> Any:
    return field(metadata={"choices": choices})


@dataclass(frozen=True)
class DecodeSettings:
    """How bytes become mono samples, and which recordings are tried at all."""

    rate_hz: int = _number(8_000, 192_000)
    span_s: int = _number(1, 600)
    lowest_rate_hz: int = _number(100, 192_000)
    highest_rate_hz: int = _number(8_000, 1_000_000)
    most_channels: int = _number(1, 64)


@dataclass(frozen=True)
class GateSettings:
    """What a recording must have before it is worth a picture."""

    shortest_s: float = _number(0.0, 60.0)
    silence_dbfs: float = _number(-200.0, 0.0)


@dataclass(frozen=True)
class DenoiseSettings:
    """Spectral gating; `stationary` and `none` use none of the values but their own names."""

    method: str = _one_of("non-stationary", "stationary", "none")
    n_fft: int = _number(64, 8_192)
    time_constant_s: float = _number(0.01, 60.0)
    threshold: float = _number(0.0, 100.0)
    slope: float = _number(0.01, 100.0)
    smooth_hz: float = _number(1.0, 8_000.0)
    smooth_ms: float = _number(1.0, 2_000.0)
    block_samples: int = _number(8_192, 50_000_000)
    context_samples: int = _number(8_192, 1_000_000)


@dataclass(frozen=True)
class ChunkSettings:
    """How a recording is cut."""

    duration_s: float = _number(0.5, 60.0)
    shortest_tail_s: float = _number(0.0, 60.0)


@dataclass(frozen=True)
class MelSettings:
    """The picture of a chunk."""

    n_fft: int = _number(64, 16_384)
    hop_samples: int = _number(16, 1_000_000)
    n_mels: int = _number(8, 512)
    fmin_hz: float = _number(0.0, 96_000.0)
    fmax_hz: float = _number(1.0, 96_000.0)
    top_db: float = _number(1.0, 200.0)


@dataclass(frozen=True)
class FeatureSettings:
    """The numbers that go beside the picture; their mel bands are those of the picture."""

    n_fft: int = _number(64, 16_384)
    hop_samples: int = _number(16, 1_000_000)
    magnitude_floor: float = _number(1e-9, 1.0)
    zero_crossing_threshold: float = _number(0.0, 1.0)


@dataclass(frozen=True)
class AugmentSettings:
    """How far an augmented copy may be from the recording; 0 copies is none."""

    copies: int = _number(0, 99)
    gain_db: float = _number(0.0, 40.0)
    shift_s: float = _number(0.0, 60.0)
    lowest_snr_db: float = _number(-20.0, 100.0)
    highest_snr_db: float = _number(-20.0, 100.0)
    mask_s: float = _number(0.0, 60.0)
    equaliser_db: float = _number(0.0, 40.0)


Settings = TypeVar("Settings")


def parsed(section: str, kind: type[Settings], values: object) -> Settings:
    """One step's settings from a table of a TOML or JSON file.

    Raises PresetError for a table that is none, an unknown or absent key, and a value that is not allowed.
    """
    if not isinstance(values, dict):
        raise PresetError(f"[{section}] is {values!r:.80}, not a table of keys; write [{section}] and its keys below")
    known: dict[str, Field[Any]] = {each.name: each for each in fields(kind)}  # type: ignore[arg-type]
    check_keys(f"[{section}]", values, set(known))
    return kind(**{key: _allowed(f"{section}.{key}", known[key], value) for key, value in values.items()})


def check_keys(where: str, values: dict[str, Any], known: set[str]) -> None:
    """Nothing when the keys are exactly the known ones. Raises PresetError naming the first that is not."""
    for key in sorted(set(values) - known, key=str):
        raise PresetError(f"{where} has a key {key!r:.80} that means nothing; the keys are {', '.join(sorted(known))}")
    for key in sorted(known - set(values)):
        raise PresetError(f'{where} lacks the key {key}; add it, or start the file with like = "birdclef2021"')


def _allowed(key: str, known: Field[Any], value: object) -> Any:
    choices = known.metadata.get("choices")
    if choices:
        if value not in choices:
            raise PresetError(f"{key} is {value!r:.80}; it must be one of {', '.join(choices)}")
        return value
    low, high = known.metadata["low"], known.metadata["high"]
    is_whole = known.type == "int"
    if not isinstance(value, int if is_whole else (int, float)) or isinstance(value, bool):
        raise PresetError(f"{key} is {value!r:.80}; it must be a {'whole ' if is_whole else ''}number")
    if not (low <= value <= high) or not math.isfinite(value):
        raise PresetError(f"{key} is {value!r:.80}; it must be from {low} to {high}")
    return value if is_whole else float(value)
