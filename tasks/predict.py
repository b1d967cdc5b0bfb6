"""The task `predict`: applies trained networks to recordings."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from celery import shared_task

from db.ledger.claims import ItemClaim, StripFacts
from domain.digests import content_digest
from domain.errors import MachineFault, Silent
from tasks.audio.strip import Strip, make_windows
from tasks.audio.window import window_phases
from tasks.model.inputs import RawBatch
from tasks.model.network import Network, parse_network
from tasks.model.prediction_pipeline import NetworkFile, PredictionPipeline
from tasks.model.span_scores import SpanScores
from tasks.preprocess import found_file
from tasks.runtime.sources import Sources
from tasks.runtime.task import LedgerTask, StripFile, own_store


@shared_task(name="predict", base=LedgerTask, bind=True)
def predict(self: LedgerTask, message: dict[str, Any]) -> None:
    """Make the scores of the items in a message.

    Reads: the items named in the message, and the networks of their pipeline from the store. Writes: one file of scores
    per span, then its item row.
    Idempotent: the scores follow from the recording, the preset and the networks.
    Retries if the machine is at fault (store, database, disk), never if the recording is.
    """
    self.carry_out_items(message, scores_file)


def scores_file(claim: ItemClaim, sources: Sources) -> StripFile:
    """Make the scores of the claimed span, as a file for the store. A silent span has no scores.

    Raises: Unusable if the recording is at fault; MachineFault or OSError if the machine is.
    """
    pipeline = PredictionPipeline.from_json(claim.pipeline)
    networks = _networks(pipeline.networks)
    with sources.reading(claim) as recording:
        found = found_file(recording, claim, pipeline.preset) if claim.is_on_trust and claim.span == 0 else None
        digest = found.digest if found else claim.digest
        try:
            strip = make_windows(recording.place, digest, claim.span, pipeline.preset, pipeline.step_samples)
        except Silent:
            strip = None
    scores = _scores(strip, networks, pipeline)
    data = scores.to_bytes()
    sha256 = content_digest(data)
    key = f"scores/{pipeline.digest[:16]}/{digest[:2]}/{digest}-{claim.span}-{sha256[:16]}.npz"
    notes = strip.notes if strip else {}
    return StripFile(StripFacts(key, len(data), sha256, len(scores.numbers), notes, found), data)


def _scores(strip: Strip | None, networks: list[Network], pipeline: PredictionPipeline) -> SpanScores:
    """The mean of the networks' probabilities, added in their order, so that it is the same everywhere.

    Windows of one phase, which do not overlap, are one batch: memory is that of a prediction without overlap. If all
    chunks are windows, they are the same batch as without overlap, whose size may change the last bit of a score.
    """
    numbers = np.asarray(strip.numbers if strip else (), np.int32)
    scores = np.empty((len(numbers), len(networks[0].facts.labels)), np.float32)
    if strip is not None:
        phases = window_phases(numbers, strip.span, pipeline.preset, pipeline.step_samples)
        for phase in np.unique(phases):
            rows = np.flatnonzero(phases == phase)
            raw = RawBatch(strip.spectrograms[rows], strip.features[rows])
            scores[rows] = np.mean(np.stack([network.predict(raw) for network in networks]), axis=0, dtype=np.float64)
    return SpanScores(numbers, scores)


@lru_cache(maxsize=2)
def _networks(files: tuple[NetworkFile, ...]) -> list[Network]:
    """The networks of a pipeline, read once in this process.

    Raises: MachineFault if the store does not hold one; Damaged if one is not what was written.
    """
    return [_network(file) for file in files]


def _network(file: NetworkFile) -> Network:
    try:
        return parse_network(own_store().get(file.key, file.sha256))
    except FileNotFoundError as error:
        raise MachineFault(
            f"{file.key} is not in the store; `orchestrator doctor --repair` and then `orchestrator retry` of the run "
            "that trained it make it again"
        ) from error
