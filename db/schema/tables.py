"""The tables as SQLAlchemy classes, with the indexes that the frequent queries need.

Times are seconds since 1970 by the database's clock. Digests are SHA-256 in hex.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from domain.states import RunKind, RunState, State

_Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")  # SQLite numbers only INTEGER PRIMARY KEY automatically
_Digest = sa.String(64)
_Json = sa.JSON()


class Table(DeclarativeBase):
    """Base of the table classes; a test compares its metadata with the migrations."""

    type_annotation_map = {dict[str, Any]: _Json, list[Any]: _Json, float: sa.Double()}  # noqa: RUF012
    metadata = sa.MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


def _id() -> Mapped[int]:
    return mapped_column(_Id, primary_key=True, autoincrement=True)


def _refers(column: str, *, cascade: bool = False) -> sa.ForeignKey:
    return sa.ForeignKey(column, ondelete="CASCADE" if cascade else None)


class LedgerIdentity(Table):
    """The ledger's one row about itself."""

    __tablename__ = "ledger"
    id: Mapped[str] = mapped_column(sa.String(32), primary_key=True)
    """Random; names the ledger's marker in its store."""
    place: Mapped[str] = mapped_column(sa.Text)
    """The database that holds it. In a copy it differs, so the copy gets another id."""
    store: Mapped[str | None] = mapped_column(sa.Text)
    """The store that holds the marker; NULL before the first file."""


class Dataset(Table):
    """A folder, bucket or csv with recordings."""

    __tablename__ = "dataset"
    id: Mapped[int] = _id()
    root: Mapped[str] = mapped_column(sa.Text, unique=True)
    layout: Mapped[str] = mapped_column(sa.String(60))


class Recording(Table):
    """One audio file as one plan found it. A changed label or other bytes make a new row."""

    __tablename__ = "recording"
    id: Mapped[int] = _id()
    dataset_id: Mapped[int] = mapped_column(_Id, _refers("dataset.id"))
    uri: Mapped[str] = mapped_column(sa.Text)
    label: Mapped[str] = mapped_column(sa.Text)
    author: Mapped[str | None] = mapped_column(sa.Text)
    group_name: Mapped[str | None] = mapped_column(sa.Text)
    official_fold: Mapped[int | None] = mapped_column(sa.Integer)
    official_split: Mapped[str | None] = mapped_column(sa.String(20))
    size_bytes: Mapped[int] = mapped_column(sa.BigInteger)
    mtime_ns: Mapped[int] = mapped_column(sa.BigInteger)
    digest: Mapped[str] = mapped_column(_Digest)
    n_frames: Mapped[int] = mapped_column(sa.BigInteger)
    rate_hz: Mapped[int] = mapped_column(sa.Integer)
    is_on_trust: Mapped[bool] = mapped_column(sa.Boolean, default=False, server_default=sa.false())
    """Planned without reading the file; the first worker that reads it fills in digest, size, time and length."""
    latitude: Mapped[float | None]
    longitude: Mapped[float | None]
    month: Mapped[int | None] = mapped_column(sa.SmallInteger)
    hour: Mapped[float | None]
    """Place and time of the recording, if the dataset has them."""
    facts_digest: Mapped[str] = mapped_column(sa.String(32))
    """Digest of the columns above as planned: the same file with the same facts has one row."""
    __table_args__ = (
        sa.UniqueConstraint("dataset_id", "uri", "facts_digest"),
        sa.Index(None, "digest"),
    )


class Pipeline(Table):
    """A frozen preset; for predictions with the networks that are applied to its spectrograms."""

    __tablename__ = "pipeline"
    id: Mapped[int] = _id()
    digest: Mapped[str] = mapped_column(_Digest, unique=True)
    name: Mapped[str] = mapped_column(sa.String(60))
    parameters: Mapped[dict[str, Any]]


class Run(Table):
    """One submission."""

    __tablename__ = "run"
    id: Mapped[int] = _id()
    dataset_id: Mapped[int] = mapped_column(_Id, _refers("dataset.id"))
    pipeline_id: Mapped[int] = mapped_column(_Id, _refers("pipeline.id"))
    kind: Mapped[str] = mapped_column(sa.String(12), default=RunKind.TRAIN, server_default=RunKind.TRAIN)
    """One of `domain.states.RunKind`."""
    state: Mapped[str] = mapped_column(sa.String(12), default=RunState.PLANNING)
    labels: Mapped[list[Any]] = mapped_column(default=list)
    options: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """What the user asked for: models, folds, seeds, until."""
    split: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """How the subsets were made: digest, method, seed, notes, leaks, counts."""
    facts: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """Versions and the dataset's counts, as planned."""
    created_at: Mapped[float]
    finished_at: Mapped[float | None]


