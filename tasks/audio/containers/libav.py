"""Decodes the formats that libsndfile does not open, with FFmpeg's libraries, through PyAV. PyAV is an optional extra.

Many codecs keep state from frame to frame (the noise generator of AAC, the predictor of AMR). A stream is therefore
decoded from its beginning, so that decoding in pieces equals decoding whole. The decoder is kept for the next span of
the same recording, which goes on where the last one ended.

FFmpeg reads the bytes of this one file through a file object. It opens no other file, no URL and no playlist, and it
has one demuxer and the decoders in `_DECODERS`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from domain.errors import Empty, Inconsistent, NoDecoder, Unreadable, UnsupportedFormat
from tasks.audio.containers.foreign import ForeignFormat
from tasks.audio.containers.measure import MOST_FRAMES_PER_BYTE
from tasks.audio.containers.parts import File, PartsReader

Block = npt.NDArray[np.float32]

HOW_TO_INSTALL = "install it: pip install --require-hashes -r requirements/formats.lock"
_TOLERANCE_S = 0.1
_PADDING_FRAMES = 4_096
"""Encoders, containers and decoders count the first and the last frame differently: two frames of HE-AAC."""
_MOST_KEPT_VALUES = 1 << 23
"""Decoded values that are kept: the next span begins a few seconds before this one ends."""
_READ_BYTES = 1 << 18
_MOST_NEEDED_BYTES = 1 << 26
"""More than FFmpeg allocates at once for any packet or frame of the decoded formats."""
_STATES_LENGTH = frozenset({"mov", "wv", "ape", "tta", "caf", "aiff"})
_SELF_FRAMED = frozenset({"aac", "ac3", "eac3"})
_PCM = ("u8", "s8", *(f"{form}{end}" for form in ("s16", "s24", "s32", "f32", "f64") for end in ("le", "be")))
# fmt: off
_DECODERS = frozenset({
    *(f"pcm_{form}" for form in (*_PCM, "alaw", "mulaw")), "aac", "ac3", "adpcm_g726", "adpcm_ima_qt", "adpcm_ima_wav",
    "adpcm_ms", "alac", "amrnb", "amrwb", "ape", "eac3", "flac", "gsm", "gsm_ms", "mp2float", "mp3float", "opus",
    "tta", "vorbis", "wavpack", "wmalossless", "wmapro", "wmav1", "wmav2", "wmavoice",
})
# fmt: on


class _Shape(NamedTuple):
    """What all frames of a stream share."""

    rate_hz: int
    channels: int


class LibavSound:
    """A stream that FFmpeg decodes, with the interface of `opened.Sound`.

    file: may be replaced by another object with the same bytes.  frames: samples of each channel.
    """

    def __init__(self, file: File, kind: ForeignFormat) -> None:
        self.file, self.kind = file, kind
        if kind.refusal:
            raise UnsupportedFormat(f"{file.name} is {kind.name}, which is not decoded: {kind.refusal}")
        self._library = _imported(file, kind)
        self._shape: _Shape | None = None
        self.frames = self._at = 0
        self._begin()
        self.format, self.subtype = kind.demuxer.upper(), str(self._stream.codec_context.codec.name).upper()

    @property
    def samplerate(self) -> int:
        """Sampling rate in Hz. Raises Unreadable if no frame was decoded."""
        return self._decoded_shape().rate_hz

    @property
    def channels(self) -> int:
        """Number of channels. Raises Unreadable if no frame was decoded."""
        return self._decoded_shape().channels

    @property
    def versions(self) -> dict[str, str]:
        """Name and versions of the decoder, for the provenance of strips."""
        version = ".".join(map(str, self._library.library_versions["libavcodec"]))
        return {"av": str(self._library.__version__), "decoder": self.subtype.lower(), "libavcodec": version}

    @property
    def has_failed(self) -> bool:
        """Whether a read failed. What FFmpeg decoded from then on is not the recording's."""
        return self._reader.error is not None

    def measure(self, *, is_thorough: bool) -> None:
        """Find the length.

        is_thorough: decode everything. Otherwise the packets are counted, and only the first is decoded.
        Raises: Unreadable if more than 0.1 s inside cannot be decoded; Inconsistent if the file ends before the length
        that it states, or if rate or channels change; UnsupportedFormat; OSError of a failed read.
        """
        begin = stop = last = n_bytes = 0
        is_first, is_timed = True, True
        for packet in self._reading:
            if packet.size and not packet.is_discard:
                last, n_bytes = packet.duration or last, n_bytes + packet.size
                is_timed = is_timed and packet.pts is not None
                at = packet.pts if is_timed else stop
                if is_first:
                    begin, stop, is_first = max(0, at), max(0, at), False
                self._check_hole(at - stop, stop - begin)
                stop = max(stop, at + last)
                self._check_possible(stop - begin)
            if is_thorough or self._shape is None:
                self._decode(packet)
        packets_s = float((stop - begin) * self._stream.time_base)
        self._check_stated(packets_s)
        self.frames = round(packets_s * self.samplerate)
        self._check_bytes(n_bytes)
        if is_thorough:
            self._check_decoded(is_exact=is_timed and self._stream.time_base * self.samplerate == 1)

    def skip_to(self, start: int) -> None:
        """Go to frame `start`."""
        self._at = start

    def read(self, frames: int = -1, *, out: Block | None = None, **_: object) -> Block:
        """Return the next frames, (n, channels) float32, fewer at the end. out: (n,) to fill instead, for one channel.

        Raises: Unreadable, Inconsistent, OSError.
        """
        wanted = min(frames if out is None else len(out), self.frames - self._at)
        found = np.empty((max(0, wanted), self.channels), np.float32) if out is None else out[: max(0, wanted), None]
        n_found = 0
        while n_found < len(found) and (piece := self._piece(self._at, len(found) - n_found)) is not None:
            found[n_found : n_found + len(piece)] = piece
            n_found, self._at = n_found + len(piece), self._at + len(piece)
        return found[:n_found] if out is None else out[:n_found]

    def _piece(self, at: int, n_most: int) -> Block | None:
        """Return up to n_most decoded frames from frame `at` on; None at the end of the stream."""
        if at < self._end - sum(map(len, self._blocks)):
            self._begin()
        while at >= self._end:
            packet = next(self._reading, None)
            if packet is None:
                return None
            self._decode(packet)
        stop = self._end
        for block in reversed(self._blocks):
            start = stop - len(block)
            if start <= at:
                return block[at - start : at - start + n_most]
            stop = start
        return None

    def _begin(self) -> None:
        """Open the file, from its beginning."""
        library, file = self._library, self.file
        self._reader = PartsReader(_Current(self), (range(self.kind.start, file.size_bytes),))
        limits = {"protocol_whitelist": "none", "codec_whitelist": ",".join(sorted(_DECODERS))}
        try:
            self._container = library.open(
                self._reader, "r", format=self.kind.demuxer, container_options=limits, metadata_errors="replace",
                buffer_size=_READ_BYTES, io_open=_refuse,
            )  # fmt: skip
        except _errors(library) as error:
            _raise_if_of_machine(error)
            self._check_reads()
            raise Unreadable(f"{file.name} cannot be opened as {self.kind.name}: {_text(error)}") from error
        self._stream = self._only_stream()
        context = self._stream.codec_context
        context.thread_type, context.thread_count = "NONE", 1
        context.options = {"err_detect": "crccheck"}  # FFmpeg ignores it in WavPack
        self._reading = self._packets()
        self._blocks: deque[Block] = deque()
        self._end, self._kept, self._lost_s, self._lost_at_s = 0, 0, 0.0, 0.0

    def _only_stream(self) -> Any:
        """Return the stream of audio. Raises Empty, UnsupportedFormat, or Inconsistent if there are several."""
        name, streams = self.file.name, list(self._container.streams.audio)
        known = [each for each in streams if each.codec_context and each.codec_context.codec.name in _DECODERS]
        if not streams:
            raise Empty(f"{name} holds no stream of audio")
        if not known:
            raise UnsupportedFormat(f"{name} is {self.kind.name} with a codec that is not decoded; convert it to WAV")
        if len(known) > 1:
            raise Inconsistent(f"{name} holds {len(known)} audio streams that play at the same time; extract one")
        return known[0]

    def _packets(self) -> Iterator[Any]:
        try:
            yield from self._container.demux(self._stream)
        except _errors(self._library) as error:
            _raise_if_of_machine(error)
            self._check_reads()
            if self.kind.demuxer in _STATES_LENGTH:  # a shorter stream is found by its stated length
                return
            at_s = self._end / self._shape.rate_hz if self._shape else 0.0
            raise Unreadable(f"{self.file.name} cannot be read after {at_s:.1f} s: {_text(error)}") from error
        self._check_reads()

    def _decode(self, packet: Any) -> None:
        """Add the frames of a packet to the blocks; count the seconds that cannot be decoded."""
        at_s = self._end / self._shape.rate_hz if self._shape else 0.0
        lost_s = 0.0
        try:
            for frame in packet.decode():
                lost_s += frame.samples / frame.sample_rate if frame.is_corrupt else 0.0
                self._add(frame)
        except _errors(self._library) as error:
            _raise_if_of_machine(error)
            lost_s = float((packet.duration or 0) * self._stream.time_base)
        if lost_s and not self._lost_s:
            self._lost_at_s = at_s
        self._lost_s += lost_s

    def _add(self, frame: Any) -> None:
        shape = _Shape(frame.sample_rate, frame.layout.nb_channels)
        self._shape = self._shape or shape
        if shape != self._shape:
            raise Inconsistent(
                f"{self.file.name} changes from {self._shape.rate_hz} Hz and {self._shape.channels} channels to "
                f"{shape.rate_hz} Hz and {shape.channels} after {self._end / self._shape.rate_hz:.1f} s; split it"
            )
        self._blocks.append(_floats(frame))
        self._end += len(self._blocks[-1])
        self._kept += self._blocks[-1].size
        while self._kept > _MOST_KEPT_VALUES and len(self._blocks) > 1:
            self._kept -= self._blocks.popleft().size

    def _decoded_shape(self) -> _Shape:
        if self._shape is None:
            raise Unreadable(f"{self.file.name} holds no frame that can be decoded")
        return self._shape

    def _check_reads(self) -> None:
        if self._reader.error:
            raise self._reader.error

    def _tolerance_s(self) -> float:
        return max(_TOLERANCE_S, _PADDING_FRAMES / self._shape.rate_hz if self._shape else 0.0)

    def _check_hole(self, hole: int, at: int) -> None:
        """Raise Unreadable if packets are missing. hole, at: in units of the stream's time base."""
        if (hole_s := float(hole * self._stream.time_base)) > self._tolerance_s():
            at_s = float(at * self._stream.time_base)
            raise Unreadable(f"{self.file.name} is damaged: up to {hole_s:.1f} s after {at_s:.1f} s cannot be decoded")

    def _check_possible(self, length: int) -> None:
        rate_hz = self._shape.rate_hz if self._shape else 1
        if length * self._stream.time_base * rate_hz > MOST_FRAMES_PER_BYTE * self.file.size_bytes:
            raise Inconsistent(f"{self.file.name} declares more audio than a file of its size can hold")

    def _check_stated(self, packets_s: float) -> None:
        if self.kind.demuxer not in _STATES_LENGTH or not self._stream.duration:
            return
        stated_s = float(self._stream.duration * self._stream.time_base)
        if stated_s - packets_s > self._tolerance_s():
            raise Inconsistent(
                f"{self.file.name} is truncated: its header declares {stated_s:.1f} s, but the file holds "
                f"{packets_s:.1f} s"
            )

    def _check_bytes(self, n_bytes: int) -> None:
        """Raise Unreadable if bytes between the frames of a format without a container are no frames."""
        lost = self.file.size_bytes - self.kind.start - n_bytes
        if self.kind.demuxer in _SELF_FRAMED and n_bytes:
            lost_s = lost / n_bytes * self.frames / self.samplerate
            if lost_s > _TOLERANCE_S:
                raise Unreadable(f"{self.file.name} is damaged: about {lost_s:.1f} s of it cannot be decoded")

    def _check_decoded(self, *, is_exact: bool) -> None:
        """Compare what was decoded with the packets, and take its length. is_exact: packets are timed in samples."""
        name, rate_hz = self.file.name, self.samplerate
        if self._lost_s > _TOLERANCE_S:
            raise Unreadable(f"{name} is damaged: {self._lost_s:.1f} s after {self._lost_at_s:.1f} s cannot be decoded")
        if abs(self._end - self.frames) > self._tolerance_s() * rate_hz:
            raise Inconsistent(
                f"{name} holds packets for {self.frames / rate_hz:.1f} s, but {self._end / rate_hz:.1f} s are decoded; "
                "convert it to WAV or FLAC"
            )
        self.frames = min(self.frames, self._end) if is_exact else self._end


