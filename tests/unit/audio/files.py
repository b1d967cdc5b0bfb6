"""Files whose headers state no length, a wrong one, or that hold more than one recording."""

from __future__ import annotations

import io
import struct
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

from tasks.audio.containers.mpeg import parse_frame
from tasks.audio.containers.ogg_pages import checksum

Samples = npt.NDArray[np.float32]


def tone(duration_s: float, rate_hz: int = 32_000, seed: int = 0) -> Samples:
    """A rising tone over noise, loud in the first fifth: encoders with a variable rate spend few bits on the rest."""
    n = round(duration_s * rate_hz)
    at_s = np.arange(n) / rate_hz
    samples = 0.3 * np.sin(2 * np.pi * (1500 + 100 * np.sin(at_s)) * at_s)
    samples[n // 5 :] *= 0.02
    return (samples + 0.002 * np.random.default_rng(seed).standard_normal(n)).astype(np.float32)


def encoded(samples: Samples, rate_hz: int = 32_000, kind: str = "WAV", **how: Any) -> bytes:
    """The bytes of a file in one of libsndfile's formats, in blocks: its Vorbis encoder crashes on long ones."""
    buffer = io.BytesIO()
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    with soundfile.SoundFile(buffer, "w", rate_hz, channels, format=kind, **how) as file:
        for at in range(0, len(samples), rate_hz):
            file.write(samples[at : at + rate_hz])
    return buffer.getvalue()


@cache
def encoded_tone(duration_s: float, rate_hz: int = 32_000, seed: int = 0, **how: Any) -> bytes:
    """The bytes of a file with a tone. They are kept, because encoding takes most of the time of a test."""
    return encoded(tone(duration_s, rate_hz, seed), rate_hz, **how)


def frames_of(mp3: bytes) -> bytes:
    """An MP3 file without its length header: the frames that hold sound."""
    frame = parse_frame(mp3[:4])
    assert frame is not None
    has_header = mp3[frame.length_header_at :][:4] in (b"Xing", b"Info")
    return mp3[frame.size_bytes :] if has_header else mp3


def id3(n_bytes: int) -> bytes:
    """An ID3v2 tag with n_bytes of content, such as a picture, that looks like frames here and there."""
    size = bytes(n_bytes >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x03\0\0" + size + (b"\xff\xfb\x90\x64" + bytes(60)) * (n_bytes // 64) + bytes(n_bytes % 64)


def mp3_in_wav(mp3: bytes, rate_hz: int, stated_frames: int | None = None) -> bytes:
    """A WAV file whose samples are MPEG audio. stated_frames: by the chunk `fact`, if any."""
    form = struct.pack("<HHIIHHHHIHHH", 0x55, 1, rate_hz, 8_000, 1, 0, 12, 1, 2, 1, 1, 1393)
    fact = b"" if stated_frames is None else b"fact" + struct.pack("<II", 4, stated_frames)
    body = b"WAVE" + b"fmt " + struct.pack("<I", len(form)) + form + fact + b"data" + struct.pack("<I", len(mp3)) + mp3
    return b"RIFF" + struct.pack("<I", len(body)) + body


def with_number(data: bytes, at: int, value: int, code: str) -> bytes:
    """The same bytes with another number at one position."""
    packed = struct.pack(code, value)
    return data[:at] + packed + data[at + len(packed) :]


def ogg_pages(data: bytes) -> list[bytes]:
    """An Ogg file, page by page."""
    pages = []
    while data:
        size = 27 + data[26] + sum(data[27 : 27 + data[26]])
        pages.append(data[:size])
        data = data[size:]
    return pages


def other_stream(serial: int, packet: bytes, number: int, flags: int) -> bytes:
    """One page of a stream that is no audio."""
    header = struct.pack("<4sBBQIIIB", b"OggS", 0, flags, 0, serial, number, 0, 1) + bytes([len(packet)])
    return with_number(header + packet, 22, checksum(header + packet), "<I")
