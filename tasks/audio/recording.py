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
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from domain.errors import Inconsistent, OffScale, Unreadable, UnsupportedFormat, Unusable
from domain.notes import NoteCode
from tasks.audio.chunk import n_samples
from tasks.audio.containers.libav import LibavSound
from tasks.audio.containers.opened import (
    BLOCK_VALUES,
    TOLERANCE_S,
    HeaderFacts,
    Link,
    OpenRecording,
    Sound,
    check_memory,
    muted_stderr,
    open_recording,
)
from tasks.audio.levels import ChannelEnergies, share_above_band
from tasks.audio.preset import Preset
from tasks.audio.source import Place

Samples = npt.NDArray[np.float32]

_PREROLL_S = 1  # the resampling filter is far shorter, so the start of decoding does not affect the span
_READ_AHEAD_BYTES = 1 << 16  # decoders have read at most so much more than they have decoded
_LARGEST_PEAK = 16.0  # 24 dB above full scale, which recorders of 32 bit floats reach; integers in floats lie beyond
_MOST_OF_ENERGY = 0.5


@dataclass(frozen=True)
class Passage:
    """The samples of one span together with the context that the denoiser needs before and after it.

    samples: (n,) float32, mono, full scale ±1.  start, stop: the span is samples[start:stop].  notes: see `NoteCode`.
    decoder: names and versions of what decoded it, if that was not libsndfile.
    `start` is 0 only for the first span of a recording. Missing context at the end means that the recording ends.
    Of the beginning of a span, `stop` is its end, and the rest of the denoiser's last block follows.
    """

    samples: Samples
    start: int
    stop: int
    notes: tuple[NoteCode, ...] = ()
    decoder: Mapping[str, str] = field(default_factory=dict)

    @property
    def span(self) -> Samples:
        """The samples of the span alone, (stop - start,) float32."""
        return self.samples[self.start : self.stop]

    @property
    def is_last(self) -> bool:
        """Whether the recording ends with this span."""
        return self.stop == len(self.samples)


def probe(place: Place) -> HeaderFacts:
    """Return the facts in a recording's header, without decoding the audio.

    Raises: Missing if the file does not exist; Empty if it has no bytes or no stream of audio; UnsupportedFormat or
    Unreadable if it cannot be opened; NoDecoder if it needs PyAV, which is not installed; Inconsistent if the header
    declares more audio than the file contains; OSError or MemoryError if the machine is at fault.
    """
    with open_recording(place, is_thorough=False) as recording:
        return recording.facts


def decode(place: Place, preset: Preset, span: int, n_first: int | None = None) -> Passage:
    """Decode one span with its context: average the channels, and resample with soxr HQ.

    span: the span's number, from 0.  n_first: how many samples of its beginning are wanted; None for all.
    Memory is bounded: only the span and a few seconds on each side are decoded, however long the recording is.
    The samples of a recording with one span equal those of
    `librosa.load(path, sr=rate_hz, mono=True, res_type="soxr_hq")`.
    Raises: the errors of `probe`; UnsupportedFormat if rate or channels are outside the preset's limits; Unreadable
    if the audio cannot be decoded or has NaN or infinite samples; OffScale if its samples are far beyond full scale;
    Inconsistent if the audio ends before the length that the header declares.
    """
    wanted = _Wanted(span, preset.span_samples if n_first is None else n_first)
    passage, channels = _decode(place, preset, wanted, None)
    return passage if channels is None else _decode(place, preset, wanted, channels)[0]


@dataclass(frozen=True)
class _Wanted:
    """The first n samples of a span."""

    span: int
    n: int


@dataclass(frozen=True)
class _Channels:
    """Which channels are averaged instead of all, and why."""

    numbers: tuple[int, ...]
    note: NoteCode


