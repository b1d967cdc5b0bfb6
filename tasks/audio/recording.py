"""Decodes a recording to mono samples at the preset's rate, and reports each kind of bad file as a typed error.

Errors separate the recording's faults from the machine's:
- An error of a class below `Unusable` means that the recording is at fault.
- OSError and MemoryError mean that the machine is at fault. This includes "permission denied", because a wrong mount
  makes every recording unreadable.
The source is opened before libsndfile reads it, so that a file that cannot be opened is not taken for a file that
cannot be decoded. This module calls `Source.check_reads` before it blames a recording.
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
from tasks.audio.source import Place, Source, open_source

Samples = npt.NDArray[np.float32]

_PREROLL_S = 1  # the resampling filter is far shorter, so the start of decoding does not affect the span
_TOLERANCE_S = 0.1  # encoders and decoders count one or two MP3 or Vorbis frames differently
_BLOCK_VALUES = 1 << 18  # float32 values per read, all channels: fits into an L2 cache
_LARGEST_PEAK = 1e6  # squares and sums of larger samples overflow float32
# Error numbers of libsndfile. The text of _BAD_FILE, "file does not exist", is wrong here: the file is open.
_UNKNOWN_FORMAT, _UNIMPLEMENTED_FORMAT, _BAD_FILE, _NO_MEMORY = 1, 18, 7, 17
_stderr_lock = threading.Lock()


@dataclass(frozen=True)
class Facts:
    """Facts from a recording's header, checked for plausibility.

    n_frames: samples of each channel, >= 0.  rate_hz: sampling rate.  format: libsndfile's name, such as `FLAC/PCM_16`.
    """

    n_frames: int
    rate_hz: int
    channels: int
    format: str


@dataclass(frozen=True)
class Passage:
    """The samples of one span together with the context that the denoiser needs before and after it.

    samples: (n,) float32, mono, full scale ±1.  start, stop: the span is samples[start:stop].
    `start` is 0 only for the first span of a recording. Missing context at the end means that the recording ends.
    """

    samples: Samples
    start: int
    stop: int

    @property
    def span(self) -> Samples:
        """The samples of the span alone, (stop - start,) float32."""
        return self.samples[self.start : self.stop]


@dataclass(frozen=True)
class _OpenRecording:
    name: str
    facts: Facts
    sound: soundfile.SoundFile
    source: Source
    is_length_estimated: bool


def probe(place: Place) -> Facts:
    """Return the facts in a recording's header, without decoding the audio.

    Raises: Missing if the file does not exist; Empty if it has no bytes; UnsupportedFormat or Unreadable if libsndfile
    cannot open it; Inconsistent if the header declares more frames than the file can contain; OSError or MemoryError if
    the machine is at fault.
    """
    with _open_recording(place) as recording:
        return recording.facts


def decode(place: Place, preset: Preset, span: int) -> Passage:
    """Decode one span with its context: average the channels, and resample with soxr HQ.

    span: the span's number, from 0.
    Memory is bounded: only the span and a few seconds on each side are decoded, however long the recording is.
    The samples of a recording with one span equal those of
    `librosa.load(path, sr=rate_hz, mono=True, res_type="soxr_hq")`.
    Raises: the errors of `probe`; UnsupportedFormat if rate or channels are outside the preset's limits; Unreadable
    if the audio cannot be decoded or has invalid samples (NaN, infinite or beyond 1e6); Inconsistent if the audio ends
    before the length that the header declares.
    """
    with _open_recording(place) as recording:
        _check_limits(recording, preset)
        rate_hz = recording.facts.rate_hz
        margin_s = _PREROLL_S + math.ceil(preset.denoise.context_samples / preset.decode.rate_hz)
        first_s = max(0, span * preset.decode.span_s - margin_s)
        last_s = (span + 1) * preset.decode.span_s + margin_s
        mono = _read_mono(recording, first_s * rate_hz, last_s * rate_hz)
        n_read = first_s * rate_hz + len(mono)  # counted from the beginning of the recording
    n_wanted = min(n_samples(n_read, rate_hz, preset), last_s * preset.decode.rate_hz)
    samples = _resample(mono, rate_hz, preset, n_wanted - first_s * preset.decode.rate_hz)
    return _passage(samples, first_s * preset.decode.rate_hz, span, preset)


def _passage(samples: Samples, first: int, span: int, preset: Preset) -> Passage:
    """Cut out the span and the denoiser's context. first: number of the first sample within the recording."""
    begin = span * preset.span_samples - first
    context = preset.denoise.context_samples
    low = max(0, begin - context)
    stop = min(begin + preset.span_samples, len(samples))
    return Passage(samples[low : begin + preset.span_samples + context], begin - low, max(begin, stop) - low)


