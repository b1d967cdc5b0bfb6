"""Overlapping windows are cut from the denoised recording as if it had no spans; chunks among them do not change."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from domain.errors import Missing, NoPermission, Silent
from domain.notes import NoteCode
from tasks.audio import strip as strip_module
from tasks.audio.denoise import denoise
from tasks.audio.features import features
from tasks.audio.preset import Preset, PresetError, load_preset
from tasks.audio.recording import Passage, decode
from tasks.audio.spectrogram import log_mel
from tasks.audio.strip import Strip, make_strip, make_windows
from tasks.audio.window import step_samples, window_phases, window_starts_s
from tasks.model.prediction_pipeline import for_prediction
from tests.shared_data import shared_data
from tests.unit.audio.signals import librosa_loaded, noisereduced, song, write

RATE_HZ = 32_000
CHUNK = 5 * RATE_HZ
DURATION_S = 163.0  # three spans; the last one has a whole chunk and a padded one
DIGEST = "d" * 64


@pytest.fixture(scope="module")
def every_second(preset: Preset) -> Preset:
    return for_prediction(preset)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sound over the ends of all spans, in a format and at a rate that are decoded for each span anew."""
    return write(tmp_path_factory.mktemp("long") / "a.ogg", song(round(DURATION_S * 44_100)), 44_100)


@pytest.fixture(scope="module")
def chunks(path: Path, every_second: Preset) -> list[Strip]:
    return [make_strip(path, DIGEST, span, 0, every_second) for span in range(3)]


def _windows(path: Path, preset: Preset, overlap_s: float, n_spans: int = 3) -> list[Strip]:
    return [make_windows(path, span, preset, step_samples(overlap_s, preset)) for span in range(n_spans)]


def _starts_s(strip: Strip, preset: Preset, overlap_s: float) -> list[float]:
    numbers = np.array(strip.numbers, np.int32)
    return window_starts_s(numbers, strip.span, preset, step_samples(overlap_s, preset)).tolist()


def _by_start(strips: list[Strip], preset: Preset, overlap_s: float) -> dict[float, tuple[bytes, bytes]]:
    """Spectrogram and features of each window, as bytes."""
    return {
        start_s: (picture.tobytes(), row.tobytes())
        for strip in strips
        for start_s, picture, row in zip(
            _starts_s(strip, preset, overlap_s), strip.spectrograms, strip.features, strict=True
        )
    }