def _decode(
    place: Place, preset: Preset, wanted: _Wanted, channels: _Channels | None
) -> tuple[Passage, _Channels | None]:
    """Decode a span. channels: None for all. Also returns the channels with which to decode it again, if any."""
    with open_recording(place, is_thorough=True) as recording:
        _check_limits(recording, preset)
        rate_hz = recording.facts.rate_hz
        margin_s = _PREROLL_S + math.ceil(preset.denoise.context_samples / preset.decode.rate_hz)
        begin_s = wanted.span * preset.decode.span_s
        length_s = math.ceil(preset.denoise.whole_blocks(wanted.n) / preset.decode.rate_hz)
        first_s, last_s = max(0, begin_s - margin_s), begin_s + length_s + margin_s
        reading = _Reading(recording, channels)
        mono = _read_mono(reading, first_s * rate_hz, last_s * rate_hz)
        n_read = first_s * rate_hz + len(mono)  # counted from the beginning of the recording
    n_wanted = min(n_samples(n_read, rate_hz, preset), last_s * preset.decode.rate_hz)
    samples = _resample(mono, rate_hz, preset, n_wanted - first_s * preset.decode.rate_hz)
    passage = _passage(samples, first_s * preset.decode.rate_hz, wanted, preset)
    notes = [channels.note] if channels else []
    if share_above_band(mono, rate_hz, preset) > _MOST_OF_ENERGY:
        notes.append(NoteCode.ABOVE_BAND)
    return replace(passage, notes=tuple(notes), decoder=recording.decoder), reading.wanted()


def _passage(samples: Samples, first: int, wanted: _Wanted, preset: Preset) -> Passage:
    """Cut out the span and the denoiser's context. first: number of the first sample within the recording."""
    begin = wanted.span * preset.span_samples - first
    context = preset.denoise.context_samples
    low = max(0, begin - context)
    stop = min(begin + wanted.n, len(samples))
    end = begin + preset.denoise.whole_blocks(wanted.n) + context
    return Passage(samples[low:end], begin - low, max(begin, stop) - low)


def _resample(mono: Samples, rate_hz: int, preset: Preset, n_wanted: int) -> Samples:
    """Return exactly n_wanted samples at the preset's rate; soxr may return one more or less: cut or pad with zero."""
    if rate_hz == preset.decode.rate_hz or not len(mono):
        return mono
    samples: Samples = soxr.resample(mono, rate_hz, preset.decode.rate_hz, "HQ")
    if len(samples) < n_wanted:
        samples = np.pad(samples, (0, n_wanted - len(samples)))
    return samples[:n_wanted]


def _check_limits(recording: OpenRecording, preset: Preset) -> None:
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


class _Reading:
    """Averages channels while a recording is read, and compares their energies."""

    def __init__(self, recording: OpenRecording, channels: _Channels | None) -> None:
        self.recording = recording
        self._channels = channels
        self._energies = ChannelEnergies(recording.facts.channels)

    def fill(self, sound: Sound | LibavSound, out: Samples) -> int:
        """Fill `out` with the channel means of the next frames, as librosa.to_mono; return the number of frames."""
        if sound.channels == 1:
            return len(sound.read(dtype="float32", out=out))
        block = sound.read(len(out), dtype="float32", always_2d=True)
        if self._channels is not None:
            out[: len(block)] = np.mean(block[:, list(self._channels.numbers)], axis=1)
            return len(block)
        with np.errstate(invalid="ignore", over="ignore"):  # `_check_samples` reports NaN and infinite values
            if sound.channels == 2:  # ten times faster than np.mean, and bit-identical
                np.add(block[:, 0], block[:, 1], out=out[: len(block)])
                out[: len(block)] /= np.float32(2)
            else:
                out[: len(block)] = np.mean(block.T, axis=0)
        self._energies.add(block, out[: len(block)])
        return len(block)

    def wanted(self) -> _Channels | None:
        """Return the channels to average instead of all, once everything is read; None if all are right."""
        n_channels = self.recording.facts.channels
        if n_channels == 1 or self._channels is not None:
            return None
        if dead := self._energies.dead():
            return _Channels(tuple(n for n in range(n_channels) if n not in dead), NoteCode.DEAD_CHANNEL)
        louder = self._energies.louder()
        return None if louder is None else _Channels((louder,), NoteCode.LOUDER_CHANNEL)


