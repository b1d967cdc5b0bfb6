"""The task `preprocess`: makes strips of recordings."""

from __future__ import annotations

from typing import Any

from celery import shared_task

from db.ledger.claims import ItemClaim, StripFacts
from db.ledger.discovery import FoundFile
from domain.digests import content_digest
from tasks.audio.chunk import n_spans
from tasks.audio.preset import Preset
from tasks.audio.recording import probe
from tasks.audio.strip import encode, make_strip
from tasks.dataset.manifest import file_digest
from tasks.runtime.sources import Opened, Sources
from tasks.runtime.task import LedgerTask, StripFile


@shared_task(name="preprocess", base=LedgerTask, bind=True)
def preprocess(self: LedgerTask, message: dict[str, Any]) -> None:
    """Make the strips of the items in a message.

    Reads: the items named in the message. Writes: one strip per span, then its item row.
    Idempotent: a strip's bytes follow from the recording and the pipeline, and its name from both and from the bytes.
    Retries if the machine is at fault (store, database, disk), never if the recording is.
    """
    self.carry_out_items(message, strip_file)


def strip_file(claim: ItemClaim, sources: Sources) -> StripFile:
    """Make the strip of the claimed span, as a file for the store.

    Raises: Unusable if the recording is at fault; MachineFault or OSError if the machine is.
    """
    preset = Preset.from_json(claim.pipeline)
    with sources.reading(claim) as recording:
        found = found_file(recording, claim, preset) if claim.is_on_trust and claim.span == 0 else None
        digest = found.digest if found else claim.digest
        strip = make_strip(recording.place, digest, claim.span, claim.copy, preset)
    data = encode(strip)
    sha256 = content_digest(data)
    key = strip_key(preset.digest, digest, claim.span, claim.copy, sha256)
    return StripFile(StripFacts(key, len(data), sha256, len(strip.spectrograms), strip.notes, found), data)


def strip_key(pipeline_digest: str, recording_digest: str, span: int, copy: int, sha256: str) -> str:
    """Return a strip's key in the store, which depends on the strip's inputs and on its bytes.

    sha256: of the strip's bytes, in hex.
    Another processor family may round the last bit of a value differently. The key then differs too, so that a late
    worker, or a worker of another ledger, never overwrites the file that a row refers to.
    """
    made_from = f"{recording_digest}-{span}-{copy}"
    return f"strips/{pipeline_digest[:16]}/{recording_digest[:2]}/{made_from}-{sha256[:16]}.png"


def found_file(recording: Opened, claim: ItemClaim, preset: Preset) -> FoundFile:
    """Return the facts that planning did not read because the csv was trusted. Raises Unusable."""
    facts = probe(recording.place)
    spans = n_spans(facts.n_frames, facts.rate_hz, recording.stamp.size_bytes, preset)
    digest = claim.digest or file_digest(recording.place)
    return FoundFile(digest, *recording.stamp, facts.n_frames, facts.rate_hz, spans)
