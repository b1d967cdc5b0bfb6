"""The task `predict`: applies trained networks to recordings."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

from celery import shared_task

from db.ledger.claims import ItemClaim, StripFacts
from domain.digests import content_digest
from tasks.audio.containers.header_texts import header_texts
from tasks.dataset.recorders.clocks import clock_texts
from tasks.model.ensemble import predict_span, stored_networks
from tasks.model.network import Network
from tasks.model.prediction_pipeline import NetworkFile, PredictionPipeline
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

    With them goes what the recording's header says about the time: tables may be written where the recording cannot be
    read, and any span may be the only one with scores.

    Raises: Unusable if the recording is at fault; MachineFault or OSError if the machine is.
    """
    pipeline = PredictionPipeline.from_json(claim.pipeline)
    networks = _networks(pipeline.networks)
    with sources.reading(claim) as recording:
        found = found_file(recording, claim, pipeline.preset) if claim.is_on_trust and claim.span == 0 else None
        digest = found.digest if found else claim.digest
        scores, notes = predict_span(recording.place, claim.span, pipeline, networks)
        header = clock_texts(header_texts(recording.place))
    scores = replace(scores, header=header)
    data = scores.to_bytes()
    sha256 = content_digest(data)
    key = f"scores/{pipeline.digest[:16]}/{digest[:2]}/{digest}-{claim.span}-{sha256[:16]}.npz"
    return StripFile(StripFacts(key, len(data), sha256, len(scores.numbers), notes, found), data)


@lru_cache(maxsize=2)
def _networks(files: tuple[NetworkFile, ...]) -> list[Network]:
    """The networks of a pipeline, read once in this process. Raises: as `stored_networks`."""
    return stored_networks(own_store().get, files)
