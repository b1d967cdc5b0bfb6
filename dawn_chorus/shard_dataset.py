"""The shards of a run as a pyarrow dataset."""

from __future__ import annotations

import json
import weakref
from collections.abc import Sequence
from contextlib import ExitStack

import pyarrow as pa
import pyarrow.dataset as ds
from pyarrow.fs import LocalFileSystem

from db.queries.job_inputs import planned_run, results
from db.store.interface import OpenLocalFile
from domain.errors import MachineFault, UsageError
from domain.results import PackResult
from domain.states import Kind, State
from domain.stored_file import StoredFile
from domain.subsets import Subset
from domain.work import FinishedJob, with_result
from orchestrator.progress import Snapshot, fold_number
from orchestrator.session import Session
from tasks.dataset.shards.footer import FACTS_KEY

SUBSETS = {Subset.TRAIN: "train", Subset.VALID: "validation", Subset.TEST: "test"}
"""The words of tables for people."""


def shard_dataset(session: Session, seen: Snapshot, preset: str | None) -> ds.Dataset:
    """Return the shards of one preset; fold and subset of each file are columns.

    Local copies of files on S3 stay as long as the dataset.
    Raises: UsageError if shards are missing or the preset is not one of the run's; MachineFault if a file is gone;
    Damaged if one is not what was written.
    """
    jobs = _of_preset(session, seen.run.id, _packed(session, seen), preset)
    with ExitStack() as stack:
        local_file = stack.enter_context(session.store.local_files())
        fragments = []
        for job in jobs:
            for shard in job.shards:
                file = whole_file(local_file, shard.key, shard.sha256, seen.run.id)
                fragments.append(_FORMAT.make_fragment(str(file.path), _DISK, partition_expression=_part(job)))
        dataset = ds.FileSystemDataset(fragments, _schema(fragments), _FORMAT, _DISK)
        weakref.finalize(dataset, stack.pop_all().close)
    return dataset


def whole_file(local_file: OpenLocalFile, key: str, sha256: str | None, run: int) -> StoredFile:
    """Return a file of the store after its bytes were compared with the recorded digest.

    Raises: MachineFault if it is gone; Damaged if it is not what was written.
    """
    try:
        file = local_file(key, sha256)
        file.require_whole()
    except FileNotFoundError as error:
        raise MachineFault(
            f"{key} is not in the store; `orchestrator doctor --repair` and then `orchestrator retry {run}` make it "
            "again"
        ) from error
    return file


_FORMAT, _DISK = ds.ParquetFileFormat(), LocalFileSystem()
_PART = pa.schema([("fold", pa.int32()), ("subset", pa.string())])


def _schema(fragments: Sequence[ds.Fragment]) -> pa.Schema:
    """The columns of all shards; those of earlier versions lack some. The metadata holds the spectrograms' shape."""
    schemas = [fragment.physical_schema for fragment in fragments]
    shapes = {str(facts["shape"]) for each in schemas if (facts := json.loads(each.metadata[FACTS_KEY]))}
    found = pa.unify_schemas([_PART, *(each.remove_metadata() for each in schemas)])
    return found.with_metadata({"shape": shapes.pop()}) if shapes else found


def _part(job: FinishedJob[PackResult]) -> ds.Expression:
    fold = pa.scalar(fold_number(job.fold), pa.int32())
    is_fold = ds.field("fold").is_null() if fold.as_py() is None else ds.field("fold") == fold
    return is_fold & (ds.field("subset") == SUBSETS[Subset(job.subset or 0)])


def _packed(session: Session, seen: Snapshot) -> list[FinishedJob[PackResult]]:
    """The finished pack jobs. Raises: UsageError unless all are finished."""
    planned = [job for job in seen.jobs if job.kind == Kind.PACK]
    n_done = sum(job.state == State.DONE for job in planned)
    if n_done < len(planned) or not planned:
        raise UsageError(
            f"run {seen.run.id} is {seen.run.state} and has packed {n_done} of {len(planned)} parts of its examples; "
            f"`orchestrator status {seen.run.id}` shows how far it is"
        )
    return with_result(results(session.database, seen.run.id), PackResult)


def _of_preset(
    session: Session, run: int, jobs: Sequence[FinishedJob[PackResult]], wanted: str | None
) -> list[FinishedJob[PackResult]]:
    """The pack jobs of one preset; a repeated name gets a number. Raises: UsageError if there is no such preset."""
    by_pipeline: dict[int, list[FinishedJob[PackResult]]] = {}
    names: dict[int, str] = {}
    for job in jobs:
        planned = planned_run(session.database, run, job.pipeline_id)
        by_pipeline.setdefault(planned.pipeline_id, []).append(job)
        names[planned.pipeline_id] = str(planned.preset["name"])
    by_name: dict[str, list[FinishedJob[PackResult]]] = {}
    for pipeline, of_pipeline in by_pipeline.items():
        name = names[pipeline]
        by_name[f"{name} ({len(by_name) + 1})" if name in by_name else name] = of_pipeline
    if wanted is None and len(by_name) == 1:
        return next(iter(by_name.values()))
    if wanted not in by_name:
        asked = "has several presets" if wanted is None else f"has no shards of the preset {wanted!r:.60}"
        raise UsageError(f"run {run} {asked}; choose one with preset=: {', '.join(by_name)}")
    return by_name[wanted]
