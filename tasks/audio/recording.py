"""From the bytes of a recording to mono samples at the preset's rate; every way a file can be bad has its reason.

libsndfile decodes, from a source that is open already, so that a file which cannot be opened is told from one that
cannot be understood. An OSError means the machine (EIO, EMFILE, a network, and permission denied: a folder that is
mounted wrongly makes every recording look forbidden) and is left to rise, and so is a MemoryError; before a recording
is blamed, its source is asked whether reading it went well.
"""

from __future__ import annotations

import contextlib
import math
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from domain.errors import Empty, Inconsistent, Unreadable, UnsupportedFormat, Unusable
from tasks.audio import headers
from tasks.audio.chunk import n_samples
from tasks.audio.preset import Preset
from tasks.audio.source import Place, Source, opened

Samples = npt.NDArray[np.float32]

_PREROLL_S = 1  # resampling forgets where it began long before that
_TOLERANCE_S = 0.1  # encoders and decoders disagree by a frame or two
_BLOCK_VALUES = 1 << 18  # read at once, all channels: what a second-level cache holds
_LOUDEST = 1e6  # beyond it squares and sums leave float32
_UNKNOWN_FORMAT, _UNIMPLEMENTED_FORMAT, _MISLEADING, _NO_MEMORY = 1, 18, 7, 17  # libsndfile's error numbers
_stderr = threading.Lock()


@dataclass(frozen=True)
class Facts:
    """What a recording's header says, found possible. `format` is libsndfile's, as `FLAC/PCM_16`."""

    n_frames: int
    rate_hz: int
    channels: int
    format: str


@dataclass(frozen=True)
class Passage:
    """Samples of one span with what comes before and after it, as far as the denoiser looks.

    samples: (n,) float32, mono, full scale ±1.  start, stop: where the span itself lies in them.
    A passage that starts at 0 begins its recording; whatever is beyond its end does not exist or does not matter.
    """

    samples: Samples
    start: int
    stop: int

    @property
    def span(self) -> Samples:
        """The span itself, (stop - start,) float32."""
        return self.samples[self.start : self.stop]


@dataclass(frozen=True)
class _Opened:
    name: str
    facts: Facts
    sound: soundfile.SoundFile
    source: Source
    is_estimate: bool  # of facts.n_frames


def probe(place: Place) -> Facts:
    """What the header says; only the header is read.

    Raises Missing, Empty (no bytes), UnsupportedFormat, Unreadable, and Inconsistent for a length the file cannot
    hold. An OSError of another kind is the machine's and rises as it is.
    """
    with _opened(place) as recording:
        return recording.facts


def decode(place: Place, preset: Preset, span: int) -> Passage:
    """Mono samples of one span and its neighbourhood: channels averaged, resampled with soxr HQ.

    Only the span and a few seconds on each side are decoded and held, however long the recording is. A recording of
    one span comes out as `librosa.load(path, sr=rate_hz, mono=True, res_type="soxr_hq")` gives it.
    Raises what `probe` raises, and: UnsupportedFormat for rates and channels outside the preset's limits,
    Unreadable for content that cannot be decoded or is no audio (NaN), Inconsistent where the content ends before
    the header says.
    """
    with _opened(place) as recording:
        _check_limits(recording, preset)
        rate_hz = recording.facts.rate_hz
        margin_s = _PREROLL_S + math.ceil(preset.denoise.context_samples / preset.decode.rate_hz)
        first_s = max(0, span * preset.decode.span_s - margin_s)
        last_s = (span + 1) * preset.decode.span_s + margin_s
        mono = _mono(recording, first_s * rate_hz, last_s * rate_hz)
        n_total = first_s * rate_hz + len(mono)  # of the whole recording, where it ends in here
    n_wanted = min(n_samples(n_total, rate_hz, preset), last_s * preset.decode.rate_hz)
    samples = _resampled(mono, rate_hz, preset, n_wanted - first_s * preset.decode.rate_hz)
    return _passage(samples, first_s * preset.decode.rate_hz, span, preset)


