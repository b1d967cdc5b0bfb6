"""A class that loses all its recordings after planning ends the run before training; on SQLite and PostgreSQL."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from db.engine import Database
from db.ledger.claims import Outcome
from db.queries.job_inputs import planned_run
from db.queries.unused import lost_classes
from db.schema.tables import Item, Run
from db.store.folder import FolderStore
from domain.errors import Impossible
from domain.reasons import Reason, ReasonCode
from domain.results import PackResult
from domain.states import State
from domain.work import FinishedJob, PlannedJob
from tasks.runtime.heartbeat import Heartbeat
from tasks.runtime.task import Work
from tasks.train import require_every_class
from tests.ledger_rows import SmallRun, done, small_run

SILENT = Reason(ReasonCode.SILENT, "silent: only zeros")
NAN = Reason(ReasonCode.UNREADABLE, "unreadable: NaN")


def preprocessed(database: Database, lost: dict[int, Reason]) -> SmallRun:
    """Six recordings, robin and wren in turn; those at these positions are quarantined, the others done."""
    small = small_run(database, 6, (PlannedJob("train", "cnn", 0, -1),))
    ledger = small.ledger()
    for claim in ledger.claim_items(small.run, list(small.items)):
        reason = lost.get(small.items.index(claim.id))
        ledger.settle_items([Outcome(claim, State.QUARANTINED, reason) if reason else done(claim)])
    return small


def work_on(small: SmallRun, folder: Path) -> Work:
    ledger = small.ledger()
    with small.database.read() as connection:
        job = connection.exec_driver_sql(f"SELECT id FROM job WHERE run_id = {small.run}").scalar_one()
    claim = ledger.claim_job(small.run, job, "train")
    assert claim is not None
    store = FolderStore(folder)
    return Work(claim, small.database, store, ledger, Heartbeat(ledger, [claim]), store.local_file)


def packed(label_counts: dict[int, int]) -> list[FinishedJob[PackResult]]:
    result = PackResult("shards/1", label_counts=label_counts)
    return [FinishedJob(1, "pack", None, None, -1, 0, None, None, result, ())]


def test_a_class_without_any_strip_is_refused_with_its_reasons(database: Database, tmp_path: Path) -> None:
    small = preprocessed(database, {1: SILENT, 3: SILENT, 5: NAN})
    work = work_on(small, tmp_path)
    with pytest.raises(
        Impossible, match=r"no recording is left of class wren \(2 x silent, 1 x unreadable\)"
    ) as caught:
        require_every_class(work, planned_run(database, small.run), packed({0: 3}))
    assert "--allow-empty-classes" in str(caught.value)


def test_a_class_may_be_empty_if_the_user_allows_it(database: Database, tmp_path: Path) -> None:
    small = preprocessed(database, {1: SILENT, 3: SILENT, 5: NAN})
    with database.write() as connection:
        connection.execute(sa.update(Run).values(options={"allow_empty_classes": True}))
    require_every_class(work_on(small, tmp_path), planned_run(database, small.run), packed({0: 3}))


def test_a_class_that_is_only_tested_is_not_lost(database: Database, tmp_path: Path) -> None:
    small = preprocessed(database, {1: SILENT})
    require_every_class(work_on(small, tmp_path), planned_run(database, small.run), packed({0: 3}))


def test_copies_and_other_pipelines_keep_no_class_alive(database: Database) -> None:
    small = preprocessed(database, {1: SILENT, 3: SILENT, 5: NAN})
    pipeline = planned_run(database, small.run).pipeline_id
    with database.write() as connection:
        connection.execute(sa.update(Item).where(Item.id == small.items[1]).values(copy=1, state=State.DONE))
    found = lost_classes(database, small.run, pipeline, ["robin", "wren"])
    assert {label: dict(reasons) for label, reasons in found.items()} == {"wren": {"silent": 1, "unreadable": 1}}
    assert lost_classes(database, small.run, pipeline + 1, ["robin", "wren"]) == {}
