"""The SQL classes: what each row is, and the indexes the hot queries stand on.

Times are seconds since 1970 by the database's own clock. Digests are SHA-256 in hex.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from domain.states import RunState, State

_Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")  # SQLite counts up only INTEGER PRIMARY KEY by itself
_Digest = sa.String(64)
_Json = sa.JSON()


class Table(DeclarativeBase):
    """Root of the SQL classes; its metadata is what the migrations are compared with."""

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


class Dataset(Table):
    """A place with recordings: one root."""

    __tablename__ = "dataset"
    id: Mapped[int] = _id()
    root: Mapped[str] = mapped_column(sa.Text, unique=True)
    layout: Mapped[str] = mapped_column(sa.String(60))


class Recording(Table):
    """One audio file as one plan found it. Another label or other bytes make another row."""

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
    """Planned without reading the file: the first worker that does fills in digest, size, time and length."""
    latitude: Mapped[float | None]
    longitude: Mapped[float | None]
    month: Mapped[int | None] = mapped_column(sa.SmallInteger)
    hour: Mapped[float | None]
    """Where and when it was made, as far as the dataset says."""
    facts_digest: Mapped[str] = mapped_column(sa.String(32))
    """Over everything above, as planned: the same file with the same facts is the same row."""
    __table_args__ = (
        sa.UniqueConstraint("dataset_id", "uri", "facts_digest"),
        sa.Index(None, "digest"),
    )


class Pipeline(Table):
    """A frozen preset."""

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
    state: Mapped[str] = mapped_column(sa.String(12), default=RunState.PLANNING)
    labels: Mapped[list[Any]] = mapped_column(default=list)
    options: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """What was asked: models, folds, seeds, until."""
    split: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """How the subsets were drawn: digest, method, seed, notes, leaks, counts."""
    facts: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """Versions and the dataset's counts, as planned."""
    created_at: Mapped[float]
    finished_at: Mapped[float | None]


class BadRow(Table):
    """A row of the dataset that names no usable recording; listed with its line."""

    __tablename__ = "bad_row"
    id: Mapped[int] = _id()
    run_id: Mapped[int] = mapped_column(_Id, _refers("run.id", cascade=True), index=True)
    line: Mapped[int] = mapped_column(sa.Integer)
    uri: Mapped[str] = mapped_column(sa.Text)
    reason: Mapped[str] = mapped_column(sa.Text)
    reason_code: Mapped[str | None] = mapped_column(sa.String(40))
    """One of `domain.reasons`; the sentence beside it is for people."""
    is_duplicate: Mapped[bool] = mapped_column(sa.Boolean, default=False)
    """The path stands in the table already: the recording itself is not lost."""


class Claimable:
    """What items and jobs have in common: the state machine and the claim."""

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
    """Id of the worker's child that claimed it: of several children one may die, and the others go on."""
    reason: Mapped[str | None] = mapped_column(sa.Text)
    reason_code: Mapped[str | None] = mapped_column(sa.String(40))
    """One of `domain.reasons`; the sentence beside it is for people."""


class Item(Claimable, Table):
    """A unit of preprocessing: one span of one recording, one copy."""

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
    """What must stay in one subset, after exact copies have joined."""
    order_key: Mapped[int] = mapped_column(sa.BigInteger)
    work_s: Mapped[float]
    """Estimated seconds of one core; messages are filled by it."""
    worked_s: Mapped[float | None]
    """Seconds the last attempt took, without waiting for the others of its message."""
    is_alone: Mapped[bool] = mapped_column(sa.Boolean, default=False)
    """Sent in a message of its own, after a message it shared ended its process."""
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
    """A strip in the store, named by what it was made from."""

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
    __table_args__ = (sa.UniqueConstraint("recording_digest", "span", "pipeline_id", "copy"),)