def _resample(mono: Samples, rate_hz: int, preset: Preset, n_wanted: int) -> Samples:
    """Return exactly n_wanted samples at the preset's rate; soxr may return one more or less: cut or pad with zero."""
    if rate_hz == preset.decode.rate_hz or not len(mono):
        return mono
    samples: Samples = soxr.resample(mono, rate_hz, preset.decode.rate_hz, "HQ")
    if len(samples) < n_wanted:
        samples = np.pad(samples, (0, n_wanted - len(samples)))
    return samples[:n_wanted]


@contextlib.contextmanager
def _open_recording(place: Place) -> Iterator[_OpenRecording]:
    with open_source(place) as source:
        if source.size_bytes == 0:
            raise Empty(f"{source.name} is 0 bytes long")
        head = source.pread(headers.HEAD_BYTES, 0)
        first_frame = source.pread(headers.HEAD_BYTES, headers.id3_bytes(head))
        with _open_sound(source, has_known_signature=headers.has_known_signature(head, first_frame)) as sound:
            facts = Facts(sound.frames, sound.samplerate, sound.channels, f"{sound.format}/{sound.subtype}")
            _check_header(facts, head, source)
            is_length_estimated = headers.has_estimated_length(first_frame, facts.format)
            yield _OpenRecording(source.name, facts, sound, source, is_length_estimated)


def _open_sound(source: Source, *, has_known_signature: bool) -> soundfile.SoundFile:
    name = source.name
    try:
        if has_known_signature:
            return soundfile.SoundFile(source.handle, closefd=False)
        with _muted_stderr():
            return soundfile.SoundFile(source.handle, closefd=False)
    except soundfile.LibsndfileError as error:
        source.check_reads()
        _check_memory(name, error)
        if error.code in (_UNKNOWN_FORMAT, _UNIMPLEMENTED_FORMAT):
            raise UnsupportedFormat(
                f"{name} is not in a format that libsndfile decodes: {error.error_string}; convert it to WAV or FLAC"
            ) from error
        reason = "it contains no decodable audio" if error.code == _BAD_FILE else error.error_string
        raise Unreadable(f"{name} cannot be opened: {reason}") from error


def _check_memory(name: str, error: soundfile.SoundFileError) -> None:
    """Raise MemoryError if libsndfile ran out of memory; then the machine is at fault, not the recording."""
    if getattr(error, "code", None) == _NO_MEMORY:
        raise MemoryError(f"{name}: libsndfile could not allocate memory") from error


@contextlib.contextmanager
def _muted_stderr() -> Iterator[None]:
    """Discard what libmpg123 writes to file descriptor 2: warnings about bytes that are not MP3.

    The descriptor belongs to the whole process. It is redirected only while a file without a known signature is opened.
    """
    with _stderr_lock, contextlib.ExitStack() as stack:
        try:
            stderr_copy = os.dup(2)
        except OSError:  # the process has no stderr
            yield
            return
        stack.callback(os.close, stderr_copy)
        devnull = os.open(os.devnull, os.O_WRONLY)
        stack.callback(os.close, devnull)
        os.dup2(devnull, 2)
        stack.callback(os.dup2, stderr_copy, 2)
        yield


def _check_header(facts: Facts, head: bytes, source: Source) -> None:
    """Raise Inconsistent if the header declares more audio than the file can contain."""
    size_bytes, name = source.size_bytes, source.name
    if facts.n_frames < 0 or facts.n_frames > size_bytes * headers.MOST_FRAMES_PER_BYTE:
        raise Inconsistent(
            f"{name} has {size_bytes} bytes, but its header declares {facts.n_frames} frames; "
            "no format stores so many in a file of this size"
        )
    if headers.is_beyond_riff(head, size_bytes):
        raise Inconsistent(
            f"{name} is a plain WAV file of {size_bytes} bytes; the format ends at 4 GiB; "
            "convert the recording to RF64, W64 or FLAC"
        )
    missing = headers.missing_bytes(head, size_bytes)
    n_data_bytes = max(1, size_bytes - 44)
    if missing / n_data_bytes * facts.n_frames > _TOLERANCE_S * facts.rate_hz:
        raise Inconsistent(f"{name} is truncated: it ends {missing} bytes before the end that its header declares")


