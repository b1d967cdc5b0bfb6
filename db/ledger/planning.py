"""The planner's side of the ledger: a dataset's recordings, a run, its items and jobs, written as a stream."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, NamedTuple, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.orm import aliased

from db.bulk import insert_rows, new_ids
from db.engine import Database, now_s
from db.id_lists import is_one_of
from db.ledger.transitions import insert
from db.schema.tables import (
    IS_ITS_STRIP,
    SHARD_REVISION,
    Artifact,
    BadRow,
    Dataset,
    Item,
    Job,
    Need,
    Pipeline,
    Recording,
    Run,
    RunCounter,
)
from domain import revisions
from domain.digests import content_digest
from domain.reasons import IN_THE_BYTES, ReasonCode
from domain.states import UNTRIED, Kind, RunKind, RunState, State
from domain.work import KnownFile, PlannedItem, PlannedJob

BATCH = 10_000
"""Rows in one transaction; with a thousand SQLite spends twice the time on its indexes and log."""
_Row = TypeVar("_Row")


class RecordingRow(NamedTuple):
    """One recording as the planner found it; digest is "" if it was planned on trust."""

    uri: str
    label: str
    author: str | None
    group_name: str | None
    official_fold: int | None
    official_split: str | None
    size_bytes: int
    mtime_ns: int
    digest: str
    n_frames: int
    rate_hz: int
    is_on_trust: bool
    latitude: float | None = None
    longitude: float | None = None
    month: int | None = None
    hour: float | None = None

    @property
    def facts_digest(self) -> str:
        """Digest of all fields: a recording with another label, fold, content, place or time gets another row."""
        facts: tuple[Any, ...] = self[:_N_ALWAYS] if self[_N_ALWAYS:] == _NOTHING_KNOWN else tuple(self)
        return content_digest(repr(facts).encode("utf-8", "surrogatepass"))[:32]


_N_ALWAYS = RecordingRow._fields.index("latitude")
"""A recording without place and time keeps the digest that it had before the ledger had these columns."""
_NOTHING_KNOWN = (None,) * len(RecordingRow._fields[_N_ALWAYS:])


def ensure_dataset(database: Database, root: str, layout: str, *, renames: bool = True) -> int:
    """Return the dataset's id; write its row at the first plan.

    renames: whether a known dataset gets this layout. A prediction reads the folder of a dataset without its labels.
    """
    with database.write() as connection:
        statement = insert(connection, Dataset).values(root=root, layout=layout)
        changed = statement.on_conflict_do_update(index_elements=["root"], set_={"layout": layout})
        connection.execute(changed if renames else statement.on_conflict_do_nothing())
        return int(connection.execute(sa.select(Dataset.id).where(Dataset.root == root)).scalar_one())


def find_dataset(database: Database, root: str) -> int | None:
    """The dataset's id; None if it was never planned."""
    with database.read() as connection:
        return connection.execute(sa.select(Dataset.id).where(Dataset.root == root)).scalar_one_or_none()


def known_files(database: Database, dataset: int, uris: Sequence[str]) -> dict[str, KnownFile]:
    """The newest rows of these files whose bytes were read, by URI."""
    columns = (
        Recording.uri,
        Recording.size_bytes,
        Recording.mtime_ns,
        Recording.digest,
        Recording.n_frames,
        Recording.rate_hz,
    )
    is_read = (Recording.dataset_id == dataset, Recording.uri.in_(uris), Recording.digest != "")
    query = sa.select(*columns).where(*is_read).order_by(Recording.id)
    with database.read() as connection:
        return {
            row.uri: KnownFile(row.size_bytes, row.mtime_ns, row.digest, row.n_frames, row.rate_hz)
            for row in connection.execute(query)
        }


def is_first_to_repack(database: Database, run: int) -> bool:
    """Whether this run is the first that is planned to repack shards of an older revision of its dataset."""
    dataset = sa.select(Run.dataset_id).where(Run.id == run).scalar_subquery()
    packs = sa.select(Job.id).join(Run, Run.id == Job.run_id)
    packs = packs.where(Run.dataset_id == dataset, Run.id != run, Job.kind == Kind.PACK)
    planned = sa.func.coalesce(Run.facts["shard_revision"].as_integer(), 0)
    is_packed = packs.where(Job.state == State.DONE, SHARD_REVISION < revisions.SHARDS).exists()
    is_planned = packs.where(planned >= revisions.SHARDS).exists()
    with database.read() as connection:
        return bool(connection.execute(sa.select(is_packed & ~is_planned)).scalar_one())


def has_read_files(database: Database, dataset: int) -> bool:
    """Whether any file of the dataset was ever read; if not, the planner need not look for known files."""
    query = sa.select(Recording.id).where(Recording.dataset_id == dataset, Recording.digest != "").limit(1)
    with database.read() as connection:
        return connection.execute(query).first() is not None


