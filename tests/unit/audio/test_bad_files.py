"""Damaged and unusual files of other projects' test suites become a strip or have a reason.

Both happen within limits of time and memory.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import pytest

from domain.errors import Empty, Inconsistent, TooShort, Unreadable, UnsupportedFormat, Unusable
from tasks.audio.preset import Preset
from tasks.audio.recording import probe
from tasks.audio.strip import decode_strip, encode, make_strip, warm
from tests.memory import peak_memory
from tests.shared_data import shared_data, shared_folder

FOLDER = shared_data("bad") if shared_folder() else Path()
FILES = sorted(path for path in FOLDER.rglob("*") if path.is_file()) if shared_folder() else []
needs_files = pytest.mark.skipif(not FILES, reason="no shared recordings here; set CHORUS_SHARED to run this")

SECONDS, MEGABYTES = 10, 500

KNOWN: dict[str, type[Unusable]] = {
    "flac_test_files/uncommon/01 - changing samplerate.flac": Inconsistent,
    "flac_test_files/uncommon/02 - increasing number of channels.flac": Inconsistent,
    "flac_test_files/uncommon/03 - decreasing number of channels.flac": Inconsistent,
    "flac_test_files/uncommon/04 - changing bitdepth.flac": Inconsistent,
    "flac_test_files/uncommon/05 - 32bps audio.flac": UnsupportedFormat,
    "flac_test_files/uncommon/10 - file starting at frame header.flac": UnsupportedFormat,
    "flac_test_files/faulty/04 - wrong number of channels.flac": Inconsistent,
    "flac_test_files/faulty/08 - blocksize 65536.flac": Unreadable,
    "flac_test_files/faulty/11 - incorrect metadata block length.flac": Unreadable,
    "hound/testsamples/fuzz/oom-48ae4cd061ff8578ad3f23dc87624bd365cf5216.wav": Unreadable,
    "hound/testsamples/fuzz/crash-24728523ef4be15c838293b676f6853e73723bf4.wav": Unreadable,
    "hound/testsamples/pop.wav": TooShort,
    "opensoundscape/tests/audio/empty_2c.wav": Empty,
    "pydub/test/data/test1_empty.wav": Empty,
    "pydub/test/data/cover.png": UnsupportedFormat,
    "pydub/test/data/test1.raw": UnsupportedFormat,
    # A valid FLAC in Ogg: libsndfile 1.2.2 supports the format, but fails on this encoder's header.
    "pydub/test/data/bach.ogg": Unreadable,
    "scipy/scipy/io/tests/data/test-8000Hz-le-3ch-5S-64bit.wav": UnsupportedFormat,
    "scipy/scipy/io/tests/data/test-44100Hz-le-1ch-4bytes-early-eof-no-data.wav": Unreadable,
}

UNUSUAL_BUT_VALID = {
    "pydub/test/data/creative_common.mp4": 1,
    "pydub/test/data/format_test.m4a": 2,
    "pydub/test/data/test5.webm": 1,
    "flac_test_files/faulty/09 - blocksize 1.flac": 1,
    "flac_test_files/uncommon/08 - blocksize 65535.flac": 2,
    "audioread/test/data/test-1.mp3": 3,
    "opensoundscape/tests/audio/veryshort.wav": 1,
    "opensoundscape/tests/audio/1min.wav": 12,
    "pydub/test/data/test-192khz-32bit.flac": 1,
    "pydub/test/data/test-dc_offset.wav": 2,
    "scipy/scipy/io/tests/data/test-44100Hz-le-1ch-4bytes-rf64.wav": 1,
}


@needs_files
@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(FOLDER)))
def test_a_file_becomes_a_strip_or_is_unusable_for_a_named_reason(path: Path, preset: Preset) -> None:
    begin = time.perf_counter()
    try:
        assert probe(path).n_frames < 10_000_000
        strip = make_strip(path, "d" * 64, 0, 0, preset)
    except Unusable as reason:
        assert path.name in str(reason)
    else:
        assert len(decode_strip(encode(strip)).features) == len(strip.features) > 0
    assert time.perf_counter() - begin < SECONDS


@needs_files
def test_no_file_needs_more_memory_than_the_limit(preset: Preset) -> None:
    largest = sorted(FILES, key=lambda path: path.stat().st_size)[-6:]
    changing = [path for path in FILES if "changing" in path.name]
    warm(preset)
    for path in [*largest, *changing]:
        with peak_memory() as peak, contextlib.suppress(Unusable):
            make_strip(path, "d" * 64, 0, 0, preset)
        assert peak.size_bytes < MEGABYTES << 20, path.name


@needs_files
@pytest.mark.parametrize("name", KNOWN)
def test_a_known_bad_file_has_its_reason(name: str, preset: Preset) -> None:
    with pytest.raises(KNOWN[name]) as caught:
        make_strip(FOLDER / name, "d" * 64, 0, 0, preset)
    assert type(caught.value) is KNOWN[name]


@needs_files
@pytest.mark.parametrize("name", UNUSUAL_BUT_VALID)
def test_an_unusual_but_valid_file_becomes_a_strip(name: str, preset: Preset) -> None:
    assert len(make_strip(FOLDER / name, "d" * 64, 0, 0, preset).features) == UNUSUAL_BUT_VALID[name]