def _check_limits(recording: _OpenRecording, preset: Preset) -> None:
    facts, limits = recording.facts, preset.decode
    if not limits.lowest_rate_hz <= facts.rate_hz <= limits.highest_rate_hz:
        allowed = f"from {limits.lowest_rate_hz} to {limits.highest_rate_hz} Hz"
        raise UnsupportedFormat(
            f"{recording.name} has a sampling rate of {facts.rate_hz} Hz; the preset accepts {allowed}"
        )
    if facts.channels > limits.most_channels:
        raise UnsupportedFormat(
            f"{recording.name} has {facts.channels} channels; the preset accepts at most {limits.most_channels}"
        )


def _read_mono(recording: _OpenRecording, start: int, stop: int) -> Samples:
    """Read frames from start to stop, or to the end of the recording, and average the channels: (n,) float32."""
    facts = recording.facts
    stop = min(stop, facts.n_frames)
    if start and start >= stop:
        raise Inconsistent(f"{recording.name} has {facts.n_frames} frames; a span cannot start at frame {start}")
    mono = np.empty(stop - start, np.float32)
    n_read = 0
    try:
        if start:
            recording.sound.seek(start)
        while n_read < len(mono):
            rest = mono[n_read : n_read + max(1, _BLOCK_VALUES // facts.channels)]
            n_block = _read_averaged(recording.sound, rest)
            n_read += n_block
            if n_block < len(rest):
                break
    except soundfile.SoundFileError as error:
        raise _decoding_error(recording, start + n_read, error) from error
    _check_end(recording, start + n_read, stop)
    _check_samples(mono[:n_read], recording.name)
    return mono[:n_read]


def _read_averaged(sound: soundfile.SoundFile, out: Samples) -> int:
    """Fill `out` with the channel means of the next frames, as librosa.to_mono; return the number of frames read."""
    if sound.channels == 1:
        return len(sound.read(dtype="float32", out=out))
    block = sound.read(len(out), dtype="float32", always_2d=True)
    with np.errstate(invalid="ignore", over="ignore"):  # `_check_samples` reports NaN and infinite values
        if sound.channels == 2:  # ten times faster than np.mean, and bit-identical
            np.add(block[:, 0], block[:, 1], out=out[: len(block)])
            out[: len(block)] /= np.float32(2)
        else:
            out[: len(block)] = np.mean(block.T, axis=0)
    return len(block)


def _decoding_error(recording: _OpenRecording, n_read: int, error: soundfile.SoundFileError) -> Unusable:
    """Return the error for a failed read: Inconsistent at the end of the file (truncated), else Unreadable (damaged).

    Raises: OSError or MemoryError if the machine is at fault.
    """
    is_at_end = recording.source.position() >= recording.source.size_bytes
    recording.source.check_reads()
    _check_memory(recording.name, error)
    reason = str(error).removeprefix("Error : ")
    if is_at_end:
        declared = f"its header declares {recording.facts.n_frames}"
        return Inconsistent(f"{recording.name} ends at or before frame {n_read}; {declared}: {reason}")
    return Unreadable(f"{recording.name} cannot be decoded after frame {n_read}: {reason}")


def _check_end(recording: _OpenRecording, n_read: int, stop: int) -> None:
    """Raise Inconsistent if the audio ended before frame `stop`, unless the header's length is an estimate."""
    if n_read == stop or (recording.is_length_estimated and n_read > 0):
        return
    recording.source.check_reads()
    if stop - n_read > _TOLERANCE_S * recording.facts.rate_hz:
        declared = f"its header declares {recording.facts.n_frames}"
        raise Inconsistent(f"{recording.name} ends after {n_read} frames; {declared}")


def _check_samples(mono: Samples, name: str) -> None:
    """Raise Unreadable for samples that cannot be audio."""
    peak = max(mono.max(), -mono.min()) if len(mono) else 0.0
    if not np.isfinite(peak):
        raise Unreadable(f"{name} contains samples that are NaN or infinite")
    if peak > _LARGEST_PEAK:
        raise Unreadable(f"{name} has a peak of {peak:.3g}; full scale is 1")
