"""Decoding gives librosa's samples for a good file and a typed error for a bad one.

A fault of the machine is not blamed on the recording.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from domain.errors import Empty, Inconsistent, Missing, Unreadable, UnsupportedFormat
from tasks.audio import recording
from tasks.audio.containers.opened import HeaderFacts
from tasks.audio.preset import Preset
from tasks.audio.recording import decode, probe
from tests.unit.audio.signals import librosa_loaded, noise, song, write

FORMATS = [
    ("a.wav", 44_100, {}),
    ("a.wav", 32_000, {}),
    ("a.flac", 48_000, {}),
    ("a.ogg", 44_100, {}),
    ("a.mp3", 44_100, {}),
    ("a.opus", 48_000, {"format": "OGG", "subtype": "OPUS"}),
    ("a.wav", 8_000, {"subtype": "ULAW"}),
    ("a.aiff", 22_050, {}),
    ("a.wav", 11_025, {"subtype": "DOUBLE"}),
]


@pytest.mark.parametrize(("name", "rate_hz", "how"), FORMATS)
@pytest.mark.parametrize("channels", [1, 2])
def test_samples_equal_those_of_librosa(
    name: str, rate_hz: int, how: dict[str, str], channels: int, tmp_path: Path, preset: Preset
) -> None:
    samples = noise(2 * rate_hz * channels).reshape(-1, channels)
    path = write(tmp_path / name, samples, rate_hz, **how)
    expected = librosa_loaded(path)
    np.testing.assert_array_equal(decode(path, preset, 0).span, expected)


def test_many_channels_are_averaged_as_librosa_does(tmp_path: Path, preset: Preset) -> None:
    path = write(tmp_path / "a.wav", noise(16_000 * 7).reshape(-1, 7), 16_000)
    expected = librosa_loaded(path)
    np.testing.assert_array_equal(decode(path, preset, 0).span, expected)


@pytest.mark.parametrize(("name", "rate_hz", "how"), FORMATS[:6])
def test_a_later_span_equals_that_part_of_one_decoding_pass(
    name: str, rate_hz: int, how: dict[str, str], tmp_path: Path, preset: Preset
) -> None:
    path = write(tmp_path / name, song(80 * rate_hz), rate_hz, **how)
    expected = librosa_loaded(path)
    first, second = decode(path, preset, 0), decode(path, preset, 1)
    assert (first.start, first.stop, second.start) == (0, 2_400_000, 30_000)
    np.testing.assert_allclose(first.samples, expected[: 2_400_000 + 30_000], atol=1e-6)
    np.testing.assert_allclose(second.samples, expected[2_400_000 - 30_000 :], atol=1e-6)


def test_the_block_size_does_not_change_the_samples(
    tmp_path: Path, preset: Preset, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.flac", noise(200_000).reshape(-1, 2))
    whole = decode(path, preset, 0).span
    monkeypatch.setattr(recording, "BLOCK_VALUES", 999)
    np.testing.assert_array_equal(decode(path, preset, 0).span, whole)


def test_probing_returns_the_facts_of_the_header(tmp_path: Path) -> None:
    path = write(tmp_path / "a.flac", noise(48_000).reshape(-1, 2), 44_100)
    assert probe(path) == probe(str(path)) == HeaderFacts(24_000, 44_100, 2, "FLAC/PCM_16")


def _cut(path: Path, share: float) -> Path:
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    return path


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3"])
def test_a_truncated_recording_is_inconsistent(name: str, tmp_path: Path, preset: Preset) -> None:
    path = _cut(write(tmp_path / name, noise(10 * 32_000)), 0.5)
    with pytest.raises(Inconsistent, match=name):
        decode(path, preset, 0)


@pytest.mark.parametrize("n", [0, 32_000])
def test_a_span_beyond_the_end_is_inconsistent(n: int, tmp_path: Path, preset: Preset) -> None:
    with pytest.raises(Inconsistent, match="span cannot start"):
        decode(write(tmp_path / "a.wav", noise(n)), preset, 1)


def test_noise_that_begins_like_an_mp3_frame_is_unreadable(tmp_path: Path, preset: Preset) -> None:
    path = tmp_path / "a.mp3"
    path.write_bytes(b"\xff\xfb\x90\x64" + np.random.default_rng(1).bytes(100_000))
    with pytest.raises(Unreadable, match="no decodable audio"):
        decode(path, preset, 0)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", Empty),
        (b"hello, I am a text\n" * 100, UnsupportedFormat),
        (bytes(100_000), UnsupportedFormat),
        (np.random.default_rng(0).bytes(200_000), Unreadable),
        (b"RIFF\xff\xff\xff\xffWAVEfmt \xff\xff\xff\xff", Unreadable),
        (b"OggS" + bytes(500), Unreadable),
        (b"ID3\x04\0\0\0\0\x10\0" + bytes(100_000), Unreadable),
    ],
)
def test_bytes_that_are_not_audio_are_refused_and_stderr_stays_empty(
    content: bytes, reason: type[Exception], tmp_path: Path, preset: Preset, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.mp3"
    path.write_bytes(content)
    for attempt in (lambda: probe(path), lambda: decode(path, preset, 0)):
        with pytest.raises((reason, UnsupportedFormat), match=r"a\.mp3"):
            attempt()
    assert capfd.readouterr().err == ""


def test_a_file_that_no_longer_exists_is_missing(tmp_path: Path, preset: Preset) -> None:
    for path in (tmp_path / "a.wav", tmp_path / "no" / "a.wav", "nul\0byte.wav"):
        with pytest.raises(Missing):
            decode(path, preset, 0)


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_a_folder_or_a_named_pipe_is_refused_without_blocking(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path / "a.wav")
    with pytest.raises(Unreadable, match="regular"):
        probe(tmp_path / "a.wav")


@pytest.mark.parametrize(("rate_hz", "channels"), [(1, 1), (999, 1), (10_000_000, 1), (32_000, 64), (600_000, 2)])
def test_rates_and_channels_outside_the_preset_are_refused_at_once(
    rate_hz: int, channels: int, tmp_path: Path, preset: Preset
) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros((5_000, channels), np.float32), rate_hz)
    begin = time.perf_counter()
    with pytest.raises(UnsupportedFormat, match=str(rate_hz if channels < 64 else channels)):
        decode(path, preset, 0)
    assert time.perf_counter() - begin < 1


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinite_samples_are_unreadable(value: float, tmp_path: Path, preset: Preset) -> None:
    samples = noise(32_000)
    samples[500] = value
    with pytest.raises(Unreadable, match=r"a\.wav"):
        decode(write(tmp_path / "a.wav", samples, subtype="FLOAT"), preset, 0)


@pytest.mark.parametrize("code", [errno.EIO, errno.EMFILE, errno.EACCES, errno.ENOSPC])
def test_an_oserror_on_opening_is_raised_unchanged(
    code: int, tmp_path: Path, preset: Preset, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.wav", noise(32_000))

    def failing(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "open", failing)
    with pytest.raises(OSError, match=os.strerror(code)) as caught:
        decode(path, preset, 0)
    assert caught.value.errno == code


def test_a_read_error_of_the_disk_is_raised_even_if_the_recording_is_truncated(
    tmp_path: Path, preset: Preset, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _cut(write(tmp_path / "a.flac", noise(320_000)), 0.5)
    real = os.pread

    def failing(file: int, n: int, offset: int) -> bytes:
        if n == 1 << 20:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(file, n, offset)

    monkeypatch.setattr(os, "pread", failing)
    with pytest.raises(OSError, match="Input/output"):
        decode(path, preset, 0)


def test_file_descriptors_are_closed(tmp_path: Path, preset: Preset) -> None:
    good = write(tmp_path / "a.wav", noise(32_000))
    bad = tmp_path / "b.mp3"
    bad.write_bytes(b"nothing")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        decode(good, preset, 0)
        with pytest.raises(UnsupportedFormat):
            probe(bad)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_libsndfile_without_memory_raises_memoryerror(
    tmp_path: Path, preset: Preset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_memory(*_: object, **__: object) -> None:
        raise soundfile.LibsndfileError(17)

    path = write(tmp_path / "a.wav", noise(32_000))
    monkeypatch.setattr(soundfile.SoundFile, "read", no_memory)
    with pytest.raises(MemoryError, match=r"a\.wav"):
        decode(path, preset, 0)
    monkeypatch.setattr(soundfile.SoundFile, "__init__", no_memory)
    with pytest.raises(MemoryError, match=r"a\.wav"):
        probe(path)
