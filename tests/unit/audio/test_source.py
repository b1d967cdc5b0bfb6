"""A remote recording gives the same samples as a local one; a network failure is never blamed on the recording."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from domain.errors import Inconsistent, Unusable
from tasks.audio import source
from tasks.audio.preset import load_preset
from tasks.audio.recording import decode, probe
from tasks.audio.source import Remote
from tasks.dataset.manifest import file_digest

PRESET = load_preset("birdclef2021")
FORMATS = ["wav", "flac", "ogg", "mp3", "aiff"]


def remote(path: Path, fetched: list[tuple[int, int]] | None = None) -> Remote:
    content = path.read_bytes()

    def fetch(start: int, stop: int) -> bytes:
        assert 0 <= start < stop <= len(content), "no request is empty or beyond the end"
        if fetched is not None:
            fetched.append((start, stop))
        return content[start:stop]

    return Remote(path.name, len(content), fetch)


def noise(path: Path, seconds: float, rate_hz: int = 48_000) -> Path:
    """Write one second at a time: libsndfile's Vorbis encoder overflows its stack on longer blocks."""
    draw = np.random.default_rng(5)
    with soundfile.SoundFile(path, "w", rate_hz, 1) as file:
        for _ in range(round(seconds)):
            file.write((0.1 * draw.standard_normal(rate_hz)).astype(np.float32))
    return path


@pytest.mark.parametrize("ending", FORMATS)
def test_every_span_of_a_remote_recording_has_the_same_samples(
    ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = noise(tmp_path / f"long.{ending}", 160.0)
    spans = [decode(path, PRESET, span) for span in range(3)]
    for block_bytes in (4096, 1 << 20):
        monkeypatch.setattr(source, "BLOCK_BYTES", block_bytes)
        assert probe(remote(path)) == probe(path)
        for span, here in enumerate(spans):
            there = decode(remote(path), PRESET, span)
            assert np.array_equal(here.samples, there.samples)
            assert (here.start, here.stop) == (there.start, there.stop)


def test_the_digest_of_a_remote_recording_is_that_of_its_bytes(tmp_path: Path) -> None:
    path = noise(tmp_path / "x.wav", 30.0)
    assert file_digest(remote(path)) == file_digest(path)


def test_a_late_span_of_a_remote_recording_is_read_without_the_spans_before_it(tmp_path: Path) -> None:
    path, fetched = noise(tmp_path / "long.wav", 1200.0, 16_000), []
    decode(remote(path, fetched), PRESET, 14)
    assert sum(stop - start for start, stop in fetched) < 0.2 * path.stat().st_size


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize("good_requests", [0, 1, 2])
def test_a_network_failure_is_an_oserror_at_every_request(
    ending: str, good_requests: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "BLOCK_BYTES", 1 << 14)
    whole, left = remote(noise(tmp_path / f"x.{ending}", 20.0)), [good_requests]

    def fetch(start: int, stop: int) -> bytes:
        if left[0] == 0:
            raise ConnectionResetError("the network is gone")
        left[0] -= 1
        return whole.fetch(start, stop)

    with pytest.raises(ConnectionResetError, match="gone"):
        decode(Remote(whole.name, whole.size_bytes, fetch), PRESET, 0)


def test_a_truncated_remote_recording_is_inconsistent(tmp_path: Path) -> None:
    path = noise(tmp_path / "x.wav", 5.0)
    content = path.read_bytes()[:100_000]
    with pytest.raises(Inconsistent):
        decode(Remote("x.wav", len(content), lambda start, stop: content[start:stop]), PRESET, 0)


@pytest.mark.parametrize("content", [b"", b"x", b"RIFF" + bytes(40), bytes(100_000)])
def test_remote_bytes_that_are_not_audio_are_refused_with_a_reason(content: bytes) -> None:
    with pytest.raises(Unusable):
        probe(Remote("x.wav", len(content), lambda start, stop: content[start:stop]))
