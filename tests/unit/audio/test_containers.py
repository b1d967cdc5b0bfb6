"""The length of a recording is measured where its header states none or a wrong one, for local and remote files."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from domain.errors import Inconsistent, Unreadable, Unusable
from tasks.audio.preset import Preset
from tasks.audio.recording import decode, probe
from tasks.audio.source import Place, Remote
from tests.unit.audio.files import (
    Samples,
    encoded,
    encoded_tone,
    frames_of,
    id3,
    mp3_in_wav,
    ogg_pages,
    other_stream,
    tone,
    with_number,
)

RATE_HZ = 32_000
VARIABLE = {"kind": "MP3", "bitrate_mode": "VARIABLE"}
CONSTANT = {"kind": "MP3", "bitrate_mode": "CONSTANT"}


@pytest.fixture(params=["local", "remote"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[bytes, str], Place]:
    """Puts bytes where a recording can be read from: a file, or ranges of a remote object."""

    def put(data: bytes, name: str) -> Place:
        if request.param == "remote":
            return Remote(name, len(data), lambda start, stop: data[start:stop])
        (tmp_path / name).write_bytes(data)
        return tmp_path / name

    return put


def _read(place: Place, preset: Preset) -> Samples:
    """Every span of a recording at 32 kHz, as planning counts them."""
    n_frames = probe(place).n_frames
    spans = range(max(1, -(-n_frames // preset.span_samples)))
    return np.concatenate([decode(place, preset, span).span for span in spans])


def _flac_total(data: bytes, total: int) -> bytes:
    byte = data[21] & 0xF0 | total >> 32
    return data[:21] + bytes([byte]) + (total & 0xFFFF_FFFF).to_bytes(4, "big") + data[26:]


def _whole(mp3: bytes, tmp_path: Path) -> Samples:
    """An MP3 file as libsndfile reads it in one go."""
    (tmp_path / "whole.mp3").write_bytes(mp3)
    return soundfile.read(tmp_path / "whole.mp3", dtype="float32")[0]


@pytest.mark.parametrize("how", [VARIABLE, CONSTANT], ids=["variable", "constant"])
@pytest.mark.parametrize(
    "before",
    [b"", id3(300_000), id3(1_000) + id3(2_000), b"\0" * 700 + b"junk\xff\xfb" * 40],
    ids=["nothing", "a picture", "two tags", "junk"],
)
def test_an_mp3_without_a_length_header_has_all_its_sound(
    how: dict[str, str], before: bytes, place: Callable[[bytes, str], Place], preset: Preset, tmp_path: Path
) -> None:
    mp3 = encoded_tone(90, **how)
    samples = _read(place(before + frames_of(mp3) + b"TAG" + bytes(125), "a.mp3"), preset)
    expected = _whole(mp3, tmp_path)
    assert 0 <= len(samples) - len(expected) < 0.2 * RATE_HZ
    # The length header also has a decoder leave out the encoder's delay, less than two frames.
    [delay] = [at for at in range(2_304) if np.abs(samples[at : at + 500] - expected[:500]).max() < 1e-6]
    np.testing.assert_allclose(samples[delay : delay + len(expected)], expected, atol=1e-6)


def test_joined_mp3s_have_the_sound_of_both(place: Callable[[bytes, str], Place], preset: Preset) -> None:
    first, second = (encoded_tone(n, seed=n, **VARIABLE) for n in (80, 7))
    samples = _read(place(first + second, "a.mp3"), preset)
    assert abs(len(samples) / RATE_HZ - 87) < 0.3
    samples = _read(place(id3(500) + first + b"TAG" + bytes(125) + id3(5_000) + second, "a.mp3"), preset)
    assert abs(len(samples) / RATE_HZ - 87) < 0.3


def test_joined_mp3s_of_two_rates_are_refused_with_the_time_of_the_change(
    place: Callable[[bytes, str], Place],
) -> None:
    first, second = encoded_tone(10, **VARIABLE), encoded_tone(10, 44_100, **VARIABLE)
    with pytest.raises(Inconsistent, match=r"changes .* after 10\.\d s, from 32000 Hz mono to 44100 Hz mono; split it"):
        probe(place(first + second, "a.mp3"))


@pytest.mark.parametrize("stated_frames", [None, 1_000, 32_000 * 20, 32_000 * 100])
def test_mp3_in_wav_has_all_its_sound_whatever_its_header_says(
    stated_frames: int | None, place: Callable[[bytes, str], Place], preset: Preset
) -> None:
    mp3 = frames_of(encoded_tone(20, **VARIABLE))
    samples = _read(place(mp3_in_wav(mp3, RATE_HZ, stated_frames), "a.wav"), preset)
    assert 0 <= len(samples) - 20 * RATE_HZ < 0.2 * RATE_HZ


def test_a_truncated_mp3_says_how_much_is_there(place: Callable[[bytes, str], Place]) -> None:
    mp3 = encoded_tone(20, **CONSTANT)
    with pytest.raises(Inconsistent, match=r"declares 20\.\d s, but the file holds (9|10)\.\d s"):
        probe(place(mp3[: len(mp3) // 2], "a.mp3"))


@pytest.mark.parametrize("hole", [lambda n: b"\x55" * n, lambda n: np.random.default_rng(3).bytes(n)])
def test_damage_inside_an_mp3_is_reported_with_the_seconds_lost(
    hole: Callable[[int], bytes], place: Callable[[bytes, str], Place]
) -> None:
    mp3 = frames_of(encoded_tone(20, kind="MP3", bitrate_mode="CONSTANT", compression_level=0.5))
    n = len(mp3) // 4
    with pytest.raises(Unreadable, match=r"damaged: about (4\.9|5\.\d) s after (9\.9|10\.\d) s"):
        probe(place(mp3[: 2 * n] + hole(n) + mp3[3 * n :], "a.mp3"))


@pytest.mark.parametrize("total", [0, 5 * RATE_HZ])
@pytest.mark.parametrize("before", [b"", id3(100)])
def test_a_flac_without_a_total_or_with_one_too_small_has_all_its_sound(
    total: int, before: bytes, place: Callable[[bytes, str], Place], preset: Preset
) -> None:
    expected = tone(80)
    data = encoded(expected, kind="FLAC", subtype="PCM_16")
    samples = _read(place(before + _flac_total(data, total), "a.flac"), preset)
    np.testing.assert_allclose(samples, expected, atol=1e-4)


def test_a_second_flac_behind_the_first_is_not_dropped(place: Callable[[bytes, str], Place], preset: Preset) -> None:
    first, second = (encoded_tone(n, seed=n, kind="FLAC") for n in (20, 10))
    with pytest.raises(Unusable, match=r"a\.flac"):
        _read(place(first + second, "a.flac"), preset)


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_a_chain_of_ogg_streams_has_the_sound_of_all(
    subtype: str, place: Callable[[bytes, str], Place], preset: Preset
) -> None:
    rate_hz = 48_000 if subtype == "OPUS" else RATE_HZ
    data = [encoded_tone(n, rate_hz, seed=n, kind="OGG", subtype=subtype) for n in (60, 20, 6)]
    assert probe(place(b"".join(data), "a.ogg")).n_frames == 86 * rate_hz
    samples = decode(place(b"".join(data), "a.ogg"), preset, 1).span
    assert len(samples) == 11 * RATE_HZ
    alone = decode(place(data[2], "b.ogg"), preset, 0).span
    np.testing.assert_allclose(samples[-5 * RATE_HZ :], alone[-5 * RATE_HZ :], atol=1e-5)


def test_a_chain_that_changes_its_rate_is_refused(place: Callable[[bytes, str], Place]) -> None:
    data = encoded_tone(4, kind="OGG") + encoded_tone(4, 44_100, kind="OGG")
    with pytest.raises(Inconsistent, match=r"changes from 32000 Hz and 1 channels to 44100 Hz and 1 after 4\.0 s"):
        probe(place(data, "a.ogg"))


def test_other_streams_in_an_ogg_file_are_left_out(place: Callable[[bytes, str], Place], preset: Preset) -> None:
    pages = ogg_pages(encoded_tone(10, kind="OGG"))
    skeleton = [other_stream(77, b"fishead\0" + bytes(56), 0, 2), other_stream(77, b"fisbone\0" + bytes(40), 1, 0)]
    mixed = [skeleton[0], pages[0], skeleton[1], *pages[1:8], other_stream(77, b"", 2, 4), *pages[8:]]
    expected = _read(place(b"".join(pages), "a.ogg"), preset)
    np.testing.assert_array_equal(_read(place(b"".join(mixed), "b.ogg"), preset), expected)


@pytest.mark.parametrize("damage", ["missing", "changed"])
def test_missing_and_changed_pages_of_an_ogg_file_are_reported(
    damage: str, place: Callable[[bytes, str], Place], preset: Preset
) -> None:
    pages = ogg_pages(encoded_tone(30, kind="OGG"))
    half = len(pages) // 2
    pages[half] = b"" if damage == "missing" else pages[half][:-9] + b"!" + pages[half][-8:]
    with pytest.raises(Unreadable, match=r"damaged: up to \d+\.\d s after \d+\.\d s cannot be decoded"):
        decode(place(b"".join(pages), "a.ogg"), preset, 0)


# Where the size of the samples stands, how it is written, and what it counts beside them.
SIZES = [
    ("WAV", b"data", 4, "<I", 0),
    ("WAVEX", b"data", 4, "<I", 0),
    ("RF64", b"ds64", 16, "<Q", 0),
    ("AIFF", b"SSND", 4, ">I", 8),
    ("CAF", b"data", 4, ">q", 4),
    ("W64", b"data", 16, "<q", 24),
    ("AU", b".snd", 8, ">I", 0),
]


def _sized(kind: str, mark: bytes, offset: int, code: str, size: int, samples: Samples) -> bytes:
    data = encoded(samples, kind=kind, subtype="PCM_16")
    return with_number(data, data.find(mark) + offset, size, code)


@pytest.mark.parametrize(("kind", "mark", "offset", "code", "added"), SIZES, ids=[row[0] for row in SIZES])
@pytest.mark.parametrize("stated_s", [0, 2])
def test_a_size_that_was_never_updated_gives_way_to_what_the_file_holds(
    kind: str, mark: bytes, offset: int, code: str, added: int, stated_s: int,
    place: Callable[[bytes, str], Place], preset: Preset,
) -> None:  # fmt: skip
    data = _sized(kind, mark, offset, code, stated_s * 2 * RATE_HZ + added, tone(20))
    samples = _read(place(data, "a.x"), preset)
    np.testing.assert_allclose(samples, tone(20), atol=1e-4)


@pytest.mark.parametrize(
    ("kind", "unknown"), [("WAV", 0xFFFF_FFFF), ("WAV", 0x7FFF_FFF0), ("AU", 0xFFFF_FFFF), ("CAF", -1)]
)
def test_an_unknown_size_means_the_rest_of_the_file(
    kind: str, unknown: int, place: Callable[[bytes, str], Place], preset: Preset
) -> None:
    row = next(row for row in SIZES if row[0] == kind)
    data = _sized(*row[:4], unknown, tone(20))
    np.testing.assert_allclose(_read(place(data, "a.x"), preset), tone(20), atol=1e-4)


@pytest.mark.parametrize("kind", [row[0] for row in SIZES])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.98])
def test_a_file_that_ends_before_its_stated_size_is_refused_in_every_container(
    kind: str, share: float, place: Callable[[bytes, str], Place]
) -> None:
    data = encoded_tone(20, kind=kind, subtype="PCM_16")
    with pytest.raises(Unusable, match=r"a\.x"):
        probe(place(data[: int(share * len(data))], "a.x"))


def test_chunks_before_and_behind_the_samples_are_no_sound(
    place: Callable[[bytes, str], Place], preset: Preset
) -> None:
    data = encoded_tone(3, subtype="PCM_16")
    junk = b"JUNK" + struct.pack("<I", 100_000) + b"data" * 25_000
    before = data[:12] + junk + data[12:]
    for whole in (before, data + junk, data + b"abcd" + struct.pack("<I", 5_000) + bytes(5_000)):
        np.testing.assert_array_equal(_read(place(whole, "a.wav"), preset), _read(place(data, "b.wav"), preset))


@pytest.mark.parametrize("kind", ["WAV", "W64", "AIFF"])
def test_a_second_recording_in_the_same_file_is_named(kind: str, place: Callable[[bytes, str], Place]) -> None:
    data = encoded_tone(3, kind=kind, subtype="PCM_16")
    with pytest.raises(Inconsistent, match=r"holds a second recording from byte [\d,]+"):
        probe(place(data + data, "a.x"))


def test_a_length_header_that_disagrees_with_the_file_leaves_nothing_on_stderr(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = encoded(tone(8.0), RATE_HZ, **VARIABLE)
    path = tmp_path / "a.mp3"
    path.write_bytes(data + frames_of(data)[: len(data) // 5])
    probe(path)
    assert capfd.readouterr().err == ""