class Job(Claimable, Table):
    """A unit of packing, training, evaluation or rendering."""

    __tablename__ = "job"
    id: Mapped[int] = _id()
    run_id: Mapped[int] = mapped_column(_Id, _refers("run.id", cascade=True), index=True)
    kind: Mapped[str] = mapped_column(sa.String(12))
    model: Mapped[str | None] = mapped_column(sa.String(60))
    seed: Mapped[int | None] = mapped_column(sa.Integer)
    fold: Mapped[int | None] = mapped_column(sa.Integer)
    subset: Mapped[int | None] = mapped_column(sa.SmallInteger)
    pipeline_id: Mapped[int | None] = mapped_column(_Id, _refers("pipeline.id"))
    """Whose strips it packs or learns from; None: the run's own."""
    variant: Mapped[str | None] = mapped_column(sa.String(60))
    """The one change its model is trained under, to measure what that is worth; None: as it is."""
    device: Mapped[str | None] = mapped_column(sa.Text)
    result: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """Its typed result as JSON, read and written by `domain.results` alone; the jobs that need this one read it."""


class JobFile(Table):
    """A file in the store that a job left when it was done; written in the transaction that says so."""

    __tablename__ = "job_file"
    job_id: Mapped[int] = mapped_column(_Id, _refers("job.id", cascade=True), primary_key=True)
    key: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    role: Mapped[str] = mapped_column(sa.String(12))
    size_bytes: Mapped[int | None] = mapped_column(sa.BigInteger)
    sha256: Mapped[str | None] = mapped_column(_Digest)
    """NULL, as the size is, where the version that left the file did not record it."""
    __table_args__ = (sa.Index(None, "key"),)


class Need(Table):
    """A job waits for another one."""

    __tablename__ = "need"
    job_id: Mapped[int] = mapped_column(_Id, _refers("job.id", cascade=True), primary_key=True)
    needs_id: Mapped[int] = mapped_column(_Id, _refers("job.id", cascade=True), primary_key=True)
    even_failed: Mapped[bool] = mapped_column(sa.Boolean, default=False)
    """A report is written about failures too."""


class Metric(Table):
    """One figure of one epoch of a job; epoch 0 belongs to the job as a whole."""

    __tablename__ = "metric"
    job_id: Mapped[int] = mapped_column(_Id, _refers("job.id", cascade=True), primary_key=True)
    epoch: Mapped[int] = mapped_column(sa.Integer, primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(60), primary_key=True)
    value: Mapped[float]


class Worker(Table):
    """A worker process that has started, on whatever machine."""

    __tablename__ = "worker"
    name: Mapped[str] = mapped_column(sa.String(200), primary_key=True)
    host: Mapped[str] = mapped_column(sa.String(200))
    role: Mapped[str] = mapped_column(sa.String(8))
    device: Mapped[str] = mapped_column(sa.Text)
    started_at: Mapped[float]
    progressed_at: Mapped[float]
    """When it last finished something, or an epoch of it."""


ATTEMPTS, EXPIRIES = "attempts", "expiries"
"""Counted beside the states: claims ever taken of items and jobs, and leases that ran out."""
RETRIES, LOSSES, DEATHS = "retries", "losses", "deaths"
"""Counted there too, and never anew: attempts ended by the machine's fault, claims lost with their worker (those that
ran out among them), and processes ended by what they worked on."""


class RunCounter(Table):
    """Items of a run by state, kept with every move: a person's question never counts rows.

    Spread over slots, so that workers who finish at the same moment do not wait for one row; the sum counts.
    """

    __tablename__ = "counter"
    run_id: Mapped[int] = mapped_column(_Id, _refers("run.id", cascade=True), primary_key=True)
    state: Mapped[str] = mapped_column(sa.String(12), primary_key=True)
    slot: Mapped[int] = mapped_column(sa.SmallInteger, primary_key=True)
    n: Mapped[int] = mapped_column(sa.BigInteger)


SHARD_REVISION = sa.func.coalesce(Job.result["revision"].as_integer(), 0)
"""Of a pack job's shards; 0 where the version that packed them did not record it."""

IS_ITS_STRIP = sa.and_(
    Artifact.recording_digest == Recording.digest,
    Artifact.span == Item.span,
    Artifact.pipeline_id == Item.pipeline_id,
    Artifact.copy == Item.copy,
)
"""Joins an item, through its recording, with the strip that stands for it: strips belong to bytes, not to runs."""
