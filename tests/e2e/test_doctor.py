"""What the doctor says of a home that is not well, and what it leaves alone."""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from db.ledger import control, feeding
from db.queries import integrity, status
from db.schema.tables import Job, JobFile, Run
from db.store.folder import FolderStore
from db.store.keys import checkpoint_of
from domain.errors import MachineFault
from domain.results import FileRole
from domain.states import Kind, RunState, State
from domain.work import PlannedJob
from orchestrator.broker import QueueMessage, Sender
from orchestrator.execution.local_processes import LocalProcesses
from orchestrator.monitoring import doctor
from orchestrator.monitoring.doctor import findings
from orchestrator.session import Session, local_report
from tests.e2e.way import home
from tests.ledger_rows import SmallRun, another_run, done

TWO_DAYS_S = 2 * 86_400.0


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    with home(tmp_path / "home") as session:
        yield session


@pytest.fixture
def paused(session: Session) -> SmallRun:
    """A run that somebody paused, with a training that is not done; nothing else is wrong."""
    run = another_run(session.database, 1, [PlannedJob(Kind.TRAIN, model="cnn", seed=1)])
    control.pause(session.database, run.run)
    return run


def put_old(session: Session, key: str, data: bytes = b"old") -> Path:
    session.store.put(key, data)
    path = Path(session.settings.store, key)
    two_days_ago = time.time() - TWO_DAYS_S
    os.utime(path, (two_days_ago, two_days_ago))
    return path


def said(session: Session, *, repair: bool = False) -> str:
    return "\n".join(findings(session, repair=repair))


@pytest.mark.parametrize("state", [State.WAITING, State.FAILED, State.CANCELLED])
def test_the_checkpoint_of_a_training_that_may_go_on_stays_however_old_it_is(
    session: Session, paused: SmallRun, state: State
) -> None:
    kept = put_old(session, checkpoint_of("models/ab/cnn.keras"))
    stray = put_old(session, checkpoint_of("models/cd/mlp.keras"))  # no run trains it
    with session.database.write() as connection:
        connection.execute(sa.update(Job).values(state=state))
    assert "1 orphaned file is not referenced by the ledger (0.0 MB)" in said(session)
    assert "; deleted" in said(session, repair=True)
    assert (kept.exists(), stray.exists()) == (True, False)
    assert said(session, repair=True) == ""


def test_the_checkpoint_of_a_training_that_is_done_is_a_stray(session: Session, paused: SmallRun) -> None:
    stray = put_old(session, checkpoint_of("models/ab/cnn.keras"))
    with session.database.write() as connection:
        connection.execute(sa.update(Job).values(state=State.DONE))
    assert "; deleted" in said(session, repair=True)
    assert not stray.exists()


def test_validation_counts_that_no_training_refers_to_are_strays(session: Session, paused: SmallRun) -> None:
    stray = put_old(session, "validation/ab.npz")
    assert "; deleted" in said(session, repair=True)
    assert not stray.exists()


def test_what_a_job_left_stays_while_it_waits_to_be_done_again(session: Session, paused: SmallRun) -> None:
    """Where it would come out the same, it is taken as it is."""
    keys = ("models/ab/cnn-12.keras", "shards/cd/00000.parquet")
    left = [put_old(session, key) for key in keys]
    [job] = status.jobs(session.database, paused.run)
    rows = [{"job_id": job.id, "key": key, "role": FileRole.MODEL} for key in keys]
    with session.database.write() as connection:
        connection.execute(sa.insert(JobFile), rows)
        connection.execute(sa.update(Job).values(state=State.WAITING))
    assert said(session, repair=True) == ""
    assert all(path.exists() for path in left)


def test_a_file_without_a_recorded_digest_gets_one_and_is_verified_from_then_on(
    session: Session, paused: SmallRun
) -> None:
    session.store.put("models/ab/cnn.keras", b"whole")
    [job] = status.jobs(session.database, paused.run)
    with session.database.write() as connection:
        row = {"job_id": job.id, "key": "models/ab/cnn.keras", "role": FileRole.MODEL}
        connection.execute(sa.insert(JobFile), [row])
        connection.execute(sa.update(Job).values(state=State.DONE))
    advised = f"`orchestrator doctor --repair --home {session.settings.home}`"
    assert said(session) == f"no SHA-256 is recorded: 1 file, read unverified; {advised} records it"
    assert said(session, repair=True) == "recorded the SHA-256 of 1 file of an older version"
    assert said(session) == ""
    session.store.put("models/ab/cnn.keras", b"wholf")
    assert "is corrupt: it differs from what was written" in said(session)
    assert "recorded the SHA-256" not in said(session, repair=True)


