"""The task `predict`: applies trained networks to recordings."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from celery import shared_task

from db.ledger.claims import ItemClaim, StripFacts
from domain.digests import content_digest
from domain.errors import MachineFault, Silent
from tasks.audio.containers.header_texts import NO_TEXTS, header_texts
from tasks.audio.strip import Strip, make_strip
from tasks.dataset.recorders.clocks import clock_texts
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

    With the first span goes what the recording's header says about the time: tables may be written where the recording
    cannot be read.

    Raises: Unusable if the recording is at fault; MachineFault or OSError if the machine is.
    """
    pipeline = PredictionPipeline.from_json(claim.pipeline)
    networks = _networks(pipeline.networks)
    with sources.reading(claim) as recording:
        found = found_file(recording, claim, pipeline.preset) if claim.is_on_trust and claim.span == 0 else None
        digest = found.digest if found else claim.digest
        try:
            strip = make_strip(recording.place, digest, claim.span, 0, pipeline.preset)
        except Silent:
            strip = None
        header = clock_texts(header_texts(recording.place)) if claim.span == 0 else NO_TEXTS
    scores = replace(_scores(strip, networks), header=header)
    data = scores.to_bytes()
    sha256 = content_digest(data)
    key = f"scores/{pipeline.digest[:16]}/{digest[:2]}/{digest}-{claim.span}-{sha256[:16]}.npz"
    notes = strip.notes if strip else {}
    return StripFile(StripFacts(key, len(data), sha256, len(scores.numbers), notes, found), data)


def _scores(strip: Strip | None, networks: list[Network]) -> SpanScores:
    """The mean of the networks' probabilities, added in their order, so that it is the same everywhere."""
    if strip is None:
        return SpanScores(np.zeros(0, np.int32), np.zeros((0, len(networks[0].facts.labels)), np.float32))
    raw = RawBatch(strip.spectrograms, strip.features)
    scores = np.mean(np.stack([network.predict(raw) for network in networks]), axis=0, dtype=np.float64)
    return SpanScores(np.asarray(strip.numbers, np.int32), np.asarray(scores, np.float32))


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
