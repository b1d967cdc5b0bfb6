"""A preset: all preprocessing parameters, frozen and checked, with a digest."""

from __future__ import annotations

import json
import math
import re
import stat
import tomllib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Annotated, Any, get_type_hints

from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from domain.digests import digest_of
from tasks.audio.parameters import (
    AugmentSettings,
    ChunkSettings,
    DecodeSettings,
    DenoiseSettings,
    FeatureSettings,
    GateSettings,
    MelSettings,
    PresetError,
    Section,
)

__all__ = ["REVISION", "Preset", "PresetError", "load_preset", "preset_names"]

# Increased with every change of the code after which the same preset makes different strips.
REVISION = 4

_BUILT_IN = Path(__file__).parent / "presets"
_LONGEST_BYTES = 1 << 18
_MOST_PIXELS = 1 << 20
"""Largest spectrogram that a shard accepts."""
MOST_STRIP_PIXELS = 1 << 24
"""Largest strip of a span."""
LONGEST_NAME = 60


@dataclass(frozen=True)
class Preset(Section):
    """All parameters that determine a strip.

    >>> preset = load_preset("birdclef2021")
    >>> preset.chunk_samples, preset.span_samples, preset.chunks_per_span, preset.n_frames
    (160000, 2400000, 15, 128)
    """

    name: Annotated[str, Field(strict=True, max_length=LONGEST_NAME, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    decode: DecodeSettings
    gate: GateSettings
    denoise: DenoiseSettings
    chunk: ChunkSettings
    mel: MelSettings
    features: FeatureSettings
    augment: AugmentSettings

    def __post_init__(self) -> None:
        for contradiction in _contradictions(self):
            raise PresetError(f"preset {self.name}: {contradiction}")

    @property
    def chunk_samples(self) -> int:
        """Samples of one chunk, at `decode.rate_hz`."""
        return round(self.chunk.duration_s * self.decode.rate_hz)

    @property
    def span_samples(self) -> int:
        """Samples of one full span, at `decode.rate_hz`."""
        return self.decode.span_s * self.decode.rate_hz

    @property
    def chunks_per_span(self) -> int:
        """Chunks of one full span."""
        return self.span_samples // self.chunk_samples

    @property
    def n_frames(self) -> int:
        """Frames of a spectrogram: its width."""
        return 1 + self.chunk_samples // self.mel.hop_samples

    @cached_property
    def digest(self) -> str:
        """SHA-256 in hex of all values and REVISION; the name is not part of it."""
        values = {key: value for key, value in self.as_dict().items() if key != "name"}
        return digest_of({"revision": REVISION, **values})

    def as_dict(self) -> dict[str, Any]:
        """Return the parameters as nested dictionaries of plain values, for JSON."""
        return asdict(self)

    @staticmethod
    def from_dict(values: dict[str, Any]) -> Preset:
        """Return the preset of a dictionary as `as_dict` returns it.

        Raises: PresetError for an unknown or missing key, a value out of range, or values that contradict each other.
        """
        try:
            return _checks().validate_python(values)
        except ValidationError as error:
            raise PresetError(_sentence(error.errors()[0])) from error

    @staticmethod
    @lru_cache(maxsize=8)
    def from_json(text: str) -> Preset:
        """Return the preset of `as_dict` as JSON. Cached, because a worker receives the same preset with every item.

        Raises: PresetError as `from_dict` does; ValueError if the text is not JSON.
        """
        return Preset.from_dict(json.loads(text))


@cache
def _checks() -> TypeAdapter[Preset]:
    return TypeAdapter(Preset)


def _sentence(error: ErrorDetails) -> str:
    """Return a sentence with the key, the value and the allowed values."""
    key = ".".join(map(str, error["loc"])) or "the preset"
    match error["type"]:
        case "unexpected_keyword_argument":
            *section, unknown = map(str, error["loc"])
            table = get_type_hints(Preset)[section[0]] if section else Preset
            known = ", ".join(sorted(field.name for field in fields(table)))
            where = f"[{section[0]}]" if section else "the preset"
            return f"{unknown!r:.80} is not a key of {where}; the keys are {known}"
        case "missing":
            return f'{key} is missing; add it, or start the file with like = "birdclef2021"'
        case "dataclass_type":
            return f"{key} is {error['input']!r:.80}; it must be a table of keys"
        case "int_type" | "int_from_float":
            return f"{key} is {error['input']!r:.80}; it must be a whole number"
        case "greater_than_equal" | "less_than_equal":
            low, high = _range_of(*map(str, error["loc"]))
            return f"{key} is {error['input']!r:.80}; it must be from {low} to {high}"
    return f"{key} is {error['input']!r:.80}; it {re.sub('^[A-Za-z]+ should', 'must', error['msg'])}"


def _range_of(section: str, key: str) -> tuple[float, float]:
    """Return the lowest and the highest allowed value of a key."""
    hint = get_type_hints(get_type_hints(Preset)[section], include_extras=True)[key]
    limits = [limit for each in hint.__metadata__ for limit in each.metadata]
    [low], [high] = ([getattr(limit, end) for limit in limits if hasattr(limit, end)] for end in ("ge", "le"))
    return low, high


def preset_names() -> tuple[str, ...]:
    """Return the names of the built-in presets."""
    return tuple(sorted(path.stem for path in _BUILT_IN.glob("*.toml")))


def load_preset(name_or_path: str | Path) -> Preset:
    """Return a built-in preset by its name, or a preset from a TOML file by its path.

    A file that starts with `like = "birdclef2021"` contains only the differences to that preset.
    Raises: PresetError if the file does not exist, cannot be read, is not TOML, or has wrong keys or values.
    """
    is_built_in = str(name_or_path) in preset_names()
    path = _BUILT_IN / f"{name_or_path}.toml" if is_built_in else Path(name_or_path)
    values = {"name": path.stem, **_table(path)}
    if "like" in values:
        values = _differing(values, values.pop("like"))
    return Preset.from_dict(values)


def _table(path: Path) -> dict[str, Any]:
    try:
        text = _text(path)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        known = ", ".join(preset_names())
        raise PresetError(f"there is no preset {str(path)!r:.300}; give a TOML file, or one of: {known}") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise PresetError(f"preset {str(path)!r:.300} cannot be read: {reason}; give a TOML file in UTF-8") from error
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # tomllib's own error, and a number of thousands of digits
        raise PresetError(f"preset {path} is not TOML: {error}") from error


def _text(path: Path) -> str:
    """Return the file's text.

    Raises: OSError; ValueError if it is no regular file, longer than _LONGEST_BYTES, or not UTF-8.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # opening a pipe without a writer would wait for ever
        raise ValueError(f"it is {'a named pipe' if stat.S_ISFIFO(mode) else 'a device or a socket'}, not a file")
    with path.open("rb") as handle:
        data = handle.read(_LONGEST_BYTES + 1)
    if len(data) > _LONGEST_BYTES:
        raise ValueError(f"it is longer than {_LONGEST_BYTES:,} bytes")
    return data.decode("utf-8")


def _differing(values: dict[str, Any], like: object) -> dict[str, Any]:
    """Return the built-in preset named `like` as a dictionary, with the given values in place of its own."""
    if like not in preset_names():
        raise PresetError(f"like is {like!r:.80}; it must be one of: {', '.join(preset_names())}")
    ground = load_preset(str(like)).as_dict()
    for key, value in values.items():
        is_table = isinstance(value, dict) and isinstance(ground.get(key), dict)
        ground[key] = {**ground[key], **value} if is_table else value
    return ground


def _contradictions(preset: Preset) -> Iterator[str]:
    """Yield a sentence for each combination of values that is not allowed."""
    yield from _cutting(preset)
    yield from _frequencies(preset)
    yield from _gating(preset)
    low, high = preset.augment.lowest_snr_db, preset.augment.highest_snr_db
    if low > high:
        yield f"augment.lowest_snr_db is {low}; it must not exceed augment.highest_snr_db, {high}"


def _cutting(preset: Preset) -> Iterator[str]:
    chunk, rate_hz = preset.chunk, preset.decode.rate_hz
    if not (chunk.duration_s * rate_hz).is_integer():
        yield f"chunk.duration_s is {chunk.duration_s}; at {rate_hz} Hz it must be a whole number of samples"
    elif preset.span_samples % preset.chunk_samples:
        yield f"decode.span_s is {preset.decode.span_s}; it must be a whole number of chunks of {chunk.duration_s} s"
    if chunk.shortest_tail_s > chunk.duration_s:
        yield f"chunk.shortest_tail_s is {chunk.shortest_tail_s}; it must not exceed chunk.duration_s"
    if preset.decode.lowest_rate_hz > preset.decode.highest_rate_hz:
        yield f"decode.lowest_rate_hz is {preset.decode.lowest_rate_hz}; it must not exceed decode.highest_rate_hz"


def _frequencies(preset: Preset) -> Iterator[str]:
    mel, half_hz = preset.mel, preset.decode.rate_hz / 2
    if not mel.fmin_hz < mel.fmax_hz <= half_hz:
        yield (
            f"mel.fmin_hz and mel.fmax_hz are {mel.fmin_hz} and {mel.fmax_hz}; fmin_hz must be below "
            f"fmax_hz, and fmax_hz at most {half_hz}, half of decode.rate_hz"
        )
    for key, n_fft in (("mel.n_fft", mel.n_fft), ("features.n_fft", preset.features.n_fft)):
        if n_fft % 2:
            yield f"{key} is {n_fft}; it must be even"
    if mel.n_mels > mel.n_fft // 2:
        yield f"mel.n_mels is {mel.n_mels}; mel.n_fft, {mel.n_fft}, resolves only {mel.n_fft // 2} bands"
    if mel.n_mels * preset.n_frames > _MOST_PIXELS:
        yield (
            f"mel.hop_samples is {mel.hop_samples}; a spectrogram would be {mel.n_mels} by {preset.n_frames} pixels; "
            f"the limit is {_MOST_PIXELS:,}"
        )
    strip_pixels = mel.n_mels * preset.n_frames * preset.chunks_per_span
    if strip_pixels > MOST_STRIP_PIXELS:
        yield (
            f"decode.span_s is {preset.decode.span_s}; a strip of its {preset.chunks_per_span} spectrograms would have "
            f"{strip_pixels:,} pixels; the limit is {MOST_STRIP_PIXELS:,}"
        )
    longest = max(mel.n_fft, preset.features.n_fft)
    if longest > preset.chunk_samples:
        yield f"mel.n_fft or features.n_fft is {longest}; a chunk has only {preset.chunk_samples} samples"


def _gating(preset: Preset) -> Iterator[str]:
    gate, rate_hz = preset.denoise, preset.decode.rate_hz
    if gate.method == "none":
        return
    if preset.span_samples % gate.block_samples:
        yield f"denoise.block_samples is {gate.block_samples}; a span of {preset.span_samples} must hold whole blocks"
    if gate.n_fft % 4:
        yield f"denoise.n_fft is {gate.n_fft}; it must be a multiple of 4"
    narrowest_hz, shortest_ms = 2 * rate_hz / gate.n_fft, 1000 * (gate.n_fft // 4) / rate_hz
    if gate.smooth_hz < narrowest_hz:
        yield f"denoise.smooth_hz is {gate.smooth_hz}; it must be at least {math.ceil(narrowest_hz)}"
    if gate.smooth_ms < shortest_ms:
        yield f"denoise.smooth_ms is {gate.smooth_ms}; it must be at least {shortest_ms:g}"
