"""The spans of a long recording give the same spectrograms and features as one pass over the whole recording."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from tasks.audio.chunk import n_spans
from tasks.audio.features import features
from tasks.audio.preset import Preset
from tasks.audio.recording import probe
from tasks.audio.spectrogram import log_mel
from tasks.audio.strip import Strip, make_strip
from tests.unit.audio.signals import librosa_loaded, noisereduced, song, write

DURATION_S = 163.0  # three spans; the last one has a whole chunk, a padded one, and a short last block


def _strips(path: Path, preset: Preset) -> list[Strip]:
    facts = probe(path)
    n = n_spans(facts.n_frames, facts.rate_hz, path.stat().st_size, preset)
    return [make_strip(path, "d" * 64, span, 0, preset) for span in range(n)]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("long") / "a.ogg", song(round(DURATION_S * 44_100)), 44_100)


@pytest.fixture(scope="module")
def strips(path: Path, preset: Preset) -> list[Strip]:
    return _strips(path, preset)


@pytest.fixture(scope="module")
def in_one_pass(path: Path) -> np.ndarray:
    return noisereduced(librosa_loaded(path))


def test_strips_of_a_long_recording_match_the_reference_pipeline_in_one_pass(
    strips: list[Strip], in_one_pass: np.ndarray, reference: ModuleType
) -> None:
    pieces = reference.chunks(in_one_pass)
    assert [len(strip.features) for strip in strips] == [15, 15, 3]
    pictures = np.concatenate([strip.spectrograms for strip in strips]).astype(int)
    difference = np.abs(pictures - np.stack([reference.spectrogram(piece) for piece in pieces]))
    assert difference.max() <= 1
    assert (difference == 0).mean() > 0.999
    rows = np.concatenate([strip.features for strip in strips])
    np.testing.assert_allclose(rows, [reference.features(piece) for piece in pieces], rtol=1e-3, atol=1e-3)


def test_strips_of_a_long_recording_match_one_pass_of_noisereduce(
    strips: list[Strip], in_one_pass: np.ndarray, preset: Preset
) -> None:
    cut = np.pad(in_one_pass, (0, 33 * 160_000 - len(in_one_pass))).reshape(33, 160_000)
    pictures = np.concatenate([strip.spectrograms for strip in strips]).astype(int)
    assert np.abs(pictures - np.stack([log_mel(piece, preset) for piece in cut])).max() <= 1
    rows = np.concatenate([strip.features for strip in strips])
    np.testing.assert_allclose(rows, [features(piece, preset) for piece in cut], rtol=1e-3, atol=1e-3)