def _passage(samples: Samples, first: int, span: int, preset: Preset) -> Passage:
    """The part the denoiser needs. samples: from `first` on, counted from the recording's beginning."""
    begin = span * preset.span_samples - first
    context = preset.denoise.context_samples
    low = max(0, begin - context)
    stop = min(begin + preset.span_samples, len(samples))
    return Passage(samples[low : begin + preset.span_samples + context], begin - low, max(begin, stop) - low)


def _resampled(mono: Samples, rate_hz: int, preset: Preset, n_wanted: int) -> Samples:
    """Exactly n_wanted at the preset's rate; soxr may give one more or less, which is cut or filled with zero."""
    if rate_hz == preset.decode.rate_hz or not len(mono):
        return mono
    samples: Samples = soxr.resample(mono, rate_hz, preset.decode.rate_hz, "HQ")
    if len(samples) < n_wanted:
        samples = np.pad(samples, (0, n_wanted - len(samples)))
    return samples[:n_wanted]


@contextlib.contextmanager
def _opened(place: Place) -> Iterator[_Opened]:
    with opened(place) as source:
        if source.size_bytes == 0:
            raise Empty(f"{source.name} is 0 bytes long")
        head = source.pread(headers.HEAD_BYTES, 0)
        first_frame = source.pread(headers.HEAD_BYTES, headers.id3_bytes(head))
        with _sound(source, is_familiar=headers.has_familiar_beginning(head, first_frame)) as sound:
            facts = Facts(sound.frames, sound.samplerate, sound.channels, f"{sound.format}/{sound.subtype}")
            _check_promises(facts, head, source)
            is_estimate = headers.has_estimated_length(first_frame, facts.format)
            yield _Opened(source.name, facts, sound, source, is_estimate)


def _sound(source: Source, *, is_familiar: bool) -> soundfile.SoundFile:
    name = source.name
    try:
        if is_familiar:
            return soundfile.SoundFile(source.handle, closefd=False)
        with _muted_stderr():
            return soundfile.SoundFile(source.handle, closefd=False)
    except soundfile.LibsndfileError as error:
        source.require_sound()
        _require_memory(name, error)
        if error.code in (_UNKNOWN_FORMAT, _UNIMPLEMENTED_FORMAT):
            raise UnsupportedFormat(f"{name} is in no format libsndfile decodes: {error.error_string}") from error
        said = "nothing in it can be decoded" if error.code == _MISLEADING else error.error_string
        raise Unreadable(f"{name} cannot be opened: {said}") from error


def _require_memory(name: str, error: soundfile.SoundFileError) -> None:
    """Nothing, or MemoryError where libsndfile found none: that says nothing of the recording."""
    if getattr(error, "code", None) == _NO_MEMORY:
        raise MemoryError(f"{name}: libsndfile found no memory") from error


@contextlib.contextmanager
def _muted_stderr() -> Iterator[None]:
    """libmpg123 speaks to descriptor 2 about bytes that are no MP3, which nobody can act on.

    The descriptor is the whole process's: muted for files of no known beginning only, and only while they are opened.
    """
    with _stderr, contextlib.ExitStack() as stack:
        try:
            kept = os.dup(2)
        except OSError:  # no stderr, nothing to mute
            yield
            return
        stack.callback(os.close, kept)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        stack.callback(os.close, nowhere)
        os.dup2(nowhere, 2)
        stack.callback(os.dup2, kept, 2)
        yield


def _check_promises(facts: Facts, head: bytes, source: Source) -> None:
    """Nothing, or Inconsistent for a header that promises more than the file can hold."""
    size_bytes, name = source.size_bytes, source.name
    if facts.n_frames < 0 or facts.n_frames > size_bytes * headers.MOST_FRAMES_PER_BYTE:
        raise Inconsistent(f"{name} promises {facts.n_frames} frames in {size_bytes} bytes; no format holds so many")
    if headers.is_beyond_riff(head, size_bytes):
        raise Inconsistent(
            f"{name} is a plain WAV of {size_bytes} bytes, which 4 GiB end; write it as RF64, W64 or FLAC"
        )
    missing = headers.missing_bytes(head, size_bytes)
    held = max(1, size_bytes - 44)
    if missing / held * facts.n_frames > _TOLERANCE_S * facts.rate_hz:
        raise Inconsistent(f"{name} ends {missing} bytes before its header says; it was cut short")


