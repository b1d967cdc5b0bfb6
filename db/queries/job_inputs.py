"""What jobs read from the ledger: their run, the strips to pack, and the files of the jobs they need."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from db.engine import Database
from db.id_lists import is_one_of
from db.schema.tables import (
    IS_ITS_STRIP,
    JOB_FACTS,
    Artifact,
    Dataset,
    Item,
    Job,
    JobFile,
    Need,
    Pipeline,
    Recording,
    Run,
)
from domain.errors import Impossible, MachineFault
from domain.results import JobResult, OutputFile, from_json
from domain.states import OPEN, State
from domain.work import FinishedJob

PAGE = 2000


@dataclass(frozen=True)
class PlannedRun:
    """A run as it was planned, with one of its pipelines: the run's own unless another is asked for."""

    id: int
    kind: str
    state: str
    dataset: str
    layout: str
    pipeline_id: int
    pipeline_digest: str
    preset: dict[str, Any]
    labels: tuple[str, ...]
    options: dict[str, Any]
    split: dict[str, Any]
    facts: dict[str, Any]
    created_at: float
    finished_at: float | None


@dataclass(frozen=True)
class StripRow:
    """A strip to pack."""

    key: str
    sha256: str
    recording: str
    digest: str
    label: str
    group: str
    span: int
    copy: int
    size_bytes: int
    metadata: tuple[float | None, ...]
    """Latitude, longitude, month and hour."""


def run_facts(database: Database, run: int, pipeline: int | None = None) -> PlannedRun | None:
    """The run, or None if it does not exist. pipeline: the id of the pipeline to return; None for the run's own."""
    of_pipeline = Run.pipeline_id if pipeline is None else sa.literal(pipeline)
    query = (
        sa.select(
            Run.id, Run.kind, Run.state, Dataset.root, Dataset.layout, Pipeline.id, Pipeline.digest,
            Pipeline.parameters, Run.labels, Run.options, Run.split, Run.facts, Run.created_at, Run.finished_at,
        )
        .join(Dataset, Dataset.id == Run.dataset_id)
        .join(Pipeline, Pipeline.id == of_pipeline)
        .where(Run.id == run)
    )  # fmt: skip
    with database.read() as connection:
        row = connection.execute(query).one_or_none()
    if row is None:
        return None
    values = dict(zip(PlannedRun.__dataclass_fields__, row, strict=True))
    return PlannedRun(**{**values, "labels": tuple(values["labels"])})


def planned_run(database: Database, run: int, pipeline: int | None = None) -> PlannedRun:
    """As `run_facts`, for a run that a job's row refers to. Raises: Impossible if it does not exist."""
    facts = run_facts(database, run, pipeline)
    if facts is None:
        raise Impossible(f"run {run} is not in the ledger")
    return facts


def presets(database: Database, run: int) -> dict[str, dict[str, Any]]:
    """The parameters of the run's pipelines by name, its own first; a repeated name gets a number."""
    found: dict[str, dict[str, Any]] = {}
    for _, name, parameters in _pipelines(database, run):
        found[f"{name} ({len(found) + 1})" if name in found else name] = parameters
    return found


def pipelines(database: Database, run: int) -> list[tuple[str, dict[str, Any]]]:
    """Digest and parameters of the run's pipelines, its own first."""
    return [(digest, parameters) for digest, _, parameters in _pipelines(database, run)]


def _pipelines(database: Database, run: int) -> list[tuple[str, str, dict[str, Any]]]:
    of_jobs = sa.select(Job.pipeline_id).where(Job.run_id == run, Job.pipeline_id.is_not(None))
    own = sa.select(Run.pipeline_id).where(Run.id == run).scalar_subquery()
    query = (
        sa.select(Pipeline.digest, Pipeline.name, Pipeline.parameters)
        .where(sa.or_(Pipeline.id == own, Pipeline.id.in_(of_jobs)))
        .order_by(Pipeline.id != own, Pipeline.id)
    )
    with database.read() as connection:
        return [(digest, name, parameters) for digest, name, parameters in connection.execute(query)]


def strips(database: Database, run: int, pipeline: int, part: tuple[int, int] | None) -> Iterator[StripRow]:
    """The strips of one pipeline and one part (fold, subset) of the run, or of all parts, read a page at a time.

    They come in the packed order, which is drawn from the split's digest.
    """
    # Each page begins after the last row of the one before; OFFSET would read all earlier rows again.
    after = (-(2**63), 0)
    while True:
        page = _strip_page(database, _of_part(run, pipeline, part), after)
        yield from (row for _, row in page)
        if len(page) < PAGE:
            return
        after = page[-1][0]


def has_open_items(database: Database, run: int) -> bool:
    """Whether an item of the run is not final, as when its strip is made again."""
    query = sa.select(Item.id).where(Item.run_id == run, Item.state.in_(OPEN)).limit(1)
    with database.read() as connection:
        return connection.execute(query).first() is not None


