"""A person's sessions: interrupt and resume, several terminals, a parent that is killed.

Slow: every command is a process, and those that carry out a run start a broker and a worker.
"""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.e2e.command import orchestrator, processes_of, started, until
from tests.recordings import write_class_folders, write_silence

TONES = {"high": 4000.0, "low": 1000.0}
N_MANY = 160
KEYS = {
    "run",
    "state",
    "recordings",
    "quarantined",
    "failed",
    "jobs",
    "scores",
    "artifacts",
    "faults",
    "report",
    "started_at",
    "finished_at",
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Enough work for some seconds: nearly two hours of sound, at most 7,160 Hz of the 8,000 that the rate permits."""
    tones = write_class_folders(tmp_path_factory.mktemp("many"), TONES, N_MANY // 2, seconds=40.0, rate_hz=16_000)
    assert len(list(tones.rglob("*.wav"))) == N_MANY
    return tones


def test_a_run_with_a_silent_recording_ends_with_code_3_and_one_object_on_stdout(home: Path, tmp_path: Path) -> None:
    tones = write_class_folders(tmp_path / "tones", TONES, per_label=3, seconds=0.5)
    write_silence(tones / "low" / "night.wav", 1.0)
    answer = orchestrator("run", tones, "--until", "preprocess", "--home", home, "--json")
    assert answer.code == 3, answer.err
    assert set(answer.json) >= KEYS
    assert answer.json["recordings"]["total"] == 7
    assert answer.json["recordings"]["done"] == 6
    [entry] = answer.json["quarantined"]
    assert entry["recording"] == "low/night.wav"
    assert entry["reason_code"] == "silent"
    assert "low/night.wav" in answer.err
    assert orchestrator("watch", "1", "--home", home).code == 3
    assert orchestrator("retry", "1", "--home", home, "--json").json["recordings"]["quarantined"] == 1


def test_an_interrupted_run_says_how_to_go_on_and_goes_on(home: Path, many: Path) -> None:
    with started("run", many, "--until", "preprocess", "--home", home) as process:
        until(lambda: _n_done(home) > 0)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "orchestrator resume 1" in err
    assert "Traceback" not in err
    assert processes_of(home) == []
    seen = orchestrator("status", "1", "--home", home, "--json").json
    assert seen["state"] == "paused"
    assert 0 < seen["recordings"]["done"] < N_MANY
    resumed = orchestrator("resume", "1", "--home", home, "--json")
    assert resumed.code == 0, resumed.err
    assert resumed.json["recordings"]["done"] == N_MANY


def test_a_killed_run_leaves_no_process_behind_and_can_be_resumed(home: Path, many: Path) -> None:
    with started("run", many, "--until", "preprocess", "--home", home) as process:
        until(lambda: _n_done(home) > 0)
        process.kill()
        process.communicate(timeout=10)
        until(lambda: processes_of(home) == [], within_s=10)
    assert (
        "no process works on run 1; continue with: orchestrator resume 1"
        in orchestrator("status", "1", "--home", home).out
    )
    assert "resume 1" in orchestrator("doctor", "--home", home).out
    resumed = orchestrator("resume", "1", "--home", home, "--json")
    assert resumed.code == 0, resumed.err
    assert resumed.json["recordings"]["done"] == N_MANY


@contextmanager
def stopped_workers(home: Path) -> Iterator[None]:
    """The workers of a home do nothing meanwhile, so that no run ends, however fast the machine."""
    until(lambda: bool(_workers(home)))
    workers = _workers(home)
    for worker in workers:
        os.kill(worker, signal.SIGSTOP)
    try:
        yield
    finally:
        for worker in workers:
            os.kill(worker, signal.SIGCONT)


def _workers(home: Path) -> list[int]:
    commands = {process: Path(f"/proc/{process}/cmdline").read_bytes() for process in processes_of(home)}
    return [process for process, command in commands.items() if b"\0celery\0" in command]


def test_a_second_run_in_the_same_home_is_refused_while_the_first_is_at_work(home: Path, many: Path) -> None:
    with started("run", many, "--until", "preprocess", "--home", home), stopped_workers(home):
        until(lambda: _n_done(home) >= 0)
        for words in (("dispatcher",), ("run", many), ("resume", "1"), ("retry", "1"), ("submit", many)):
            answer = orchestrator(*words, "--home", home)
            assert answer.code == 4, (words, answer.err)
            assert "is running in" in answer.err
        assert len(orchestrator("runs", "--home", home, "--json").json["runs"]) == 1


def test_dispatcher_worker_submit_and_watch_in_four_terminals(home: Path, many: Path) -> None:
    with started("dispatcher", "--home", home):
        until(lambda: orchestrator("workers", "--home", home).code == 0 and _answers(home))
        submitted = orchestrator("submit", many, "--until", "preprocess", "--home", home, "--json")
        assert submitted.code == 0, submitted.err
        with started("watch", "1", "--home", home) as watching:
            assert watching.stderr
            assert watching.stderr.readline()
            watching.send_signal(signal.SIGINT)
            watching.communicate(timeout=20)
            assert watching.returncode == 130
        # Before any worker is there, so that the run cannot be over, however fast the machine.
        assert orchestrator("status", "1", "--home", home, "--json").json["state"] == "active"
        with started("worker", "cpu", "--home", home, "--concurrency", "2"):
            until(lambda: bool(orchestrator("workers", "--home", home, "--json").json["workers"]))
            assert orchestrator("watch", "1", "--home", home, "--json").json["recordings"]["done"] == N_MANY


def test_a_cancelled_run_stops_and_its_finished_strips_stay(home: Path, many: Path) -> None:
    with started("run", many, "--until", "preprocess", "--home", home) as process:
        until(lambda: _n_done(home) > 0)
        assert orchestrator("cancel", "1", "--home", home).code == 0
        process.communicate(timeout=30)
        assert process.returncode == 1
    seen = orchestrator("status", "1", "--home", home, "--json").json
    assert seen["state"] == "cancelled"
    assert seen["recordings"]["cancelled"] > 0
    assert seen["recordings"]["done"] > 0


def test_the_doctor_finds_a_damaged_strip_and_has_it_made_again(home: Path, tmp_path: Path) -> None:
    tones = write_class_folders(tmp_path / "tones", TONES, per_label=3, seconds=0.5)
    orchestrator("run", tones, "--until", "preprocess", "--home", home)
    assert orchestrator("doctor", "--home", home).code == 0
    strips = sorted((home / "store" / "strips").rglob("*.png"))
    before = strips[0].read_bytes()
    strips[0].write_bytes(before[:-1])
    strips[1].unlink()
    sick = orchestrator("doctor", "--home", home)
    assert sick.code == 1
    assert "differs from what was written" in sick.out
    assert "missing from the store" in sick.out
    repaired = orchestrator("doctor", "--repair", "--home", home)
    assert repaired.code == 0
    assert "orchestrator retry 1" in repaired.out
    assert orchestrator("retry", "1", "--home", home).code == 0
    assert strips[0].read_bytes() == before
    assert strips[1].exists()
    assert orchestrator("doctor", "--home", home).code == 0


def _answers(home: Path) -> bool:
    return (home / "logs" / "broker.log").exists()


def _n_done(home: Path) -> int:
    """Recordings finished in run 1; -1 before it is planned.

    It asks the ledger itself: a command takes seconds, and the run would be over.
    """
    asked = "SELECT sum(item.state = 'done') FROM run JOIN item ON item.run_id = run.id WHERE run.state = 'active'"
    try:
        with closing(sqlite3.connect(f"file:{home / 'ledger.sqlite'}?mode=ro", uri=True)) as ledger:
            ((found,),) = ledger.execute(asked)
    except sqlite3.OperationalError:  # it is not there, or has no tables yet
        return -1
    return -1 if found is None else int(found)
