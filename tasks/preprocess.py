"""Recordings to strips."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from celery import shared_task

from db.discovery import FoundFile
from db.ledger import ItemClaim, StripFacts
from db.store import Store
from tasks.audio.chunk import n_spans
from tasks.audio.preset import Preset
from tasks.audio.recording import probe
from tasks.audio.strip import encode, make_strip
from tasks.dataset.manifest import file_digest
from tasks.failures import Changed, MachineFault, Missing, Outside
from tasks.stage import Stage


@shared_task(name="preprocess", base=Stage, bind=True)
def preprocess(self: Stage, message: dict[str, Any]) -> None:
    """Recordings to strips.

    Reads: the items named in the message. Writes: one strip a span, then its item row.
    Safe to repeat because a strip's bytes and name follow from the recording and the pipeline alone.
    Retries when the machine is at fault (store, database, disk), never when the recording is.
    """
    self.carry_out_items(message, strip_in_store)


def strip_in_store(claim: ItemClaim, store: Store) -> StripFacts:
    """Makes the claimed span's strip and puts it into the store.

    Raises Unusable when the recording is at fault, OSError when the machine is.
    """
    preset = Preset.from_dict(claim.pipeline)
    path, before = _as_planned(claim)
    with _still_the_same(path, before):
        found = _found(path, claim, preset) if claim.is_on_trust and claim.span == 0 else None
        digest = found.digest if found else claim.digest
        strip = make_strip(path, digest, claim.span, claim.copy, preset)
    data = encode(strip)
    key = strip_key(preset.digest, digest, claim.span, claim.copy)
    store.put(key, data)
    return StripFacts(key, len(data), hashlib.sha256(data).hexdigest(), len(strip.spectrograms), found)


def strip_key(pipeline_digest: str, recording_digest: str, span: int, copy: int) -> str:
    """Where a strip stands in the store: named by what it is made from, not by what came out."""
    return f"strips/{pipeline_digest[:16]}/{recording_digest[:2]}/{recording_digest}-{span}-{copy}.png"


def _found(path: Path, claim: ItemClaim, preset: Preset) -> FoundFile:
    """What planning finds out about a file, where a csv was trusted instead. Raises Unusable."""
    if not path.resolve().is_relative_to(Path(claim.root).resolve()):
        raise Outside(f"{claim.uri} is a link to another place")
    stat, facts = path.stat(), probe(path)
    spans = n_spans(facts.n_frames, facts.rate_hz, stat.st_size, preset)
    digest = claim.digest or file_digest(path)
    return FoundFile(digest, stat.st_size, stat.st_mtime_ns, facts.n_frames, facts.rate_hz, spans)


def _as_planned(claim: ItemClaim) -> tuple[Path, os.stat_result]:
    """The recording's path, and its size and time before anything was read.

    Raises Missing when it is gone, Changed when its bytes are others by now; MachineFault when the whole dataset is
    not there, for then a disk is not mounted and no recording is to blame.
    """
    path = Path(claim.root, claim.uri)
    try:
        found = path.stat()
    except FileNotFoundError as error:
        if not _holds_anything(Path(claim.root)):
            raise MachineFault(
                f"the dataset {claim.root} is not there; is its disk mounted on this machine?"
            ) from error
        raise Missing(f"{claim.uri} was planned, and is not there") from error
    if not claim.digest or (found.st_size, found.st_mtime_ns) == (claim.size_bytes, claim.mtime_ns):
        return path, found
    digest = file_digest(path)
    if digest != claim.digest:
        raise Changed(f"{claim.uri} had {claim.size_bytes} bytes and has {found.st_size}; plan it again")
    return path, found


@contextlib.contextmanager
def _still_the_same(path: Path, before: os.stat_result) -> Iterator[None]:
    """Nothing made of a file counts if somebody wrote it meanwhile, nor is what went wrong with it the recording's.

    Raises Changed when size or time are others at the end than they were before, Missing when it is gone by then.
    """
    try:
        yield
    finally:
        try:
            after = path.stat()
        except FileNotFoundError as error:
            raise Missing(f"{path.name} went away while it was read") from error
        if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
            raise Changed(
                f"{path.name} was written while it was read: {before.st_size} bytes before, {after.st_size} after"
            )


def _holds_anything(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())  # a mount point without its disk is an empty folder