def _check_limits(recording: _Opened, preset: Preset) -> None:
    facts, limits = recording.facts, preset.decode
    if not limits.lowest_rate_hz <= facts.rate_hz <= limits.highest_rate_hz:
        allowed = f"from {limits.lowest_rate_hz} to {limits.highest_rate_hz} Hz"
        raise UnsupportedFormat(f"{recording.name} has a rate of {facts.rate_hz} Hz; the preset takes {allowed}")
    if facts.channels > limits.most_channels:
        raise UnsupportedFormat(
            f"{recording.name} has {facts.channels} channels; the preset takes up to {limits.most_channels}"
        )


def _mono(recording: _Opened, start: int, stop: int) -> Samples:
    """Frames from start to stop, or to the end of the recording, with the channels averaged: (n,) float32."""
    facts = recording.facts
    stop = min(stop, facts.n_frames)
    if start and start >= stop:
        raise Inconsistent(f"{recording.name} holds {facts.n_frames} frames; there is no span from {start} on")
    mono = np.empty(stop - start, np.float32)
    n_read = 0
    try:
        if start:
            recording.sound.seek(start)
        while n_read < len(mono):
            rest = mono[n_read : n_read + max(1, _BLOCK_VALUES // facts.channels)]
            n_block = _fill_mixed(recording.sound, rest)
            n_read += n_block
            if n_block < len(rest):
                break
    except soundfile.SoundFileError as error:
        raise _undecodable(recording, start + n_read, error) from error
    _check_end(recording, start + n_read, stop)
    return _checked(mono[:n_read], recording.name)


def _fill_mixed(sound: soundfile.SoundFile, out: Samples) -> int:
    """How many of the next frames there were; `out` begins with the means of their channels, as librosa.to_mono."""
    if sound.channels == 1:
        return len(sound.read(dtype="float32", out=out))
    block = sound.read(len(out), dtype="float32", always_2d=True)
    with np.errstate(invalid="ignore", over="ignore"):  # what is no number is refused afterwards
        if sound.channels == 2:  # the same to the last bit, and ten times faster
            np.add(block[:, 0], block[:, 1], out=out[: len(block)])
            out[: len(block)] /= np.float32(2)
        else:
            out[: len(block)] = np.mean(block.T, axis=0)
    return len(block)


def _undecodable(recording: _Opened, n_read: int, error: soundfile.SoundFileError) -> Unusable:
    """Whose fault a failed read is: content that ends too early, or content that is broken."""
    is_at_end = recording.source.position() >= recording.source.size_bytes
    recording.source.require_sound()
    _require_memory(recording.name, error)
    said = str(error).removeprefix("Error : ")
    if is_at_end:
        promise = f"of the {recording.facts.n_frames} its header promises"
        return Inconsistent(f"{recording.name} ends at or before frame {n_read} {promise}: {said}")
    return Unreadable(f"{recording.name} cannot be decoded beyond frame {n_read}: {said}")


def _check_end(recording: _Opened, n_read: int, stop: int) -> None:
    """Nothing, or Inconsistent where the content ended before `stop`, unless the header only guessed."""
    if n_read == stop or (recording.is_estimate and n_read > 0):
        return
    recording.source.require_sound()
    if stop - n_read > _TOLERANCE_S * recording.facts.rate_hz:
        promise = f"its header promises {recording.facts.n_frames}"
        raise Inconsistent(f"{recording.name} ends after {n_read} frames; {promise}")


def _checked(mono: Samples, name: str) -> Samples:
    """The samples themselves. Raises Unreadable where they are no audio."""
    peak = max(mono.max(), -mono.min()) if len(mono) else 0.0
    if not np.isfinite(peak):
        raise Unreadable(f"{name} holds samples that are no numbers (NaN or infinite)")
    if peak > _LOUDEST:
        raise Unreadable(f"{name} has a peak of {peak:.3g}; full scale is 1")
    return mono