def ensure_recordings(database: Database, dataset: int, recordings: Iterable[RecordingRow]) -> Iterator[int]:
    """Return the recordings' ids, in their order; write those that have no row yet and change none."""
    for batch in _batches(recordings):
        with database.write() as connection:
            yield from _ensure_recordings(connection, dataset, batch)


def _ensure_recordings(connection: Connection, dataset: int, batch: Sequence[RecordingRow]) -> list[int]:
    # One planner of a dataset at a time: two would write the same rows.
    connection.execute(sa.select(Dataset.id).where(Dataset.id == dataset).with_for_update())
    keys = [(row.uri, row.facts_digest) for row in batch]
    ids = _ids_of(connection, dataset, [row.uri for row in batch])
    new = {key: row for key, row in zip(keys, batch, strict=True) if key not in ids}
    ids.update(zip(new, new_ids(connection, Recording, len(new)), strict=True))
    names = ("id", "dataset_id", "facts_digest", *RecordingRow._fields)
    insert_rows(connection, Recording, names, [(ids[key], dataset, key[1], *row) for key, row in new.items()])
    return [ids[key] for key in keys]


def _ids_of(connection: Connection, dataset: int, uris: Sequence[str]) -> dict[tuple[str, str], int]:
    if connection.execute(sa.select(Recording.id).where(Recording.dataset_id == dataset).limit(1)).first() is None:
        return {}  # the first plan of a dataset: no query for each batch of URIs
    query = sa.select(Recording.uri, Recording.facts_digest, Recording.id)
    found = connection.execute(query.where(Recording.dataset_id == dataset, Recording.uri.in_(uris)))
    return {(uri, facts): row_id for uri, facts, row_id in found}


def ensure_pipeline(database: Database, digest: str, name: str, parameters: dict[str, Any]) -> int:
    """Return the pipeline's id; write its row when it is first used."""
    with database.write() as connection:
        values = {"digest": digest, "name": name, "parameters": parameters}
        connection.execute(insert(connection, Pipeline).values(**values).on_conflict_do_nothing())
        return int(connection.execute(sa.select(Pipeline.id).where(Pipeline.digest == digest)).scalar_one())


def is_first_to_preprocess_again(database: Database, digest: str, parameters: dict[str, Any]) -> bool:
    """Whether strips with these parameters exist of an earlier version of the code only.

    digest: of the parameters, by this version.
    """
    has_strips = sa.exists().where(Artifact.pipeline_id == Pipeline.id)
    with database.read() as connection:
        found = connection.execute(sa.select(Pipeline.digest, Pipeline.parameters).where(has_strips)).all()
    same = {row.digest for row in found if row.parameters == parameters}
    return bool(same) and digest not in same


def begin_run(
    database: Database, dataset: int, pipeline: int, options: dict[str, Any], kind: RunKind = RunKind.TRAIN
) -> int:
    """Add a run in the state PLANNING, of which nothing is sent; return its id."""
    with database.write() as connection:
        statement = sa.insert(Run).values(
            dataset_id=dataset, pipeline_id=pipeline, kind=kind, state=RunState.PLANNING, options=options, labels=[],
            split={}, facts={}, created_at=now_s(),
        )  # fmt: skip
        return int(connection.execute(statement.returning(Run.id)).scalar_one())


def add_bad_rows(database: Database, run: int, rows: Iterable[dict[str, Any]]) -> None:
    """Add rows of the dataset that name no usable recording: line, uri, reason, reason_code, is_duplicate."""
    for batch in _batches(rows):
        with database.write() as connection:
            connection.execute(sa.insert(BadRow), [{"run_id": run, **row} for row in batch])


def add_left_out(database: Database, run: int, recordings: Iterable[tuple[int, str]], code: ReasonCode) -> None:
    """Add recordings of the dataset that the run leaves out at the user's request: id and reason."""
    for batch in _batches(recordings):
        uris = sa.select(Recording.id, Recording.uri).where(is_one_of(Recording.id, [row_id for row_id, _ in batch]))
        with database.write() as connection:
            names = dict(connection.execute(uris).all())
            values = [
                {"run_id": run, "line": 0, "uri": names[row_id], "reason": reason, "reason_code": code.value,
                 "is_duplicate": False}
                for row_id, reason in batch
            ]  # fmt: skip
            connection.execute(sa.insert(BadRow), values)


def add_items(database: Database, run: int, pipeline: int, items: Iterable[PlannedItem]) -> int:
    """Add the run's items; return their number.

    An item is done if its strip exists, quarantined if its recording is known to be unusable, else waiting.
    """
    names = ("run_id", "pipeline_id", "state", *UNTRIED, *PlannedItem._fields)
    begun = (run, pipeline, State.WAITING.value, *UNTRIED.values())
    n_items = 0
    for batch in _batches(items):
        with database.write() as connection:
            insert_rows(connection, Item, names, [begun + item for item in batch])
        n_items += len(batch)
    with database.write() as connection:
        _find_done(connection, run, pipeline)
        _find_quarantined(connection, run)
    return n_items


