"""A strip: one PNG with the spectrograms of a span side by side, their features and their provenance.

The bytes depend only on the recording, the preset and the installed library versions.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import version

import numpy as np
import numpy.typing as npt
import soundfile

from domain.errors import CannotBeRead, Changed, Missing, NoPermission, Unusable
from domain.notes import NOTES, NoteCode, Notes
from tasks.audio.augment import augmented
from tasks.audio.chunk import chunks
from tasks.audio.denoise import denoise
from tasks.audio.fast.compile_lock import holding_compile_lock
from tasks.audio.features import features
from tasks.audio.gate import Flags, check_length, sounding_chunks, sounding_windows
from tasks.audio.png import StripError, grey_levels, grey_png
from tasks.audio.preset import Preset, load_preset
from tasks.audio.recording import Passage, Samples, decode
from tasks.audio.source import Place, name_of
from tasks.audio.spectrogram import log_mel
from tasks.audio.window import window_starts

__all__ = ["Strip", "StripError", "decode_strip", "encode", "make_strip", "make_windows", "warm"]

Features = npt.NDArray[np.float32]
_SCHEMA, _SCHEMA_WITHOUT_GAPS = "2", "1"
"""Strips of schema 1 have a spectrogram of every chunk, and no notes."""
_LIBRARIES = ("audiomentations", "librosa", "noisereduce", "numba", "numpy", "pillow", "scipy", "soundfile", "soxr")


@dataclass(frozen=True, eq=False)
class Strip:
    """Spectrograms and features of one span or augmented copy, with their provenance.

    image: (mel, frame * n) uint8, n chunks side by side.  features: (n, 15) float32, in the order of FEATURES.
    copy: 0 is not augmented, 1 and up are.  versions: of the libraries that made the strip, by name.
    numbers: of the chunks within the span; a silent chunk has no spectrogram, and the next one keeps its number.
    notes: what was unusual about the span, by code; see `domain.notes`.
    """

    image: npt.NDArray[np.uint8]
    features: npt.NDArray[np.float32]
    recording_digest: str
    span: int
    copy: int
    pipeline_digest: str
    versions: dict[str, str]
    numbers: tuple[int, ...]
    notes: Notes = field(default_factory=dict)

    @property
    def spectrograms(self) -> npt.NDArray[np.uint8]:
        """The spectrograms of the chunks, (n, mel, frame) uint8."""
        n, height = len(self.numbers), self.image.shape[0]
        return self.image.reshape(height, n, -1).transpose(1, 0, 2)


def make_strip(place: Place, recording_digest: str, span: int, copy: int, preset: Preset) -> Strip:
    """Make the strip of one span: decode, denoise, cut into chunks, and augment if copy > 0.

    recording_digest: SHA-256 of the recording in hex, not checked; it seeds the augmentation.  span: from 0.
    Raises: Unusable if the recording is at fault; OSError or MemoryError if the machine is.
    """
    passage = decode(place, preset, span)
    kept = sounding_chunks(passage, name_of(place), span, preset)
    pieces = chunks(denoise(passage, preset), span, preset)
    pieces = pieces if kept.all() else pieces[kept]
    if copy:
        first = span * preset.chunks_per_span
        seeds = [(recording_digest, first + number, copy) for number in np.flatnonzero(kept).tolist()]
        pieces = np.stack([augmented(piece, seed, preset) for piece, seed in zip(pieces, seeds, strict=True)])
    rows = [features(piece, preset) for piece in pieces]
    return _strip(_Cut(passage, kept, pieces, rows), recording_digest, span, copy, preset)


def make_windows(place: Place, span: int, preset: Preset, step: int, *, with_features: bool = True) -> Strip:
    """Make the strip of the windows that start in a span, as `make_strip` does of its chunks.

    step: samples between the starts of two windows; see `tasks.audio.window`.
    with_features: False leaves the features out, (n, 0), which takes an eighth of the time.
    A window that crosses the end of the span is cut from this span and the next one, each denoised as for its own
    chunks. A window that is also a chunk therefore has the spectrogram and features of that chunk. Zeros pad windows
    at the end of the recording. Left out are windows that hold less than the preset's shortest recording, because the
    scores of a few milliseconds of sound mean nothing; and windows that reach into a span that cannot be decoded.
    Raises: as `make_strip` does; Silent also if no window starts in the span.
    """
    name, size, passage = name_of(place), preset.chunk_samples, decode(place, preset, span)
    check_length(passage, name, span, preset)
    n = passage.stop - passage.start
    starts, parts = window_starts(n, span, preset, step), [passage]
    if passage.is_last:
        shortest = round(preset.gate.shortest_s * preset.decode.rate_hz)
        starts = range(starts.start, n - shortest + 1, step)
    elif (n_beyond := starts[-1] + size - n) > 0:
        following = _beginning(place, span + 1, preset, n_beyond)
        if following is None:
            starts = range(starts.start, n - size + 1, step)
        else:
            parts.append(following)
    kept = sounding_windows(_joined([part.span for part in parts]), starts, name, span, preset)
    denoised = _joined([denoise(part, preset) for part in parts])
    pieces = [_padded(denoised[start : start + size], size) for start in np.asarray(starts)[kept]]
    rows = [features(piece, preset) for piece in pieces] if with_features else np.zeros((len(pieces), 0), np.float32)
    return _strip(_Cut(passage, kept, pieces, rows), "", span, 0, preset)


def _beginning(place: Place, span: int, preset: Preset, n: int) -> Passage | None:
    """Return the first n samples of a span; None if it cannot be decoded, for a reason that its own item reports."""
    try:
        return decode(place, preset, span, n)
    except (Changed, CannotBeRead, Missing, NoPermission):  # since the span before was decoded; not of the bytes
        raise
    except Unusable:
        return None


def _joined(parts: list[Samples]) -> Samples:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _padded(samples: Samples, n: int) -> Samples:
    return samples if len(samples) == n else np.pad(samples, (0, n - len(samples)))


@dataclass(frozen=True, eq=False)
class _Cut:
    """A passage, which of its chunks or windows hold sound, (n,) bool, and their denoised samples and features."""

    passage: Passage
    kept: Flags
    pieces: Iterable[Samples]
    features: Sequence[Features] | Features


def _strip(cut: _Cut, recording_digest: str, span: int, copy: int, preset: Preset) -> Strip:
    return Strip(
        image=np.concatenate([log_mel(piece, preset) for piece in cut.pieces], axis=1),
        features=np.asarray(cut.features, np.float32),
        recording_digest=recording_digest,
        span=span,
        copy=copy,
        pipeline_digest=preset.digest,
        versions={**_versions(), **cut.passage.decoder},
        numbers=tuple(np.flatnonzero(cut.kept).tolist()),
        notes=_notes(cut.passage.notes, n_silent=int(np.sum(~cut.kept))),
    )


def _notes(codes: tuple[NoteCode, ...], n_silent: int) -> dict[NoteCode, int]:
    return {**dict.fromkeys(codes, 1), **({NoteCode.SILENT_CHUNKS: n_silent} if n_silent else {})}


def warm(preset: Preset | None = None) -> None:
    """Import the modules that `make_strip` imports late, and compile its kernels or load them from their cache.

    A worker calls this before it forks; otherwise each child would need seconds. If several workers start at once,
    one compiles and the others wait.
    preset: `birdclef2021` if None.
    """
    preset = preset or load_preset("birdclef2021")
    tone = np.sin(np.arange(preset.chunk_samples, dtype=np.float32))
    with holding_compile_lock():
        chunk = denoise(Passage(tone, 0, len(tone)), preset)
        row = features(chunk, preset)[None]
        encode(Strip(log_mel(chunk, preset), row, "", 0, 0, preset.digest, dict(_versions()), (0,)))


@lru_cache(maxsize=1)
def _versions() -> dict[str, str]:
    installed = {name: version(name) for name in _LIBRARIES}
    return {**installed, "libsndfile": soundfile.__libsndfile_version__}


def encode(strip: Strip) -> bytes:
    """Return the strip as an 8 bit grey PNG; equal strips give equal bytes."""
    return grey_png(strip.image, _texts(strip))


def _texts(strip: Strip) -> dict[str, str]:
    shortest = [[float(str(value)) for value in row] for row in strip.features]  # the shortest decimal form
    return {
        "schema": _SCHEMA,
        "recording_digest": strip.recording_digest,
        "span": str(strip.span),
        "copy": str(strip.copy),
        "pipeline_digest": strip.pipeline_digest,
        "features": json.dumps(shortest, allow_nan=False, separators=(",", ":")),
        "versions": json.dumps(strip.versions, sort_keys=True, separators=(",", ":")),
        "numbers": json.dumps(strip.numbers, separators=(",", ":")),
        "notes": json.dumps(strip.notes, sort_keys=True, separators=(",", ":")),
    }


def decode_strip(data: bytes) -> Strip:
    """Return the strip in a PNG.

    data: bytes that `encode` returned, already verified; the consistency of their fields is not checked.
    Raises: StripError if the bytes are not a strip, or a strip of another schema.
    """
    image, texts = grey_levels(data)
    schema = texts.get("schema")
    if schema not in (_SCHEMA, _SCHEMA_WITHOUT_GAPS):
        raise StripError(f"strip has the schema {schema!r:.20}, not {_SCHEMA!r}; make it again")
    try:
        rows = np.array(json.loads(texts["features"]), np.float32)
        numbers = range(len(rows)) if schema == _SCHEMA_WITHOUT_GAPS else json.loads(texts["numbers"])
        notes = {} if schema == _SCHEMA_WITHOUT_GAPS else json.loads(texts["notes"])
        return Strip(
            image,
            rows,
            texts["recording_digest"],
            int(texts["span"]),
            int(texts["copy"]),
            texts["pipeline_digest"],
            json.loads(texts["versions"]),
            tuple(numbers),
            {NOTES[code]: n for code, n in notes.items()},
        )
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise StripError(f"strip has fields that cannot be understood: {error!s:.200}; make it again") from error
