"""A heartbeat shows that the process lives; only steps of the work show progress."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from db.engine import Database
from db.ledger.presence import known_workers, register
from db.queries.status import jobs
from domain.work import PlannedJob
from orchestrator.monitoring.health import STUCK_AFTER_S
from tasks.runtime import heartbeat, liveness
from tasks.runtime.heartbeat import Heartbeat
from tests.ledger_rows import small_run

STALLED_AFTER_S = 0.6


@pytest.fixture
def held(sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Heartbeat:
    """A training claimed by worker w1, with ten heartbeats a second."""
    monkeypatch.setattr(heartbeat, "STALLED_AFTER_S", STALLED_AFTER_S)
    monkeypatch.setattr(heartbeat, "_NOTED_EVERY_S", 0.0)
    database = Database(sqlite_url)
    small = small_run(database, 1, [PlannedJob("train", "cnn", 0, -1)])
    register(database, "w1", "here", "gpu", "CPU")
    ledger = small.ledger("w1", lease_s=0.4)
    claim = ledger.claim_job(small.run, jobs(database, small.run)[0].id, "train")
    assert claim is not None
    return Heartbeat(ledger, [claim], tmp_path / "progress")


def await_that(is_so: Callable[[], bool]) -> None:
    give_up_s = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < give_up_s
        time.sleep(0.02)


def test_work_without_a_step_stops_being_shown_as_progress_and_is_reported_as_stalled(
    held: Heartbeat, tmp_path: Path
) -> None:
    progress = tmp_path / "progress"
    with held:
        await_that(lambda: liveness.recent_stall(progress, STUCK_AFTER_S) is not None)
        last = progress.stat().st_mtime_ns
        time.sleep(0.5)
        assert progress.stat().st_mtime_ns == last, "beating alone is no progress"
        assert held.still_held(), "the process lives, and so the claim is its own"
        held.note_step()
        await_that(lambda: progress.stat().st_mtime_ns > last)
    assert liveness.recent_stall(progress, STUCK_AFTER_S) == "no step of train for more than 0.6 s"


def test_a_step_is_seen_in_the_ledger_too(held: Heartbeat, sqlite_url: str) -> None:
    database = Database(sqlite_url)
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE worker SET progressed_at = progressed_at - 1000")
        connection.exec_driver_sql("UPDATE job SET started_at = started_at - 1000")

    def age_s() -> float:
        [worker] = known_workers(database)
        assert worker.progressed_age_s is not None
        return worker.progressed_age_s

    with held:
        time.sleep(0.5)
        assert age_s() > 900, "beating alone is no progress"
        held.note_step()
        await_that(lambda: age_s() < 10)
    database.close()
