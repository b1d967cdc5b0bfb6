"""A loaded model predicts files and samples, window by window, with networks whose answer is known."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dawn_chorus import ChorusError, LoadedModel
from orchestrator.planning.model_choice import ChosenModel
from tasks.audio.preset import load_preset
from tasks.model.inputs import RawBatch
from tasks.model.prediction_pipeline import PredictionPipeline, for_prediction
from tests.recordings import tone, write_samples, write_silence, write_tone

RATE_HZ = 32_000


class Brightness:
    """A network of two classes: the mean grey level of a spectrogram, from 0 to 1, and the rest."""

    facts = SimpleNamespace(labels=("bright", "dark"), inputs=("spectrogram", "features"))

    def __init__(self, factor: float = 1.0) -> None:
        self._factor = factor

    def predict(self, raw: RawBatch) -> np.ndarray:
        bright = self._factor * raw.spectrograms.mean(axis=(1, 2)) / 255
        return np.stack([bright, 1 - bright], axis=1).astype(np.float32)


def loaded(*networks: Any) -> LoadedModel:
    pipeline = PredictionPipeline(for_prediction(load_preset("birdclef2021")), ())
    chosen = ChosenModel("3:cnn", "cnn, the only classifier of run 3", ("bright", "dark"), pipeline)
    return LoadedModel(chosen, list(networks or [Brightness()]))


def test_every_window_of_a_long_recording_has_scores_and_the_last_one_ends_with_it(tmp_path: Path) -> None:
    """Two spans; 82 s are 16 windows and a tail of 2 s."""
    found = loaded().predict(write_tone(tmp_path / "long.wav", 1000.0, 82.0))
    assert found.columns.tolist() == ["start_s", "end_s", "bright", "dark"]
    assert found["start_s"].tolist() == [5.0 * number for number in range(17)]
    assert found["end_s"].tolist() == [*(5.0 * number for number in range(1, 17)), 82.0]
    assert found["bright"].dtype == np.float32
    assert (found["bright"] + found["dark"]).tolist() == pytest.approx([1.0] * 17)


def test_silent_windows_have_no_row_and_neither_has_a_silent_recording(tmp_path: Path) -> None:
    samples = np.concatenate([tone(1000.0, 5.0), np.zeros(5 * RATE_HZ, np.float32), tone(1000.0, 5.0)])
    found = loaded().predict(write_samples(tmp_path / "gap.wav", samples))
    assert found["start_s"].tolist() == [0.0, 10.0]
    assert len(loaded().predict(write_silence(tmp_path / "silence.wav", 80.0))) == 0


def test_the_scores_of_several_networks_are_their_mean(tmp_path: Path) -> None:
    path = write_tone(tmp_path / "tone.wav", 1000.0, 5.0)
    one, both = loaded().predict(path), loaded(Brightness(), Brightness(0.5)).predict(path)
    assert both["bright"][0] == pytest.approx(0.75 * one["bright"][0])


@pytest.mark.parametrize("rate_hz", [32_000, 44_100])
def test_samples_have_the_scores_of_a_file_that_holds_them(rate_hz: int, tmp_path: Path) -> None:
    samples = np.round(tone(1000.0, 7.0, rate_hz) * 32767) / 32768  # as 16 bits hold them
    stereo = np.stack([samples, samples / 2], axis=1)
    for values in (samples, stereo):
        path = write_samples(tmp_path / "tone.wav", values, rate_hz)
        held = np.round(values * 32768) / 32768
        pd.testing.assert_frame_equal(loaded().predict(held, rate_hz), loaded().predict(str(path)), atol=1e-3)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ((np.zeros(10),), "rate_hz is None"),
        ((np.zeros(10), 0), "rate_hz is 0"),
        ((np.zeros(10, np.int16), RATE_HZ), "of the type int16; give floats"),
        ((np.zeros((2, 10)), RATE_HZ), r"the shape \(2, 10\)"),
        ((np.zeros(10), RATE_HZ), "lasts 0.0003 s"),
        ((np.full(RATE_HZ, np.nan), RATE_HZ), "NaN or infinite"),
        (("none.wav",), "none.wav is no file"),
        (("s3://birds/a.wav",), "on this machine"),
        (("none.wav", RATE_HZ), "rate_hz belongs to samples"),
    ],
    ids=str,
)
def test_what_cannot_be_predicted_is_a_sentence(given: tuple[Any, ...], words: str) -> None:
    with pytest.raises(ChorusError, match=words):
        loaded().predict(*given)


def test_a_recording_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.wav").write_bytes(b"RIFF0000WAVEfmt nothing")
    with pytest.raises(ChorusError, match=r"broken\.wav"):
        loaded().predict(tmp_path / "broken.wav")