def test_a_file_that_is_written_again_while_strays_are_removed_stays(
    session: Session, paused: SmallRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    stray = put_old(session, "strips/ab/cd.png")
    unknown_keys = integrity.unknown_keys

    def found_then_written(*asked: Any) -> list[str]:
        found = list(unknown_keys(*asked))
        stray.touch()
        return found

    monkeypatch.setattr(integrity, "unknown_keys", found_then_written)
    said(session, repair=True)
    assert stray.exists()


def test_a_file_that_a_worker_finishes_meanwhile_is_nobodys_trouble(session: Session, paused: SmallRun) -> None:
    class Busy(FolderStore):
        def unfinished_files(self, older_s: float) -> list[Path]:
            return [self.folder / ".unfinished" / "renamed-meanwhile.png"]

    busy = replace(session, store=Busy(session.settings.store))
    advised = f"orchestrator doctor --repair --home {session.settings.home}"
    assert said(busy) == f"1 unfinished file (0.0 MB); `{advised}` deletes them"
    assert "deleted 1 unfinished file" in said(busy, repair=True)


@pytest.fixture
def strips(session: Session) -> list[str]:
    """The keys of three strips that a run has made; the ledger believes in them, the store has them."""
    run = another_run(session.database, 3)
    outcomes = [done(claim) for claim in run.ledger().claim_items(run.run, run.items)]
    run.ledger().settle_items(outcomes)
    for outcome in outcomes:
        assert outcome.strip is not None
        session.store.put(outcome.strip.key, b"1234567890")
    return [outcome.strip.key for outcome in outcomes if outcome.strip]


class Failing(FolderStore):
    """A disk that does not give up one file, while another one is removed."""

    unreadable, removed = "", ""

    def digest(self, key: str) -> str:
        if key == self.unreadable:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        if key == self.removed:
            self.local(key).unlink()
        return super().digest(key) and "f" * 64  # what the ledger was told


def test_a_file_that_cannot_be_read_is_named_and_the_others_are_looked_at(session: Session, strips: list[str]) -> None:
    store = Failing(session.settings.store)
    store.unreadable, store.removed = strips[:2]
    sick = replace(session, store=store)
    found = said(sick)
    assert f"strip {strips[0]} cannot be read: Input/output error" in found
    assert "unreadable: 1 strip; check the disk and access rights" in found
    assert f"strip {strips[1]} is missing from the store" in found
    assert strips[2] not in found
    assert "damaged: 1 strip" in found  # only the one that is gone


def test_what_cannot_be_read_is_not_made_again(session: Session, strips: list[str]) -> None:
    store = Failing(session.settings.store)
    store.unreadable = strips[0]
    assert "regenerate" not in said(replace(session, store=store), repair=True)
    assert len(list(integrity.ledger_strips(session.database))) == 3


@pytest.mark.parametrize(("ahead_s", "words"), [(3600.0, "3600 s ahead of"), (-90.0, "90 s behind")])
def test_clocks_that_differ_are_named(
    session: Session, monkeypatch: pytest.MonkeyPatch, ahead_s: float, words: str
) -> None:
    monkeypatch.setattr(integrity, "clock_s", lambda _: time.time() + ahead_s)
    assert f"the database's clock is {words} this machine's" in said(session)
    monkeypatch.setattr(integrity, "clock_s", lambda _: time.time() + 4.0)
    assert said(session) == ""


def test_versions_that_changed_since_a_run_was_planned_are_named(session: Session, paused: SmallRun) -> None:
    with session.database.write() as connection:
        connection.execute(sa.update(Run).values(facts={"versions": {"numpy": "1.0", "tensorflow-of-mars": "3"}}))
    found = said(session)
    assert f"run {paused.run} was planned with numpy 1.0 (here " in found
    assert "mars" not in found


def test_a_disk_with_little_room_is_named_for_the_store_and_for_the_ledger(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = shutil.disk_usage(session.settings.home).free
    monkeypatch.setattr(doctor, "_LOW_DISK_BYTES", 2 * free)
    found = said(session)
    assert "MB left; strips need 60 to 220 KB a minute of audio" in found
    assert "MB left; a ledger needs about 1 KB a recording" in found
    monkeypatch.setattr(doctor, "_LOW_DISK_BYTES", free // 2)
    assert said(session) == ""


def test_a_report_is_shown_only_where_it_is(session: Session) -> None:
    session.store.put("reports/ab/run-1.html", b"<html>")
    address = session.store.address("reports/ab/run-1.html")
    assert local_report(session, address) == address
    session.store.remove("reports/ab/run-1.html")
    with pytest.raises(MachineFault, match=r"run-1\.html is gone; run `orchestrator doctor --repair"):
        local_report(session, address)


def test_claims_that_ran_out_are_counted(session: Session, paused: SmallRun) -> None:
    control.resume(session.database, paused.run)
    paused.ledger(lease_s=0.01).claim_items(paused.run, paused.items)
    time.sleep(0.1)
    assert "1 claim expired; a dispatcher releases them within seconds" in said(session)
    feeding.put_back_expired(session.database)
    assert "expired" not in said(session)


def test_a_run_that_nobody_works_on_is_named_with_what_to_do(session: Session, paused: SmallRun) -> None:
    control.resume(session.database, paused.run)
    found = said(session)
    assert found.startswith(f"no process works on run {paused.run}; continue with: orchestrator resume {paused.run}")
    with LocalProcesses(session.settings, session.database):
        assert "no process works" not in said(session)


def test_a_plan_that_was_never_finished_is_discarded_when_it_is_old_and_repair_was_asked(
    session: Session, paused: SmallRun
) -> None:
    with session.database.write() as connection:
        connection.execute(sa.update(Run).values(state=RunState.PLANNING))
    assert said(session, repair=True) == "", "it may yet be finished"
    with session.database.write() as connection:
        connection.execute(sa.update(Run).values(created_at=time.time() - TWO_DAYS_S))
    sentence = f"run {paused.run} was not planned completely; submit its dataset again"
    assert (said(session), said(session, repair=True), said(session)) == (sentence, sentence, "")


def test_a_queue_that_nobody_serves_is_named(tmp_path: Path, redis_url: str) -> None:
    with home(tmp_path / "home", broker_url=redis_url) as session:
        assert said(session) == ""
        with Sender(session.settings) as sender:
            sender.send("pack", "cpu", [QueueMessage({"version": 1, "run": 1, "job": 1}, "")])
        assert (
            said(session)
            == "queue cpu holds 1 message and no worker serves it; start one with: orchestrator worker cpu"
        )
