"""MPEG audio (MP3, MP2): counts frames where no header states how many there are, or where it states a wrong number.

Sources: ISO/IEC 11172-3 and 13818-3 (frame headers); the Xing, Info and VBRI headers as LAME and Fraunhofer write them;
id3.org, ID3v2; APEv2.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from domain.errors import Inconsistent, Unreadable
from tasks.audio.containers.parts import File, Part, Stream, Window

_TOLERANCE_S = 0.1  # encoders and decoders count one or two frames differently
_LONGEST_JUNK_BYTES = 1 << 20  # before the first frame, tags excluded
_LARGEST_FRAME_BYTES = 2_881
_CONFIRMED_BY = 2  # frames that must follow a frame found in unknown bytes: a chance pattern has none

_RATES_HZ = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
_KBIT_S = {  # by (is MPEG-1, layer)
    (True, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}


@dataclass(frozen=True)
class Frame:
    """A frame's header. size_bytes: of the whole frame.  n_samples: of each channel."""

    size_bytes: int
    n_samples: int
    rate_hz: int
    layer: int
    is_mono: bool
    is_mpeg1: bool

    @property
    def kind(self) -> tuple[int, int, bool]:
        """What all frames of one stream share."""
        return self.rate_hz, self.layer, self.is_mono

    @property
    def length_header_at(self) -> int:
        """Where a Xing or Info header stands in the frame: after the side information of layer III."""
        return 4 + ((17 if self.is_mono else 32) if self.is_mpeg1 else (9 if self.is_mono else 17))