def _read_mono(reading: _Reading, start: int, stop: int) -> Samples:
    """Read frames from start to stop, or to the end of the recording, and average the channels: (n,) float32."""
    recording = reading.recording
    facts = recording.facts
    stop = min(stop, facts.n_frames)
    if start and start >= stop:
        raise Inconsistent(f"{recording.name} has {facts.n_frames} frames; a span cannot start at frame {start}")
    mono = np.empty(stop - start, np.float32)
    n_read = 0
    with muted_stderr() if recording.is_mpeg else contextlib.nullcontext():
        for link in recording.links:
            if link.start < stop and start + n_read < link.stop:
                n_read += _read_link(reading, link, start + n_read, mono[n_read : link.stop - start])
    _check_end(recording, start + n_read, stop)
    _check_samples(mono[:n_read], recording.name)
    return mono[:n_read]


def _read_link(reading: _Reading, link: Link, first: int, out: Samples) -> int:
    """Fill `out` from one stream, from the recording's frame `first` on; return the number of frames read."""
    n_read = 0
    try:
        link.sound.skip_to(first - link.start)
        while n_read < len(out):
            rest = out[n_read : n_read + max(1, BLOCK_VALUES // reading.recording.facts.channels)]
            n_block = reading.fill(link.sound, rest)
            n_read += n_block
            if n_block < len(rest):
                break
    except soundfile.SoundFileError as error:
        raise _decoding_error(reading.recording, first + n_read, error) from error
    return n_read


def _decoding_error(recording: OpenRecording, n_read: int, error: soundfile.SoundFileError) -> Unusable:
    """Return the error for a failed read: Inconsistent at the end of the file (truncated), else Unreadable (damaged).

    Raises: OSError or MemoryError if the machine is at fault.
    """
    is_at_end = recording.unread_bytes() <= 0
    recording.check_reads()
    check_memory(recording.name, error)
    reason = str(error).removeprefix("Error : ")
    if is_at_end:
        declared = f"its header declares {recording.facts.n_frames}"
        return Inconsistent(f"{recording.name} ends at or before frame {n_read}; {declared}: {reason}")
    return Unreadable(f"{recording.name} cannot be decoded after frame {n_read}: {reason}")


def _check_end(recording: OpenRecording, n_read: int, stop: int) -> None:
    """Raise Inconsistent if the audio ended before frame `stop`, or goes on after the last frame."""
    facts = recording.facts
    if n_read < stop:
        recording.check_reads()
        if stop - n_read > TOLERANCE_S * facts.rate_hz:
            declared = f"its header declares {facts.n_frames}"
            raise Inconsistent(f"{recording.name} ends after {n_read} frames; {declared}")
    if stop == facts.n_frames and recording.may_go_on:
        unread = recording.unread_bytes()
        if unread > _READ_AHEAD_BYTES:
            raise Inconsistent(
                f"{recording.name} goes on for {unread:,} of its {recording.source.size_bytes:,} bytes after the "
                f"{facts.n_frames} frames that its header declares; convert it to WAV or FLAC"
            )


def _check_samples(mono: Samples, name: str) -> None:
    """Raise Unreadable for samples that cannot be audio."""
    peak = max(mono.max(), -mono.min()) if len(mono) else 0.0
    if not np.isfinite(peak):
        raise Unreadable(f"{name} contains samples that are NaN or infinite")
    if peak > _LARGEST_PEAK:
        raise OffScale(
            f"{name} has a peak of {peak:,.6g}, but full scale is 1; divide its samples by the scale that they were "
            "written for, such as 32,768"
        )