def _of_part(run: int, pipeline: int, part: tuple[int, int] | None) -> list[sa.ColumnElement[bool]]:
    of_run = [Item.run_id == run, Item.pipeline_id == pipeline]
    return of_run if part is None else [*of_run, Item.fold == part[0], Item.subset == part[1]]


def _strip_page(
    database: Database, of_part: list[sa.ColumnElement[bool]], after: tuple[int, int]
) -> list[tuple[tuple[int, int], StripRow]]:
    query = (
        sa.select(
            Item.order_key, Item.id, Artifact.key, Artifact.sha256, Recording.uri, Recording.digest, Recording.label,
            Item.group_name, Item.span, Item.copy, Artifact.size_bytes,
            Recording.latitude, Recording.longitude, Recording.month, Recording.hour,
        )
        .join(Recording, Recording.id == Item.recording_id)
        .join(Artifact, IS_ITS_STRIP)
        .where(
            *of_part, Item.state == State.DONE,
            sa.tuple_(Item.order_key, Item.id) > after,
        )
        .order_by(Item.order_key, Item.id)
        .limit(PAGE)
    )  # fmt: skip
    with database.read() as connection:
        return [((row.order_key, row.id), _strip_row(row)) for row in connection.execute(query)]


def _strip_row(row: Any) -> StripRow:
    return StripRow(
        key=row.key, sha256=row.sha256, recording=row.uri, digest=row.digest, label=row.label, group=row.group_name,
        span=row.span, copy=row.copy, size_bytes=row.size_bytes,
        metadata=(row.latitude, row.longitude, row.month, row.hour),
    )  # fmt: skip


def results(database: Database, run: int) -> list[FinishedJob[JobResult]]:
    """The finished jobs of a run with their results and files, in the order of their ids."""
    query = sa.select(*_OF_FINISHED).where(Job.run_id == run, Job.state == State.DONE).order_by(Job.id)
    with database.read() as connection:
        return _finished(connection, connection.execute(query).all())


def needed_results(database: Database, job: int) -> list[FinishedJob[JobResult]]:
    """The jobs that this one needs, with their results and files.

    Raises: MachineFault if one of them is not done. This happens if a late message claims the job after what it needs
    was started again; the job waits until that is done.
    """
    query = sa.select(*_OF_FINISHED).join(Need, Need.needs_id == Job.id).where(Need.job_id == job).order_by(Job.id)
    with database.read() as connection:
        rows = connection.execute(query).all()
        for row in rows:
            if row.state != State.DONE:
                raise MachineFault(f"job {row.id}, which this one needs, is {row.state} and not yet done")
        return _finished(connection, rows)


def own_result(database: Database, job: int) -> FinishedJob[JobResult] | None:
    """The job with its result and files from when it was done before; None if it never was."""
    with database.read() as connection:
        found = _finished(connection, connection.execute(sa.select(*_OF_FINISHED).where(Job.id == job)).all())
        return found[0] if found else None


_OF_FILE = (JobFile.job_id, JobFile.key, JobFile.role, JobFile.size_bytes, JobFile.sha256)
_OF_FINISHED = (*JOB_FACTS, Job.state, Job.result)


def _finished(connection: Connection, rows: Sequence[sa.Row[Any]]) -> list[FinishedJob[JobResult]]:
    """The jobs that have a result. A job without one was never done."""
    files: dict[int, list[OutputFile]] = defaultdict(list)
    query = sa.select(*_OF_FILE).where(is_one_of(JobFile.job_id, [row.id for row in rows]))
    # One query for the files of all jobs, not one per job.
    for file in connection.execute(query.order_by(JobFile.job_id, JobFile.key)).all():
        files[file.job_id].append(_output_file(file))
    return [
        FinishedJob(
            id=row.id, kind=row.kind, model=row.model, seed=row.seed, fold=row.fold, subset=row.subset,
            pipeline_id=row.pipeline_id, variant=row.variant, result=result, files=tuple(files[row.id]),
        )
        for row in rows
        if (result := from_json(row.kind, row.result)) is not None
    ]  # fmt: skip


def output_files(database: Database, keys: Collection[str]) -> dict[str, OutputFile]:
    """The files with these keys that jobs of this ledger left, by key; if several jobs left one, the latest job's."""
    query = sa.select(*_OF_FILE).where(JobFile.key.in_(keys)).order_by(JobFile.job_id)
    with database.read() as connection:
        return {row.key: _output_file(row) for row in connection.execute(query).all()}


def _output_file(row: Any) -> OutputFile:
    return OutputFile(key=row.key, role=row.role, size_bytes=row.size_bytes, sha256=row.sha256)