class BadRow(Table):
    """A row of the dataset that names no usable recording, with its line."""

    __tablename__ = "bad_row"
    id: Mapped[int] = _id()
    run_id: Mapped[int] = mapped_column(_Id, _refers("run.id", cascade=True), index=True)
    line: Mapped[int] = mapped_column(sa.Integer)
    uri: Mapped[str] = mapped_column(sa.Text)
    reason: Mapped[str] = mapped_column(sa.Text)
    reason_code: Mapped[str | None] = mapped_column(sa.String(40))
    """One of `domain.reasons`; the sentence beside it is for people."""
    is_duplicate: Mapped[bool] = mapped_column(sa.Boolean, default=False)
    """The path is in an earlier row: its recording is used from there."""


class Claimable:
    """Columns that items and jobs share: the state machine and the claim."""

    state: Mapped[str] = mapped_column(sa.String(12), default=State.WAITING)
    attempts: Mapped[int] = mapped_column(sa.Integer, default=0)
    crashes: Mapped[int] = mapped_column(sa.Integer, default=0)
    lost_claims: Mapped[int] = mapped_column(sa.Integer, default=0)
    faults: Mapped[int] = mapped_column(sa.Integer, default=0)
    fence: Mapped[int] = mapped_column(sa.Integer, default=0)
    lease_until: Mapped[float | None]
    retry_at: Mapped[float | None]
    sent_at: Mapped[float | None]
    started_at: Mapped[float | None]
    finished_at: Mapped[float | None]
    worker: Mapped[str | None] = mapped_column(sa.Text)
    process: Mapped[int | None] = mapped_column(sa.Integer)
    """Id of the worker's child process that claimed it; if that child dies, only its claims are lost."""
    reason: Mapped[str | None] = mapped_column(sa.Text)
    reason_code: Mapped[str | None] = mapped_column(sa.String(40))
    """One of `domain.reasons`; the sentence beside it is for people."""


class Item(Claimable, Table):
    """A unit of preprocessing or prediction: one span of one recording, one copy."""

    __tablename__ = "item"
    id: Mapped[int] = _id()
    run_id: Mapped[int] = mapped_column(_Id, _refers("run.id", cascade=True))
    recording_id: Mapped[int] = mapped_column(_Id, _refers("recording.id"), index=True)
    pipeline_id: Mapped[int] = mapped_column(_Id, _refers("pipeline.id"))
    span: Mapped[int] = mapped_column(sa.Integer)
    copy: Mapped[int] = mapped_column(sa.Integer)
    fold: Mapped[int] = mapped_column(sa.SmallInteger)
    subset: Mapped[int] = mapped_column(sa.SmallInteger)
    group_name: Mapped[str] = mapped_column(sa.Text)
    """Items of one group stay in one subset; exact copies of a recording are in one group."""
    order_key: Mapped[int] = mapped_column(sa.BigInteger)
    work_s: Mapped[float]
    """Estimated seconds on one core; decides how many items share a message."""
    worked_s: Mapped[float | None]
    """Seconds that the last attempt took, without the other items of its message."""
    is_alone: Mapped[bool] = mapped_column(sa.Boolean, default=False)
    """Sent in a message of its own, because a process died or hung on a message that held several items."""
    __table_args__ = (
        sa.UniqueConstraint("run_id", "recording_id", "pipeline_id", "span", "copy"),
        sa.Index(None, "run_id", "state", "id"),
        sa.Index(None, "run_id", "pipeline_id", "fold", "subset", "order_key"),
        sa.Index(
            "ix_item_lease",
            "lease_until",
            sqlite_where=sa.text("state = 'running'"),
            postgresql_where=sa.text("state = 'running'"),
        ),
    )


class Artifact(Table):
    """A strip, or the scores of a span, in the store; identified by the input that it was made from."""

    __tablename__ = "artifact"
    id: Mapped[int] = _id()
    recording_digest: Mapped[str] = mapped_column(_Digest)
    span: Mapped[int] = mapped_column(sa.Integer)
    pipeline_id: Mapped[int] = mapped_column(_Id, _refers("pipeline.id"))
    copy: Mapped[int] = mapped_column(sa.Integer)
    key: Mapped[str] = mapped_column(sa.Text)
    size_bytes: Mapped[int] = mapped_column(sa.BigInteger)
    sha256: Mapped[str] = mapped_column(_Digest)
    n_chunks: Mapped[int] = mapped_column(sa.Integer)
    notes: Mapped[str | None] = mapped_column(sa.Text)
    """JSON: what was unusual about the span, by the codes of `domain.notes`; NULL for an ordinary span."""
    __table_args__ = (
        sa.UniqueConstraint("recording_digest", "span", "pipeline_id", "copy"),
        sa.Index(
            "ix_artifact_notes",
            "pipeline_id",
            sqlite_where=sa.text("notes IS NOT NULL"),
            postgresql_where=sa.text("notes IS NOT NULL"),
        ),
    )


