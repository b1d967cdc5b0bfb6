"""What jobs read from the ledger: their run, the strips to pack, and what the jobs before them left."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from db.engine import Database
from db.schema.tables import IS_ITS_STRIP, Artifact, Dataset, Item, Job, Need, Pipeline, Recording, Run
from domain.errors import MachineFault
from domain.states import State

PAGE = 2000


@dataclass(frozen=True)
class RunFacts:
    """A run as it was planned, and one of its pipelines: its own, unless another was asked for."""

    id: int
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


@dataclass(frozen=True)
class JobResult:
    """What a finished job left."""

    id: int
    kind: str
    model: str | None
    seed: int | None
    fold: int | None
    side: int | None
    variant: str | None
    result: dict[str, Any]


def run_facts(database: Database, run: int, pipeline: int | None = None) -> RunFacts | None:
    """The run, or None where there is no such run; pipeline: whose facts it holds, None for the run's own."""
    of_pipeline = Run.pipeline_id if pipeline is None else sa.literal(pipeline)
    query = (
        sa.select(
            Run.id, Run.state, Dataset.root, Dataset.layout, Pipeline.id, Pipeline.digest, Pipeline.parameters,
            Run.labels, Run.options, Run.split, Run.facts, Run.created_at, Run.finished_at,
        )
        .join(Dataset, Dataset.id == Run.dataset_id)
        .join(Pipeline, Pipeline.id == of_pipeline)
        .where(Run.id == run)
    )  # fmt: skip
    with database.read() as connection:
        row = connection.execute(query).one_or_none()
    if row is None:
        return None
    values = dict(zip(RunFacts.__dataclass_fields__, row, strict=True))
    return RunFacts(**{**values, "labels": tuple(values["labels"])})


def presets(database: Database, run: int) -> dict[str, dict[str, Any]]:
    """The parameters of every pipeline of the run, by name, its own first; names that two have get a number."""
    of_jobs = sa.select(Job.pipeline_id).where(Job.run_id == run, Job.pipeline_id.is_not(None))
    own = sa.select(Run.pipeline_id).where(Run.id == run).scalar_subquery()
    query = (
        sa.select(Pipeline.name, Pipeline.parameters)
        .where(sa.or_(Pipeline.id == own, Pipeline.id.in_(of_jobs)))
        .order_by(Pipeline.id != own, Pipeline.id)
    )
    found: dict[str, dict[str, Any]] = {}
    with database.read() as connection:
        for name, parameters in connection.execute(query):
            found[f"{name} ({len(found) + 1})" if name in found else name] = parameters
    return found


def strips(database: Database, run: int, pipeline: int, part: tuple[int, int] | None) -> Iterator[StripRow]:
    """The strips of one pipeline and one part (fold, side) of the run, or of all parts, a page at a time.

    They come in the order drawn from the split's digest.
    """
    after = (-(2**63), 0)
    while True:
        page = _strip_page(database, _of_part(run, pipeline, part), after)
        yield from (row for _, row in page)
        if len(page) < PAGE:
            return
        after = page[-1][0]


def _of_part(run: int, pipeline: int, part: tuple[int, int] | None) -> list[sa.ColumnElement[bool]]:
    of_run = [Item.run_id == run, Item.pipeline_id == pipeline]
    return of_run if part is None else [*of_run, Item.fold == part[0], Item.side == part[1]]


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
        return [_with_place(*row) for row in connection.execute(query)]


def _with_place(order_key: int, item: int, *facts: Any) -> tuple[tuple[int, int], StripRow]:
    values = (*facts[:-4], facts[-4:])
    return (order_key, item), StripRow(*values)


def results(database: Database, run: int) -> list[JobResult]:
    """What the finished jobs of a run left, in the order of their ids."""
    columns = (Job.id, Job.kind, Job.model, Job.seed, Job.fold, Job.side, Job.variant, Job.result)
    query = sa.select(*columns).where(Job.run_id == run, Job.state == State.DONE).order_by(Job.id)
    with database.read() as connection:
        return [JobResult(*row) for row in connection.execute(query)]


def needed_results(database: Database, job: int) -> list[JobResult]:
    """What the jobs left that this one needs.

    Raises MachineFault while one of them is not done. Such a job was claimed through a late message, after what it
    needs was started again; it waits until that is done.
    """
    columns = (Job.id, Job.kind, Job.model, Job.seed, Job.fold, Job.side, Job.variant, Job.result)
    query = sa.select(Job.state, *columns).join(Need, Need.needs_id == Job.id).where(Need.job_id == job)
    with database.read() as connection:
        rows = connection.execute(query.order_by(Job.id)).all()
    for state, needed, *_ in rows:
        if state != State.DONE:
            raise MachineFault(f"job {needed}, which this one needs, is {state} and not yet done")
    return [JobResult(*row[1:]) for row in rows]


def own_result(database: Database, job: int) -> dict[str, Any]:
    """What the job left when it was done before; empty where it never was."""
    with database.read() as connection:
        left: dict[str, Any] = connection.execute(sa.select(Job.result).where(Job.id == job)).scalar_one()
        return left
