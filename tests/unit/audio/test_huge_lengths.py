"""A header that declares more audio than its file can contain is refused at once, in every format."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from domain.errors import Unusable
from tasks.audio.preset import Preset
from tasks.audio.recording import probe
from tasks.audio.strip import make_strip

MOST = b"\xff" * 7 + b"\x7f"  # 2**63 - 1, little-endian


# Format: (a marker before the length field, the offset of the field behind the marker's start, the largest length).
LENGTHS = {
    "au": (b".snd", 8, b"\xff\xff\xff\xf0"),
    "aiff": (b"COMM", 10, b"\x7f\xff\xff\xff"),
    "caf": (b"data", 4, MOST[::-1]),
    "w64": (b"data", 16, MOST),
    "rf64": (b"ds64", 16, MOST * 2),
    "flac": (b"fLaC", 22, b"\xff" * 4),
    "wav": (b"data", 4, b"\xfe\xff\xff\xff"),
    "ogg": (b"OggS", 6, MOST),
}


def with_largest_length(path: Path) -> Path:
    """Change the file's header to declare the largest length that the format can express."""
    content = bytearray(path.read_bytes())
    mark, offset, most = LENGTHS[path.suffix[1:]]
    start = content.rfind(mark) + offset
    content[start : start + len(most)] = most
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("suffix", LENGTHS)
def test_a_small_file_that_declares_the_largest_length_is_refused_at_once(
    suffix: str, tmp_path: Path, preset: Preset
) -> None:
    noise = np.random.default_rng(1).standard_normal(2000).astype(np.float32) * 0.1
    soundfile.write(tmp_path / f"a.{suffix}", noise, 32_000, format=suffix.upper())
    recording = with_largest_length(tmp_path / f"a.{suffix}")
    began_s = time.perf_counter()
    with pytest.raises(Unusable):
        make_strip(recording, "0" * 64, 0, 0, preset)
    assert time.perf_counter() - began_s < 5.0


@pytest.mark.parametrize(
    ("name", "head"),
    [("a.caf", b"caff\0\1\0\0desc" + b"\xff" * 8), ("a.w64", b"riff" + bytes(36) + b"fmt " + bytes(12) + b"\xff" * 8)],
    ids=["caf", "w64"],
)
def test_a_chunk_that_states_more_bytes_than_any_disk_has_is_unusable(tmp_path, name, head):
    (tmp_path / name).write_bytes(head + bytes(100))
    with pytest.raises(Unusable):
        probe(tmp_path / name)
