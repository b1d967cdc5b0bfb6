"""A trained model that predicts recordings in this process, without TensorFlow and without the ledger."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import overload

import numpy as np
import pandas as pd
import soundfile
from numpy.typing import ArrayLike, NDArray

from dawn_chorus.run_tables import OpenHome, open_home, windows
from domain.errors import UsageError
from orchestrator.planning.model_choice import ChosenModel, chosen_model
from tasks.audio.chunk import n_spans
from tasks.audio.recording import probe
from tasks.audio.window import window_starts_s
from tasks.model.ensemble import predict_span, stored_networks
from tasks.model.network import Network


def load_model(home: str | Path | OpenHome, reference: str | int) -> LoadedModel:
    """Read the exported networks of a trained model from a home.

    home: its path, or the open home.  reference: as `--model` of the command: 3 or "3" is run 3's recommended model,
    "3:cnn" its model cnn (the mean of all folds and seeds), "3:cnn:fold2" one fold.
    Raises: ChorusError if there is no such model, if it cannot predict, or if ONNX Runtime is not installed.
    """
    session = (home if isinstance(home, OpenHome) else open_home(home)).session
    chosen = chosen_model(session.database, str(reference))
    return LoadedModel(chosen, stored_networks(session.store.get, chosen.pipeline.networks))


class LoadedModel:
    """A trained model; made by `load_model`.

    name: as in tables, such as "3:cnn".  choice: why it was chosen, as a sentence.
    labels: its classes, in the order of the scores.  window_s: length of a window, in s.
    """

    def __init__(self, chosen: ChosenModel, networks: list[Network]) -> None:
        self.name, self.choice, self.labels = chosen.name, chosen.choice, chosen.labels
        self._pipeline, self._networks = chosen.pipeline, networks
        self._preset = chosen.pipeline.preset
        self.window_s = self._preset.chunk.duration_s

    def __repr__(self) -> str:
        return f"<model {self.name}: {', '.join(self.labels):.200}>"

    @overload
    def predict(self, recording: str | Path) -> pd.DataFrame: ...
    @overload
    def predict(self, recording: ArrayLike, rate_hz: int) -> pd.DataFrame: ...
    def predict(self, recording: str | Path | ArrayLike, rate_hz: int | None = None) -> pd.DataFrame:
        """Return the scores of every window of a recording that is not silent, as `orchestrator predict` finds them.

        recording: path of an audio file, or samples: (n,) or (n, channels), floats with full scale ±1.
        rate_hz: sampling rate of the samples, in Hz.
        Columns: start_s and end_s (float64, in s; the last window ends with the recording), then one for each class
        (float32, 0 to 1). The first call in a process takes seconds more, to load compiled code.
        Raises: ChorusError if the recording cannot be used, also if only a part of it cannot be read.
        """
        if isinstance(recording, str | Path):
            if rate_hz is not None:
                raise UsageError("rate_hz belongs to samples; a file states its own rate, so leave it out")
            return self._windows(Path(recording))
        samples = _checked(recording, rate_hz)
        with tempfile.TemporaryDirectory(prefix="dawn-chorus-") as folder:
            path = Path(folder) / "samples.wav"
            soundfile.write(path, samples, int(rate_hz or 0), format="RF64", subtype="FLOAT")
            return self._windows(path)

    def _windows(self, path: Path) -> pd.DataFrame:
        if not path.is_file():
            raise UsageError(f"{path} is no file; give the path of a recording on this machine, or samples and rate_hz")
        facts, size_bytes = probe(path), path.stat().st_size
        starts: list[NDArray[np.float64]] = [np.zeros(0)]
        scores: list[NDArray[np.float32]] = [np.zeros((0, len(self.labels)), np.float32)]
        for span in range(n_spans(facts.n_frames, facts.rate_hz, size_bytes, self._preset)):
            found = predict_span(path, span, self._pipeline, self._networks).scores
            starts.append(window_starts_s(found.numbers, span, self._preset, self._pipeline.step_samples))
            scores.append(found.scores)
        starts_s, duration_s = np.concatenate(starts), facts.n_frames / facts.rate_hz
        is_inside = starts_s < duration_s  # a decoder may find up to 0.1 s more than the header states
        starts_s = starts_s[is_inside]
        places = {"start_s": starts_s, "end_s": np.minimum(starts_s + self.window_s, duration_s)}
        return windows(places, np.concatenate(scores)[is_inside], self.labels)


def _checked(samples: ArrayLike, rate_hz: int | None) -> NDArray[np.floating]:
    if rate_hz is None or rate_hz < 1:
        raise UsageError(f"rate_hz is {rate_hz}; samples need their sampling rate in Hz")
    values = np.asarray(samples)
    if not np.issubdtype(values.dtype, np.floating):
        raise UsageError(
            f"the samples are of the type {values.dtype}; give floats with full scale 1, such as int16 divided by 32768"
        )
    if values.ndim not in (1, 2) or (values.ndim == 2 and values.shape[0] < values.shape[1]):
        raise UsageError(f"the samples have the shape {values.shape}; give (n,), or (n, channels) by transposing them")
    return values