@lru_cache(maxsize=4096)
def parse_frame(header: bytes) -> Frame | None:
    """Return the facts in the four bytes of a frame header; None for other bytes, and for the rare free format."""
    if len(header) < 4 or header[0] != 0xFF or header[1] < 0xE0:
        return None
    version, layer = header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3)
    bitrate, rate = header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or layer == 4 or bitrate in (0, 15) or rate == 3:
        return None
    is_mpeg1 = version == 3
    rate_hz, bit_s = _RATES_HZ[version][rate], 1000 * _KBIT_S[is_mpeg1, layer][bitrate]
    padding = header[2] >> 1 & 1
    n_samples = 384 if layer == 1 else 576 if layer == 3 and not is_mpeg1 else 1152
    size = (12 * bit_s // rate_hz + padding) * 4 if layer == 1 else n_samples // 8 * bit_s // rate_hz + padding
    return Frame(size, n_samples, rate_hz, layer, header[3] >> 6 == 3, is_mpeg1)


def first_frame(file: File, start: int, stop: int) -> int | None:
    """Return the position of the first frame between start and stop; None if there is none within 1 MiB.

    Tags are skipped, whatever their size, and other bytes if two more frames of the same kind follow.
    """
    at = after_tags(file, start)
    window = Window(file, min(stop, at + _LONGEST_JUNK_BYTES))
    while (at := window.find(b"\xff", at)) >= 0:
        if _is_frame(window, at, stop):
            return at
        at += 1
    return None


def is_frame(file: File, at: int) -> bool:
    """Whether a frame begins at this position, and others of its kind follow."""
    return _is_frame(Window(file), at, file.size_bytes)


def streams(file: File, start: int, stop: int | None = None) -> tuple[Stream, ...]:
    """Return the stream of frames between two positions, with its measured length. stop: None for the end of the file.

    The file's own length header is believed if its byte count agrees with the file; otherwise all frames are counted,
    and a header with their number stands before them. Tags and length headers inside the stream are left out.

    Raises: Inconsistent if the header declares more frames than there are, or the sampling rate or the number of
    channels changes; Unreadable if bytes between the frames cannot be decoded.
    """
    stop = _before_tags(file, start, file.size_bytes if stop is None else stop)
    head = parse_frame(file.pread(4, start))
    if head is None:
        return (Stream(),)
    declared = _length_header(file.pread(_LARGEST_FRAME_BYTES, start), head)
    is_file_from_its_start = start == 0 or file.pread(3, 0) == b"ID3"
    if declared and declared.n_bytes and abs(start + declared.n_bytes - stop) <= _LARGEST_FRAME_BYTES:
        return (Stream(None if is_file_from_its_start and not _has_two_tags(file, start) else (range(start, stop),)),)
    runs, n_frames = _count(file, start, stop, head)
    if declared and (declared.n_frames - n_frames) * head.n_samples > _TOLERANCE_S * head.rate_hz:
        raise Inconsistent(
            f"{file.name} is truncated: its header declares {declared.n_frames * head.n_samples / head.rate_hz:.1f} s, "
            f"but the file holds {n_frames * head.n_samples / head.rate_hz:.1f} s"
        )
    header: tuple[Part, ...] = (_xing(head, n_frames, sum(map(len, runs))),) if head.layer == 3 else ()
    return (Stream((*header, *runs), n_frames * head.n_samples),)


@dataclass(frozen=True)
class _Declared:
    n_frames: int
    n_bytes: int


def _length_header(frame: bytes, head: Frame) -> _Declared | None:
    at = head.length_header_at
    if frame[36:40] == b"VBRI":
        return _Declared(int.from_bytes(frame[50:54], "big"), int.from_bytes(frame[46:50], "big"))
    if frame[at : at + 4] not in (b"Xing", b"Info"):
        return None
    flags = int.from_bytes(frame[at + 4 : at + 8], "big")
    numbers = [int.from_bytes(frame[at + 8 + 4 * n : at + 12 + 4 * n], "big") for n in (0, 1)]
    if not flags & 1:
        return None
    return _Declared(numbers[0], numbers[1] if flags & 2 else 0)


def _is_frame(window: Window, at: int, stop: int) -> bool:
    """Whether a frame begins at this position: others of its kind must follow, unless the audio ends before."""
    frame = parse_frame(window.get(at, 4))
    kind = frame.kind if frame else None
    for _ in range(_CONFIRMED_BY):
        if frame is None or frame.kind != kind:
            return False
        at += frame.size_bytes
        if at + 4 > stop:
            break
        frame = parse_frame(window.get(at, 4))
    return frame is not None and frame.kind == kind


def _count(file: File, start: int, stop: int, head: Frame) -> tuple[list[range], int]:
    """Return the ranges that hold frames, and their number, without frames that hold a length header only."""
    runs: list[range] = []
    n_frames, run_start = 0, start
    window = Window(file, stop)
    at = start
    while at + 4 <= stop:
        frame = parse_frame(window.get(at, 4))
        if frame is None or frame.kind != head.kind:
            runs.append(range(run_start, at))
            at = run_start = _resumed(file, window, at, stop, head, n_frames)
            continue
        if at + frame.size_bytes > stop:
            break
        mark = window.get(at + frame.length_header_at, 4)
        if mark in (b"Xing", b"Info") or (mark[:1] == b"\0" and window.get(at + 36, 4) == b"VBRI"):
            runs.append(range(run_start, at))
            run_start = at + frame.size_bytes
        else:
            n_frames += 1
        at += frame.size_bytes
    runs.append(range(run_start, at))
    return [run for run in runs if run], n_frames


def _resumed(file: File, window: Window, at: int, stop: int, head: Frame, n_frames: int) -> int:
    """Return where frames go on after bytes that are none: tags, zeros, or less than 0.1 s of anything.

    Raises: Inconsistent, Unreadable as `streams`.
    """
    resumed = after_tags(file, at)
    while (resumed := window.find(b"\xff", resumed)) >= 0 and not _is_frame(window, resumed, stop):
        resumed += 1
    resumed = resumed if resumed >= 0 else stop
    at_s = n_frames * head.n_samples / head.rate_hz
    found = parse_frame(window.get(resumed, 4))
    if found is not None and found.kind != head.kind:
        raise Inconsistent(
            f"{file.name} changes its sampling rate or its channels after {at_s:.1f} s, from {_kind(head)} to "
            f"{_kind(found)}; split it"
        )
    lost_bytes = resumed - after_tags(file, at)
    mean_bytes_s = at / at_s if at_s else 16_000
    if lost_bytes / mean_bytes_s > _TOLERANCE_S and any(file.pread(lost_bytes, resumed - lost_bytes)):
        raise Unreadable(
            f"{file.name} is damaged: about {lost_bytes / mean_bytes_s:.1f} s after {at_s:.1f} s cannot be decoded"
        )
    return resumed


def _kind(frame: Frame) -> str:
    return f"{frame.rate_hz} Hz {'mono' if frame.is_mono else 'stereo'}"


def _xing(head: Frame, n_frames: int, n_bytes: int) -> bytes:
    """Return a frame that holds a length header only, of the same kind as the stream's."""
    version = 3 if head.is_mpeg1 else 2 if head.rate_hz >= 16_000 else 0
    rate = _RATES_HZ[version].index(head.rate_hz)
    header = bytes([0xFF, 0xE0 | version << 3 | 3, 14 << 4 | rate << 2, 0xC0 if head.is_mono else 0])
    size_bytes = parse_frame(header).size_bytes  # type: ignore[union-attr]  # a valid header by construction
    body = b"Xing" + (3).to_bytes(4, "big") + n_frames.to_bytes(4, "big") + n_bytes.to_bytes(4, "big")
    return (header + bytes(head.length_header_at - 4) + body).ljust(size_bytes, b"\0")


def after_tags(file: File, at: int) -> int:
    """Return the position after ID3 and APEv2 tags that begin at `at`, at most the end of the file."""
    while True:
        head = file.pread(32, at)
        if head[:3] == b"ID3" and len(head) >= 10:
            has_footer = head[5] & 0x10
            at += 10 + _seven_bits(head[6:10]) + (10 if has_footer else 0)
        elif head[:8] == b"APETAGEX" and len(head) == 32:
            at += int.from_bytes(head[12:16], "little") + (32 if head[23] & 0x20 else 0)
        elif head[:3] == b"TAG":
            at += 128
        else:
            return min(at, file.size_bytes)


def _before_tags(file: File, start: int, stop: int) -> int:
    """Return where the audio ends: before ID3v1, Lyrics3 and APEv2 tags at the end of the file."""
    while start < stop:
        tail = file.pread(min(160, stop - start), max(start, stop - 160))
        if tail[-128:-125] == b"TAG":
            stop -= 128
        elif tail[-32:-24] == b"APETAGEX":
            has_header = tail[-9] & 0x80
            stop -= int.from_bytes(tail[-20:-16], "little") + (32 if has_header else 0)
        elif tail[-9:] == b"LYRICS200" and tail[-15:-9].isdigit():
            stop -= int(tail[-15:-9]) + 15
        else:
            break
    return max(start, stop)


def _has_two_tags(file: File, start: int) -> bool:
    return start > 0 and 10 + _seven_bits(file.pread(10, 0)[6:10]) != start


def _seven_bits(data: bytes) -> int:
    """Return an integer of which each byte holds seven bits, as ID3v2 stores sizes."""
    return sum((byte & 0x7F) << shift for byte, shift in zip(data, (21, 14, 7, 0), strict=True))
