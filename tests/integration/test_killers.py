"""Recordings that end their process cost themselves, and nobody else."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from db import status
from db.states import MAX_OWN_DEATHS, State
from orchestrator import plan
from orchestrator.dispatch import Dispatcher, Sender
from orchestrator.local import Stack
from orchestrator.run import DispatcherThread
from orchestrator.session import Session
from orchestrator.submit import submit
from orchestrator.watch import Snapshot, snapshot
from tests.integration.way import home
from tests.recordings import write_class_folders, write_tone
from workers.roles import CPU, command, environment

pytestmark = pytest.mark.integration

KILLERS = ("segfault", "forever", "memory")


@contextmanager
def killer_worker(session: Session) -> Iterator[subprocess.Popen[bytes]]:
    argv = [
        "tests.integration.killer_app" if word == "workers.app" else word
        for word in command(CPU, session.settings, "cpu@killers")
    ]
    with (session.settings.home / "killers.log").open("wb") as log:
        worker = subprocess.Popen(argv, env=environment(CPU, session.settings), stdout=log, stderr=log)
    try:
        yield worker
    finally:
        worker.terminate()
        worker.wait(30)


def test_killers_are_quarantined_after_three_deaths_and_all_others_are_done(tmp_path: Path) -> None:
    tones = write_class_folders(tmp_path / "tones", {"low": 1000.0, "high": 5000.0}, per_label=10, seconds=0.5)
    for number, name in enumerate(KILLERS):
        write_tone(tones / "low" / f"{name}.wav", 700 + 100 * number, 0.5)
    with home(tmp_path / "home", time_limit_s=4.0, concurrency=2) as session:
        run = submit(session.database, tones, plan.Request(until="preprocess"), lambda _: None).run
        seen = _carried_out(session, run)
        assert seen.items[State.DONE] == 20, (session.settings.home / "killers.log").read_text()[-3000:]
        found = {Path(entry.recording).stem: entry.reason for entry in status.quarantined(session.database, run)}
        assert set(found) == set(KILLERS)
        assert all(f"ended its process {MAX_OWN_DEATHS} times" in reason for reason in found.values()), found
        assert "SIGSEGV" in found["segfault"]
        assert "still at work after 4 s" in found["forever"]


def _carried_out(session: Session, run: int) -> Snapshot:
    give_up = time.monotonic() + 200
    with Stack(session.settings, session.database), killer_worker(session) as worker:
        dispatcher = Dispatcher(session.database, Sender(session.settings), session.settings)
        with DispatcherThread(dispatcher) as thread:
            while not (seen := snapshot(session.database, run)).is_over:
                assert time.monotonic() < give_up, seen.items
                assert worker.poll() is None, "the worker itself ended"
                thread.require_alive()
                time.sleep(0.1)
    return seen