class _Current:
    """The bytes of the file that a sound has at the moment."""

    def __init__(self, sound: LibavSound) -> None:
        self._sound = sound

    @property
    def name(self) -> str:
        return self._sound.file.name

    @property
    def size_bytes(self) -> int:
        return self._sound.file.size_bytes

    def pread(self, n_bytes: int, at: int) -> bytes:
        return self._sound.file.pread(n_bytes, at)


def _imported(file: File, kind: ForeignFormat) -> Any:
    """Return the module `av`. Raises: NoDecoder."""
    try:
        import av  # noqa: PLC0415 - a third of a second, for recordings that need it
    except ImportError as error:
        raise NoDecoder(
            f"{file.name} is {kind.name}, which needs PyAV; {HOW_TO_INSTALL}; or convert the recording to WAV or FLAC"
        ) from error
    return av


def _errors(library: Any) -> tuple[type[Exception], ...]:
    """Return the exceptions that PyAV raises for bytes that it cannot decode."""
    return (library.FFmpegError, ValueError, LookupError, NotImplementedError, AssertionError)


def _raise_if_of_machine(error: Exception) -> None:
    """Raise the error again if memory ran out; PyAV's error for that is an FFmpegError too.

    FFmpeg reports the same error for a damaged header that asks for more memory than any recording needs. Then memory
    for a recording can still be allocated.
    """
    if isinstance(error, MemoryError):
        try:
            bytearray(_MOST_NEEDED_BYTES)
        except MemoryError:
            raise error from None


def _text(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)[:200]


def _refuse(url: str, *_: object) -> None:
    raise PermissionError(f"a recording may not open {url!r:.100}")


def _floats(frame: Any) -> Block:
    """Return a frame's samples, (n, channels) float32, full scale ±1."""
    found: npt.NDArray[Any] = frame.to_ndarray()
    found = found.T if frame.format.is_planar else found.reshape(-1, frame.layout.nb_channels)
    if found.dtype == np.uint8:
        return (found.astype(np.float32) - np.float32(128)) / np.float32(128)
    if np.issubdtype(found.dtype, np.integer):
        return (found / -float(np.iinfo(found.dtype).min)).astype(np.float32)
    return np.ascontiguousarray(found, np.float32)
