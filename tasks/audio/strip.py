"""A strip: the artifact of one span, a PNG of its spectrograms side by side that carries features and provenance.

The bytes follow from the recording, the preset and the installed versions alone: no time, no host, no order.
"""

from __future__ import annotations

import io
import json
import zlib
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile
from PIL import Image

from tasks.audio.augment import augmented
from tasks.audio.chunk import chunks
from tasks.audio.denoise import denoise
from tasks.audio.fast.compile_lock import compiling_alone
from tasks.audio.features import FEATURES, features
from tasks.audio.gate import check_passage
from tasks.audio.png import StripError, checked_png, grey_png
from tasks.audio.preset import Preset, load_preset
from tasks.audio.recording import Passage, decode
from tasks.audio.source import Place, name_of
from tasks.audio.spectrogram import log_mel

__all__ = ["Strip", "StripError", "decode_strip", "encode", "make_strip", "warm"]

_SCHEMA = "1"
_FIELDS = {"schema", "recording_digest", "span", "copy", "pipeline_digest", "features", "versions"}
_LIBRARIES = ("audiomentations", "librosa", "noisereduce", "numba", "numpy", "pillow", "scipy", "soundfile", "soxr")


@dataclass(frozen=True, eq=False)
class Strip:
    """One span, one copy: its spectrograms and features, and what they were made of.

    image: (mel, frame * n) uint8, n chunks side by side.  features: (n, 15) float32, in the order of FEATURES.
    copy: 0 is the recording as it is, 1 and up are augmented.  versions: of the libraries that made it.
    """

    image: npt.NDArray[np.uint8]
    features: npt.NDArray[np.float32]
    recording_digest: str
    span: int
    copy: int
    pipeline_digest: str
    versions: dict[str, str]

    @property
    def spectrograms(self) -> npt.NDArray[np.uint8]:
        """The chunks' spectrograms, (n, mel, frame) uint8."""
        n, height = len(self.features), self.image.shape[0]
        return self.image.reshape(height, n, -1).transpose(1, 0, 2)


def make_strip(place: Place, recording_digest: str, span: int, copy: int, preset: Preset) -> Strip:
    """The strip of one span of a recording: decoded, denoised, cut, and, for copy 1 and up, augmented.

    place: of the recording's bytes.  recording_digest: their SHA-256, taken on trust; it seeds the copies.
    Raises Unusable, with the reason, for a recording that gives no picture; an OSError is the machine's.
    """
    passage = decode(place, preset, span)
    check_passage(passage, name_of(place), span, preset)
    pieces = chunks(denoise(passage, preset), span, preset)
    if copy:
        first = span * preset.chunks_per_span
        seeds = [(recording_digest, first + index, copy) for index in range(len(pieces))]
        pieces = np.stack([augmented(piece, seed, preset) for piece, seed in zip(pieces, seeds, strict=True)])
    return Strip(
        image=np.concatenate([log_mel(piece, preset) for piece in pieces], axis=1),
        features=np.stack([features(piece, preset) for piece in pieces]),
        recording_digest=recording_digest,
        span=span,
        copy=copy,
        pipeline_digest=preset.digest,
        versions=dict(_versions()),
    )


def warm(preset: Preset | None = None) -> None:
    """Loads what `make_strip` loads late, and compiles its kernels or takes them from their cache.

    For a parent before it forks: its children would each take seconds. Of several parents one compiles and the others
    wait. preset: the built-in one unless given.
    """
    preset = preset or load_preset("birdclef2021")
    tone = np.sin(np.arange(preset.chunk_samples, dtype=np.float32))
    with compiling_alone():
        chunk = denoise(Passage(tone, 0, len(tone)), preset)
        row = features(chunk, preset)[None]
        encode(Strip(log_mel(chunk, preset), row, "", 0, 0, preset.digest, dict(_versions())))


@lru_cache(maxsize=1)
def _versions() -> dict[str, str]:
    installed = {name: version(name) for name in _LIBRARIES}
    return {**installed, "libsndfile": soundfile.__libsndfile_version__}


def encode(strip: Strip) -> bytes:
    """The strip as PNG, 8 bit grey; the same strip gives the same bytes."""
    return grey_png(strip.image, _texts(strip))


def _texts(strip: Strip) -> dict[str, str]:
    shortest = [[float(str(value)) for value in row] for row in strip.features]  # str of a float32 is its shortest name
    return {
        "schema": _SCHEMA,
        "recording_digest": strip.recording_digest,
        "span": str(strip.span),
        "copy": str(strip.copy),
        "pipeline_digest": strip.pipeline_digest,
        "features": json.dumps(shortest, allow_nan=False, separators=(",", ":")),
        "versions": json.dumps(strip.versions, sort_keys=True, separators=(",", ":")),
    }


def decode_strip(data: bytes) -> Strip:
    """The strip that `encode` made these bytes of.

    Raises StripError for bytes that are cut short, damaged, too large, or of another schema. Nothing is unpacked
    before all lengths and checksums are found right.
    """
    texts = checked_png(data)
    if set(texts) != _FIELDS or texts["schema"] != _SCHEMA:
        raise StripError(f"strip fields {sorted(texts)!r:.200} are not {sorted(_FIELDS)}; make the strip again")
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as picture:
            image = np.array(picture)
        with np.errstate(over="ignore"):  # what leaves float32 is infinite, and refused below
            rows = np.array(_json(texts["features"], list), np.float32)
        span, copy = int(texts["span"]), int(texts["copy"])
    except (ValueError, TypeError, OverflowError, SyntaxError, OSError, zlib.error) as error:
        raise StripError(f"strip cannot be decoded: {error!s:.200}; make it again") from error
    _check_shapes(image, rows, span, copy)
    versions = _json(texts["versions"], dict)
    return Strip(image, rows, texts["recording_digest"], span, copy, texts["pipeline_digest"], versions)


def _json(text: str, kind: type) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise StripError(f"strip has a field that is no JSON: {error!s:.200}; make it again") from error
    if not isinstance(value, kind):
        raise StripError(f"strip has a {type(value).__name__} where a {kind.__name__} belongs; make it again")
    return value


def _check_shapes(image: npt.NDArray[np.uint8], rows: npt.NDArray[np.float32], span: int, copy: int) -> None:
    is_table = rows.ndim == 2 and len(rows) > 0 and rows.shape[1] == len(FEATURES)
    if not is_table or not np.isfinite(rows).all():
        raise StripError(f"strip has features of shape {rows.shape}, not (chunks, {len(FEATURES)}); make it again")
    if image.ndim != 2 or image.shape[1] % len(rows):
        raise StripError(f"strip is {image.shape} pixels for {len(rows)} chunks; make it again")
    if span < 0 or copy < 0:
        raise StripError(f"strip is of span {span}, copy {copy}; neither can be negative; make it again")
