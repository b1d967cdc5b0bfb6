"""A small ledger for tests: one dataset, a run of some items, and jobs when asked."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from db.engine import Database
from db.ledger import feeding, planning
from db.ledger.claims import ItemClaim, Ledger, Outcome, StripFacts
from db.ledger.planning import RecordingRow
from db.schema.tables import Item, Job
from db.schema.upgrade import upgrade
from domain.reasons import Reason, ReasonCode
from domain.results import JobOutput, OutputFile, from_json
from domain.retry import MAX_CRASHES, MAX_FAULTS, MAX_LOSSES
from domain.states import State
from domain.work import PlannedItem, PlannedJob

EMPTY = Reason(ReasonCode.EMPTY, "empty: 0 samples")
NO_STORE = Reason(ReasonCode.MACHINE_FAULT, "OSError: no store")
DISK_FULL = Reason(ReasonCode.MACHINE_FAULT, "OSError: disk full")


@dataclass(frozen=True)
class SmallRun:
    """A planned run and the ids of its items."""

    database: Database
    run: int
    items: tuple[int, ...]

    def ledger(self, worker: str = "w1", lease_s: float = 60.0, process: int = 1) -> Ledger:
        return Ledger(self.database, worker, lease_s, process)


def recording(number: int) -> RecordingRow:
    """The n-th recording; its digest follows from its number."""
    return RecordingRow(
        f"a/{number}.ogg",
        "wren" if number % 2 else "robin",
        "Ann",
        None,
        None,
        None,
        1000,
        1,
        f"{number:064x}",
        32_000,
        32_000,
        is_on_trust=False,
    )


def small_run(database: Database, n_items: int = 4, jobs: Sequence[PlannedJob] = (), **options: Any) -> SmallRun:
    """One active run of one-span recordings, in current tables."""
    if database.is_sqlite and not (file := Path(database.url.removeprefix("sqlite:///"))).exists():
        file.write_bytes(_empty_ledger())
    upgrade(database)
    return another_run(database, n_items, jobs, **options)


@cache
def _empty_ledger() -> bytes:
    """An SQLite file with all tables: Alembic takes a tenth of a second, and hundreds of tests have a file each."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "ledger.db"
        made = Database(f"sqlite:///{file}")
        upgrade(made)
        made.close()
        return file.read_bytes()


def another_run(
    database: Database, n_items: int, jobs: Sequence[PlannedJob] = (), *, first: int = 0, **options: Any
) -> SmallRun:
    """A further run over the same recordings; first: the number of the first one, for others."""
    dataset = planning.ensure_dataset(database, "/data", "folder per class")
    pipeline = planning.ensure_pipeline(
        database, "p" * 64, "birdclef2021", {"name": "birdclef2021", "decode": {"span_s": 75}}
    )
    run = planning.begin_run(database, dataset, pipeline, {"models": ["cnn"], **options})
    ids = list(planning.ensure_recordings(database, dataset, map(recording, range(first, first + n_items))))
    rows = [PlannedItem(row, 0, 0, -1, number % 3, "Ann", number, 0.1) for number, row in enumerate(ids)]
    planning.add_items(database, run, pipeline, rows)
    planning.activate_run(
        database,
        run,
        jobs,
        labels=["robin", "wren"],
        split={"digest": "s" * 64},
        facts={"recordings": n_items, "items": n_items},
    )
    return SmallRun(database, run, tuple(item_ids(database, run)))


def item_ids(database: Database, run: int) -> list[int]:
    """Ids of the run's items, in order."""
    with database.read() as connection:
        rows = connection.exec_driver_sql(f"SELECT id FROM item WHERE run_id = {run} ORDER BY id")
        return [row[0] for row in rows]


def item_states(small: SmallRun) -> list[str]:
    """States of the run's items, in the order of their ids."""
    with small.database.read() as connection:
        rows = connection.exec_driver_sql(f"SELECT state FROM item WHERE run_id = {small.run} ORDER BY id")
        return [row[0] for row in rows]


def counted_states(small: SmallRun) -> dict[str, int]:
    """What the counters must say: the rows, counted."""
    states = item_states(small)
    return {str(state): states.count(state) for state in State}


def expired(small: SmallRun) -> None:
    """Let the leases of the run's items expire and the dispatcher take them back."""
    with small.database.write() as connection:
        connection.exec_driver_sql(f"UPDATE item SET lease_until = 0 WHERE run_id = {small.run} AND state = 'running'")
    feeding.put_back_expired(small.database)


def output(kind: str, key: str = "k", **result: object) -> JobOutput:
    """What a job of that kind leaves: the result, and its one file."""
    left = from_json(kind, {"key": key, **result})
    assert left is not None
    return JobOutput(left, (OutputFile(key, "model", 1, "f" * 64),))


def done(claim: ItemClaim) -> Outcome:
    """The outcome of a strip that is in the store."""
    key = f"strips/{claim.digest[:4]}/{claim.digest}-{claim.span}-{claim.copy}.png"
    return Outcome(claim, State.DONE, strip=StripFacts(key, 10, "f" * 64, 1))


def require_codes_and_limits(database: Database, table: type[Item] | type[Job], run: int) -> None:
    """Every reason of the run's rows has a code, and no counter passes its limit."""
    columns = (table.reason, table.reason_code, table.crashes, table.lost_claims, table.faults)
    with database.read() as connection:
        rows = connection.execute(sa.select(*columns).where(table.run_id == run)).all()
    for reason, code, crashes, lost_claims, faults in rows:
        assert (reason is None) == (code is None)
        assert code is None or code in set(ReasonCode)
        assert crashes <= MAX_CRASHES
        assert lost_claims <= MAX_LOSSES
        assert faults <= MAX_FAULTS
