"""The networks of a prediction: read from the store, and the mean of their scores."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from domain.errors import Silent
from domain.notes import Notes
from tasks.audio.source import Place
from tasks.audio.strip import Strip, make_windows
from tasks.audio.window import window_phases
from tasks.model.inputs import RawBatch
from tasks.model.network import Network, parse_network
from tasks.model.prediction_pipeline import NetworkFile, PredictionPipeline, network_content
from tasks.model.span_scores import SpanScores


def stored_networks(get: Callable[[str, str], bytes], files: Iterable[NetworkFile]) -> list[Network]:
    """Return the networks of these files.

    get: returns the verified bytes of a file of the store, given its key and SHA-256.
    Raises: MachineFault if the store does not hold a file; Damaged if one is not what was written.
    """
    return [parse_network(network_content(get, file)) for file in files]


class PredictedSpan(NamedTuple):
    """The scores of a span's windows, and what was unusual about it; see `domain.notes`."""

    scores: SpanScores
    notes: Notes


def predict_span(place: Place, span: int, pipeline: PredictionPipeline, networks: Sequence[Network]) -> PredictedSpan:
    """Decode a span, and return the mean of the networks' probabilities for each window that holds sound.

    networks: of the pipeline.  Features are computed only if a network reads them.
    Raises: Unusable if the recording is at fault; MachineFault, OSError or MemoryError if the machine is.
    """
    reads_features = any("features" in network.facts.inputs for network in networks)
    try:
        strip = make_windows(place, span, pipeline.preset, pipeline.step_samples, with_features=reads_features)
    except Silent:
        n_classes = len(networks[0].facts.labels)
        return PredictedSpan(SpanScores(np.zeros(0, np.int32), np.zeros((0, n_classes), np.float32)), {})
    return PredictedSpan(_mean_scores(strip, networks, pipeline), strip.notes)


def _mean_scores(strip: Strip, networks: Sequence[Network], pipeline: PredictionPipeline) -> SpanScores:
    """The networks are added in their order, so that the mean is the same everywhere.

    Windows of one phase, which do not overlap, are one batch: memory is that of a prediction without overlap. If all
    chunks are windows, they are the same batch as without overlap, whose size may change the last bit of a score.
    """
    numbers = np.asarray(strip.numbers, np.int32)
    scores = np.empty((len(numbers), len(networks[0].facts.labels)), np.float32)
    phases = window_phases(numbers, strip.span, pipeline.preset, pipeline.step_samples)
    for phase in np.unique(phases):
        rows = np.flatnonzero(phases == phase)
        raw = RawBatch(strip.spectrograms[rows], strip.features[rows])
        scores[rows] = np.mean(np.stack([network.predict(raw) for network in networks]), axis=0, dtype=np.float64)
    return SpanScores(numbers, scores)
