"""The networks of a prediction: read from the store, and the mean of their scores."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from tasks.audio.strip import Strip
from tasks.model.inputs import RawBatch
from tasks.model.network import Network, parse_network
from tasks.model.prediction_pipeline import NetworkFile, network_content
from tasks.model.span_scores import SpanScores


def stored_networks(get: Callable[[str, str], bytes], files: Iterable[NetworkFile]) -> list[Network]:
    """Return the networks of these files.

    get: returns the verified bytes of a file of the store, given its key and SHA-256.
    Raises: MachineFault if the store does not hold a file; Damaged if one is not what was written.
    """
    return [parse_network(network_content(get, file)) for file in files]


def mean_scores(strip: Strip | None, networks: Sequence[Network]) -> SpanScores:
    """Return the mean of the networks' probabilities for each chunk of a strip.

    strip: None if the whole span is silent; it has no scores.
    The networks are added in their order, so that the mean is the same everywhere.
    """
    if strip is None:
        return SpanScores(np.zeros(0, np.int32), np.zeros((0, len(networks[0].facts.labels)), np.float32))
    raw = RawBatch(strip.spectrograms, strip.features)
    scores = np.mean(np.stack([network.predict(raw) for network in networks]), axis=0, dtype=np.float64)
    return SpanScores(np.asarray(strip.numbers, np.int32), np.asarray(scores, np.float32))