class Job(Claimable, Table):
    """A unit of packing, training, evaluation, rendering or collecting."""

    __tablename__ = "job"
    id: Mapped[int] = _id()
    run_id: Mapped[int] = mapped_column(_Id, _refers("run.id", cascade=True), index=True)
    kind: Mapped[str] = mapped_column(sa.String(12))
    model: Mapped[str | None] = mapped_column(sa.String(60))
    seed: Mapped[int | None] = mapped_column(sa.Integer)
    fold: Mapped[int | None] = mapped_column(sa.Integer)
    subset: Mapped[int | None] = mapped_column(sa.SmallInteger)
    pipeline_id: Mapped[int | None] = mapped_column(_Id, _refers("pipeline.id"))
    """The pipeline whose strips it packs or trains on; NULL for the run's own."""
    variant: Mapped[str | None] = mapped_column(sa.String(60))
    """The change under which its model is trained in an ablation; NULL for none."""
    device: Mapped[str | None] = mapped_column(sa.Text)
    result: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """Its typed result as JSON, read and written only by `domain.results`; dependent jobs read it."""


JOB_FACTS: tuple[Any, ...] = (
    Job.id, Job.kind, Job.model, Job.seed, Job.fold, Job.subset, Job.pipeline_id, Job.variant,
)  # fmt: skip
"""The columns of `domain.work.JobFacts`, in the order of its fields."""


class JobFile(Table):
    """A file in the store that a finished job left; written in the transaction that marks the job as done."""

    __tablename__ = "job_file"
    job_id: Mapped[int] = mapped_column(_Id, _refers("job.id", cascade=True), primary_key=True)
    key: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    role: Mapped[str] = mapped_column(sa.String(12))
    size_bytes: Mapped[int | None] = mapped_column(sa.BigInteger)
    sha256: Mapped[str | None] = mapped_column(_Digest)
    """Like the size NULL if an older version wrote the row without it."""
    __table_args__ = (sa.Index(None, "key"),)


class Need(Table):
    """One job waits for another."""

    __tablename__ = "need"
    job_id: Mapped[int] = mapped_column(_Id, _refers("job.id", cascade=True), primary_key=True)
    needs_id: Mapped[int] = mapped_column(_Id, _refers("job.id", cascade=True), primary_key=True)
    even_failed: Mapped[bool] = mapped_column(sa.Boolean, default=False)
    """The needed job may have failed: a report is written about failures too."""


class Metric(Table):
    """One figure of one epoch of a job; epoch 0 is the whole job."""

    __tablename__ = "metric"
    job_id: Mapped[int] = mapped_column(_Id, _refers("job.id", cascade=True), primary_key=True)
    epoch: Mapped[int] = mapped_column(sa.Integer, primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(60), primary_key=True)
    value: Mapped[float]


class Worker(Table):
    """A worker process that has started, on any machine."""

    __tablename__ = "worker"
    name: Mapped[str] = mapped_column(sa.String(200), primary_key=True)
    host: Mapped[str] = mapped_column(sa.String(200))
    role: Mapped[str] = mapped_column(sa.String(8))
    device: Mapped[str] = mapped_column(sa.Text)
    started_at: Mapped[float]
    progressed_at: Mapped[float]
    """When it last started, finished something, or finished a step of a long job."""


ATTEMPTS, EXPIRIES = "attempts", "expiries"
"""Counters beside those of the states: claims of items and jobs, and expired leases.

`retry` does not reset them, nor the three of `domain.frozen_words`.
"""


class RunCounter(Table):
    """Items of a run by state, changed with every transition, so that a status query never counts rows.

    The number is the sum over slots. Several slots keep workers that finish at the same moment from waiting for one
    row.
    """

    __tablename__ = "counter"
    run_id: Mapped[int] = mapped_column(_Id, _refers("run.id", cascade=True), primary_key=True)
    state: Mapped[str] = mapped_column(sa.String(12), primary_key=True)
    slot: Mapped[int] = mapped_column(sa.SmallInteger, primary_key=True)
    n: Mapped[int] = mapped_column(sa.BigInteger)


SHARD_REVISION = sa.func.coalesce(Job.result["revision"].as_integer(), 0)
"""Revision of a pack job's shards; 0 if the version that packed them did not record it."""

IS_ITS_STRIP = sa.and_(
    Artifact.recording_digest == Recording.digest,
    Artifact.span == Item.span,
    Artifact.pipeline_id == Item.pipeline_id,
    Artifact.copy == Item.copy,
)
"""Joins an item, through its recording, with its strip. Strips belong to the bytes of recordings, not to runs."""