def _find_done(connection: Connection, run: int, pipeline: int) -> None:
    # A cheap check first: on a fresh home the UPDATE would search every item for nothing.
    any_strip = sa.select(Artifact.id).where(Artifact.pipeline_id == pipeline).limit(1)
    if connection.execute(any_strip).first() is None:
        return
    is_made = (
        sa.select(Artifact.id)
        .join(Recording, Recording.digest == Artifact.recording_digest)
        .where(
            Recording.id == Item.recording_id,
            IS_ITS_STRIP,
            # The length of such a recording is not known, so a worker must read it and add its further spans.
            ~sa.and_(Recording.is_on_trust, Recording.n_frames == 0),
        )
        .correlate(Item)
        .exists()
    )
    connection.execute(sa.update(Item).where(Item.run_id == run, is_made).values(state=State.DONE, finished_at=now_s()))


def _find_quarantined(connection: Connection, run: int) -> None:
    """Quarantine the items whose bytes an earlier run found unusable.

    Missing files and worker crashes are not inherited; they may not recur.
    """
    any_before = sa.select(Item.id).where(Item.state == State.QUARANTINED, Item.run_id != run).limit(1)
    if connection.execute(any_before).first() is None:
        return
    before, there, here = aliased(Item), aliased(Recording), aliased(Recording)
    is_earlier = (
        here.id == Item.recording_id, here.digest != "", before.span == Item.span,
        before.pipeline_id == Item.pipeline_id, before.state == State.QUARANTINED, before.run_id != run,
        before.reason_code.in_(IN_THE_BYTES),
    )  # fmt: skip

    def earliest(column: sa.SQLColumnExpression[Any]) -> sa.ScalarSelect[Any]:
        found = sa.select(column).select_from(before).join(there, there.id == before.recording_id)
        found = found.join(here, here.digest == there.digest).where(*is_earlier)
        return found.order_by(before.id).limit(1).correlate(Item).scalar_subquery()

    values = {"reason": earliest(before.reason), "reason_code": earliest(before.reason_code)}
    connection.execute(
        sa.update(Item)
        .where(Item.run_id == run, Item.state == State.WAITING, values["reason_code"].is_not(None))
        .values(state=State.QUARANTINED, finished_at=now_s(), **values)
    )


def activate_run(
    database: Database, run: int, jobs: Sequence[PlannedJob], pipelines: Sequence[int] = (), **values: Any
) -> None:
    """Add the jobs, count the items, and make the run active, in one transaction.

    pipelines: ids of the run's pipelines, in the order of its presets; if empty, every job uses the run's own.
    """
    with database.write() as connection:
        ids = [_add_job(connection, run, job, pipelines) for job in jobs]
        needs = chain.from_iterable(
            ({"job_id": ids[at], "needs_id": ids[needed], "even_failed": job.even_failed} for needed in job.needs)
            for at, job in enumerate(jobs)
        )
        if rows := list(needs):
            connection.execute(sa.insert(Need), rows)
        # Counted once, here: counters kept with every batch would slow the planning of millions of items.
        counts = connection.execute(
            sa.select(Item.state, sa.func.count()).where(Item.run_id == run).group_by(Item.state)
        ).all()
        counters = [{"run_id": run, "state": state, "slot": 0, "n": n} for state, n in counts]
        connection.execute(sa.insert(RunCounter), counters)
        is_planned = (Run.id == run, Run.state == RunState.PLANNING)
        connection.execute(sa.update(Run).where(*is_planned).values(state=RunState.ACTIVE, **values))


def _add_job(connection: Connection, run: int, job: PlannedJob, pipelines: Sequence[int]) -> int:
    values = {
        "kind": job.kind, "model": job.model, "seed": job.seed, "fold": job.fold, "subset": job.subset,
        "variant": job.variant, "pipeline_id": pipelines[job.preset] if pipelines else None,
    }  # fmt: skip
    statement = sa.insert(Job).values(run_id=run, state=State.WAITING, result={}, **values).returning(Job.id)
    return int(connection.execute(statement).scalar_one())


def discard_run(database: Database, run: int) -> bool:
    """Delete a run whose planning failed; False if its planning was finished after all, and then it stays."""
    is_planned = (Run.id == run, Run.state == RunState.PLANNING)
    with database.write() as connection:
        # Locked: if `activate_run` commits first, the run is no longer being planned and stays.
        if connection.execute(sa.select(Run.id).where(*is_planned).with_for_update()).first() is None:
            return False
        for table in (Item, BadRow, Job, RunCounter):
            connection.execute(sa.delete(table).where(table.run_id == run))
        connection.execute(sa.delete(Run).where(Run.id == run))
    return True


def _batches(rows: Iterable[_Row]) -> Iterator[list[_Row]]:
    stream = iter(rows)
    while batch := list(islice(stream, BATCH)):
        yield batch
