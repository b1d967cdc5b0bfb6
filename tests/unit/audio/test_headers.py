"""Headers are read without trusting the lengths that they declare."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile

from tasks.audio.headers import has_estimated_length, id3_bytes, is_beyond_riff, missing_bytes


def _wav(endian: str = "LITTLE", kind: str = "WAV") -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, np.zeros(1_000, np.float32), 8_000, format=kind, subtype="PCM_16", endian=endian)
    return buffer.getvalue()


@pytest.mark.parametrize("endian", ["LITTLE", "BIG"])
def test_a_complete_wav_lacks_no_bytes_and_a_truncated_one_lacks_the_bytes_cut_off(endian: str) -> None:
    data = _wav(endian)
    assert missing_bytes(data, len(data)) == 0
    assert missing_bytes(data[:-700], len(data) - 700) == 700


def test_a_truncated_rf64_lacks_the_bytes_cut_off() -> None:
    data = _wav(kind="RF64")
    assert data[:4] == b"RF64"
    assert missing_bytes(data, len(data)) == 0
    assert missing_bytes(data[:-700], len(data) - 700) == 700


def test_only_a_plain_wav_can_be_too_large_for_its_header() -> None:
    assert not is_beyond_riff(_wav(), 1 << 32)
    assert is_beyond_riff(_wav(), (1 << 32) + 8)
    assert is_beyond_riff(_wav("BIG"), 1 << 40)
    assert not is_beyond_riff(_wav(kind="RF64"), 1 << 40)
    assert not is_beyond_riff(b"fLaC" + bytes(60), 1 << 40)


def test_a_wav_written_to_a_pipe_lacks_no_bytes() -> None:
    data = bytearray(_wav())
    data[40:44] = b"\xff\xff\xff\xff"
    assert missing_bytes(bytes(data), len(data)) == 0


@pytest.mark.parametrize("head", [b"", b"RIFF", b"RIFF\0\0\0\0WAVE", b"fLaC" + bytes(60), b"RIFF\0\0\0\0WAVEfmt "])
def test_a_head_without_a_data_chunk_lacks_no_bytes(head: bytes) -> None:
    assert missing_bytes(head, 10) == 0


def test_chunks_of_length_zero_are_skipped() -> None:
    assert missing_bytes(b"RIFF\0\0\0\0WAVE" + b"JUNK\0\0\0\0" * 5_000 + b"data\x08\0\0\0", 40_012) == 16


def test_only_an_mp3_without_a_length_header_has_an_estimated_length() -> None:
    assert not has_estimated_length(bytes(36) + b"Xing", "MP3/MPEG_LAYER_III")
    assert has_estimated_length(bytes(4_000), "MP3/MPEG_LAYER_III")
    assert not has_estimated_length(bytes(4_000), "FLAC/PCM_16")


def test_a_head_without_an_id3_tag_has_a_tag_length_of_zero() -> None:
    assert id3_bytes(b"\xff\xfb\x90\x64" + bytes(20)) == 0
    assert id3_bytes(b"ID3") == 0