@pytest.mark.parametrize(("overlap_s", "n_windows"), [(0.0, 33), (1.0, 41), (2.5, 66), (4.5, 326)])
def test_windows_follow_each_other_over_all_spans_and_those_that_are_chunks_are_the_chunks(
    overlap_s: float, n_windows: int, path: Path, chunks: list[Strip], every_second: Preset
) -> None:
    strips = _windows(path, every_second, overlap_s)
    starts_s = [start_s for strip in strips for start_s in _starts_s(strip, every_second, overlap_s)]
    assert starts_s == [number * (5.0 - overlap_s) for number in range(n_windows)]
    assert [strip.span for strip in strips for _ in strip.numbers] == [start_s // 75 for start_s in starts_s]
    windows, expected = _by_start(strips, every_second, overlap_s), _by_start(chunks, every_second, 0.0)
    shared = windows.keys() & expected.keys()
    assert len(shared) == (9 if overlap_s == 1.0 else 33)
    assert {start_s: windows[start_s] for start_s in shared} == {start_s: expected[start_s] for start_s in shared}


def test_chunks_of_joined_real_clips_do_not_change_with_an_overlap(tmp_path: Path, every_second: Preset) -> None:
    clips = [librosa_loaded(path) for path in sorted(shared_data("birds10").rglob("*.mp3"))[:16]]
    recording = write(tmp_path / "birds.flac", np.concatenate(clips)[: 83 * RATE_HZ])
    windows = _by_start(_windows(recording, every_second, 2.5, n_spans=2), every_second, 2.5)
    expected = _by_start([make_strip(recording, DIGEST, span, 0, every_second) for span in (0, 1)], every_second, 0.0)
    assert list(expected) == list(range(0, 83, 5))
    assert {start_s: windows[start_s] for start_s in expected} == expected


@pytest.mark.parametrize("method", ["non-stationary", "stationary", "none"])
def test_a_window_across_the_end_of_a_span_is_cut_from_both_spans_as_each_is_denoised(
    method: str, path: Path, every_second: Preset
) -> None:
    preset = replace(every_second, denoise=replace(every_second.denoise, method=method))
    first, second = (denoise(decode(path, preset, span), preset) for span in (0, 1))
    strip = make_windows(path, 0, preset, 2 * RATE_HZ)  # the last window starts at 74 s
    piece = np.concatenate([first[-RATE_HZ:], second[: 4 * RATE_HZ]])
    assert _starts_s(strip, preset, 3.0)[-1] == 74.0
    difference = np.abs(strip.spectrograms[-1].astype(int) - log_mel(piece, preset))
    assert difference.max() <= (1 if method == "stationary" else 0)  # noisereduce gates a short span as one block
    np.testing.assert_allclose(strip.features[-1], features(piece, preset), rtol=1e-4, atol=1e-4)


def test_no_seam_shows_against_the_reference_pipeline_in_one_pass(
    path: Path, every_second: Preset, reference: ModuleType
) -> None:
    in_one_pass = np.pad(noisereduced(librosa_loaded(path)), (0, CHUNK))
    for span, strip in enumerate(_windows(path, every_second, 4.0, n_spans=2)):
        for start_s in range(71, 75):  # these end in the next span
            piece = in_one_pass[(75 * span + start_s) * RATE_HZ :][:CHUNK]
            difference = np.abs(strip.spectrograms[start_s].astype(int) - reference.spectrogram(piece))
            assert difference.max() <= 1
            np.testing.assert_allclose(strip.features[start_s], reference.features(piece), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("duration_s", "overlap_s", "starts_s"),
    [(1.0, 2.5, [0.0]), (4.0, 2.5, [0.0, 2.5]), (5.0, 4.0, [0, 1, 2, 3, 4]), (12.0, 2.5, [0, 2.5, 5, 7.5, 10])],
)
def test_windows_start_until_the_recording_ends_and_zeros_pad_the_last_ones(
    duration_s: float, overlap_s: float, starts_s: list[float], tmp_path: Path, every_second: Preset
) -> None:
    recording = write(tmp_path / "a.wav", song(round(duration_s * RATE_HZ)))
    [strip] = _windows(recording, every_second, overlap_s, n_spans=1)
    assert _starts_s(strip, every_second, overlap_s) == starts_s
    samples = np.pad(denoise(decode(recording, every_second, 0), every_second), (0, CHUNK))
    last = samples[round(starts_s[-1] * RATE_HZ) :][:CHUNK]
    np.testing.assert_array_equal(strip.spectrograms[-1], log_mel(last, every_second))


@pytest.mark.parametrize(("duration_s", "n"), [(5.0, 1), (5.05, 1), (5.2, 2), (75.05, 15)])
def test_a_window_with_less_than_a_tenth_of_a_second_of_the_recording_is_left_out(
    duration_s: float, n: int, tmp_path: Path, every_second: Preset
) -> None:
    recording = write(tmp_path / "a.wav", song(round(duration_s * RATE_HZ)))
    strips = _windows(recording, every_second, 0.0, n_spans=1)
    assert sum(len(strip.numbers) for strip in strips) == n
    if duration_s > 75:
        with pytest.raises(Silent, match="holds no start of a window"):
            make_windows(recording, 1, every_second, CHUNK)


def test_windows_without_features_have_the_same_spectrograms(path: Path, every_second: Preset) -> None:
    whole = make_windows(path, 2, every_second, CHUNK)
    bare = make_windows(path, 2, every_second, CHUNK, with_features=False)
    assert (bare.features.shape, whole.features.shape) == ((3, 0), (3, 15))
    np.testing.assert_array_equal(bare.spectrograms, whole.spectrograms)


def test_a_silent_window_is_left_out_and_the_next_span_may_give_a_window_its_only_sound(
    tmp_path: Path, every_second: Preset
) -> None:
    samples = np.zeros(80 * RATE_HZ, np.float32)
    samples[: 4 * RATE_HZ] = song(4 * RATE_HZ)
    samples[75 * RATE_HZ :] = song(5 * RATE_HZ)
    first, second = _windows(write(tmp_path / "a.wav", samples), every_second, 2.5, n_spans=2)
    assert _starts_s(first, every_second, 2.5) == [0.0, 2.5, 72.5]
    assert first.notes == {NoteCode.SILENT_CHUNKS: 27}
    assert _starts_s(second, every_second, 2.5) == [75.0, 77.5]


def test_a_span_in_which_no_window_starts_has_none(tmp_path: Path, every_second: Preset) -> None:
    recording = write(tmp_path / "a.wav", song(round(75.5 * RATE_HZ)))
    first = make_windows(recording, 0, every_second, 4 * RATE_HZ)
    assert _starts_s(first, every_second, 1.0)[-1] == 72.0
    with pytest.raises(Silent, match=r"a\.wav, span 1, holds no start of a window"):
        make_windows(recording, 1, every_second, 4 * RATE_HZ)


def test_only_windows_that_reach_into_a_damaged_span_are_left_out(tmp_path: Path, every_second: Preset) -> None:
    samples = song(100 * RATE_HZ)
    samples[80 * RATE_HZ] = np.nan
    recording = write(tmp_path / "a.wav", samples, subtype="FLOAT")
    strip = make_windows(recording, 0, every_second, 2 * RATE_HZ)
    assert _starts_s(strip, every_second, 3.0) == list(range(0, 71, 2))
    expected = make_strip(recording, DIGEST, 0, 0, every_second)
    np.testing.assert_array_equal(strip.spectrograms[::5], expected.spectrograms[0:15:2])


def test_a_recording_that_vanishes_before_its_next_span_is_read_is_missing(
    tmp_path: Path, every_second: Preset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the windows would depend on the moment at which it vanishes."""
    recording = write(tmp_path / "a.wav", song(80 * RATE_HZ))

    def decode_and_delete(*words: Any) -> Passage:
        passage = decode(*words)
        recording.unlink()
        return passage

    monkeypatch.setattr(strip_module, "decode", decode_and_delete)
    with pytest.raises(Missing):
        make_windows(recording, 0, every_second, 2 * RATE_HZ)


def test_a_fault_of_access_to_the_next_span_is_no_property_of_the_recording(
    tmp_path: Path, every_second: Preset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise scores without the windows that cross into it would be kept under the recording's content."""
    recording = write(tmp_path / "a.wav", song(80 * RATE_HZ))

    def decode_first(place: Any, preset: Preset, span: int, *words: Any) -> Passage:
        if span:
            raise NoPermission("a.wav may not be opened")
        return decode(place, preset, span, *words)

    monkeypatch.setattr(strip_module, "decode", decode_first)
    with pytest.raises(NoPermission):
        make_windows(recording, 0, every_second, 2 * RATE_HZ)


@pytest.mark.parametrize("overlap_s", [-0.5, 4.6, 5.0, 7.0, float("nan"), float("inf")])
def test_an_overlap_out_of_range_is_refused_with_the_range(overlap_s: float, preset: Preset) -> None:
    with pytest.raises(PresetError, match=r"windows of 5 s overlap by .* s; the overlap must be from 0 to 4\.5 s"):
        step_samples(overlap_s, preset)


def test_an_overlap_is_a_whole_number_of_samples(preset: Preset) -> None:
    assert [step_samples(overlap_s, preset) for overlap_s in (0.0, 0.7, 2.3, 4.5)] == [160_000, 137_600, 86_400, 16_000]
    with pytest.raises(
        PresetError, match=r"1\.23456 s; at 32000 Hz that must be a whole number of samples, such as 1\.2 s"
    ):
        step_samples(1.23456, preset)


def test_windows_that_are_chunks_have_phase_zero(preset: Preset) -> None:
    numbers = np.arange(6, dtype=np.int32)
    assert window_phases(numbers, 1, preset, 2 * CHUNK // 4).tolist() == [0, CHUNK // 2] * 3
    assert (window_phases(numbers, 1, preset, 4 * RATE_HZ) / RATE_HZ).tolist() == [1, 0, 4, 3, 2, 1]


def test_presets_without_denoising_decode_no_more_than_windows_cover(tmp_path: Path) -> None:
    preset = for_prediction(load_preset("broadband"))
    recording = write(tmp_path / "a.wav", song(100 * RATE_HZ))
    assert len(decode(recording, preset, 1, 2 * RATE_HZ).span) == 2 * RATE_HZ
    assert len(decode(recording, preset, 1, 2 * RATE_HZ).samples) == 2 * RATE_HZ + 2 * preset.denoise.context_samples
