"""A strip: the artifact of one span, a PNG of its spectrograms side by side that carries features and provenance.

The bytes follow from the recording, the preset and the installed versions alone: no time, no host, no order.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version

import numpy as np
import numpy.typing as npt
import soundfile

from tasks.audio.augment import augmented
from tasks.audio.chunk import chunks
from tasks.audio.denoise import denoise
from tasks.audio.fast.compile_lock import compiling_alone
from tasks.audio.features import features
from tasks.audio.gate import check_passage
from tasks.audio.png import StripError, grey_levels, grey_png
from tasks.audio.preset import Preset, load_preset
from tasks.audio.recording import Passage, decode
from tasks.audio.source import Place, name_of
from tasks.audio.spectrogram import log_mel

__all__ = ["Strip", "StripError", "decode_strip", "encode", "make_strip", "warm"]

_SCHEMA = "1"
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
    """Return the strip that `encode` made these bytes of.

    data: verified bytes; what they say of themselves is not checked again.
    Raises: StripError, for bytes of another schema, or that are no strip.
    """
    image, texts = grey_levels(data)
    if texts.get("schema") != _SCHEMA:
        raise StripError(f"strip has the schema {texts.get('schema')!r:.20}, not {_SCHEMA!r}; make it again")
    try:
        return Strip(
            image,
            np.array(json.loads(texts["features"]), np.float32),
            texts["recording_digest"],
            int(texts["span"]),
            int(texts["copy"]),
            texts["pipeline_digest"],
            json.loads(texts["versions"]),
        )
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise StripError(f"strip has fields that cannot be understood: {error!s:.200}; make it again") from error
