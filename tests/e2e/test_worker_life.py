"""How a worker begins, ends, and lives beside workers of another version: real processes, told so by signals."""

from __future__ import annotations

import signal
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from db.queries.status import running_work
from domain.retry import MESSAGE_LOST_AFTER_S
from domain.states import Kind, State
from orchestrator.broker import QueueMessage, Sender
from orchestrator.execution.dispatcher import Dispatcher
from orchestrator.execution.local_processes import LocalProcesses
from orchestrator.execution.run import DispatcherThread
from orchestrator.planning.request import Request
from orchestrator.planning.submit import submit
from orchestrator.progress import snapshot
from orchestrator.session import Session
from tasks.runtime.messages import VERSION
from tests.chaos.machines import children_of
from tests.e2e.way import dataset, home
from workers.limits import OPEN_FILES
from workers.roles import CPU, GPU, Role, command, environment


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dataset(tmp_path_factory.mktemp("data"))


@contextmanager
def worker(session: Session, role: Role, app: str = "workers.app") -> Iterator[subprocess.Popen[bytes]]:
    """A worker of ours; what it says stands in the home's `<app>.log`."""
    argv = [app if word == "workers.app" else word for word in command(role, session.settings, f"{role.name}@{app}")]
    with log_of(session, app).open("wb") as log:
        process = subprocess.Popen(argv, env=environment(role, session.settings), stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait(30)


def log_of(session: Session, app: str = "workers.app") -> Path:
    return session.settings.home / f"{app}.log"


def await_that(is_so: Callable[[], bool], session: Session, within_s: float = 120) -> None:
    give_up = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < give_up, log_of(session).read_text()[-3000:]
        time.sleep(0.05)


class NextSender(Sender):
    """Of the next version: its messages have the next number."""

    def send(self, task, queue, messages):
        return super().send(
            task, queue, [QueueMessage({**one.ids, "version": VERSION + 1}, one.description) for one in messages]
        )


def test_a_message_of_another_version_is_put_back_until_a_worker_comes_that_knows_it(tmp_path, tones, monkeypatch):
    monkeypatch.setitem(MESSAGE_LOST_AFTER_S, "cpu", 1000.0)  # nothing is sent again: what is put back is what comes
    with home(tmp_path / "home", concurrency=1) as session, LocalProcesses(session.settings, session.database):
        run = submit(session.database, tones, Request(until="preprocess"), lambda _: None).run
        dispatcher = Dispatcher(session.database, NextSender(session.settings), session.settings)
        with DispatcherThread(dispatcher), worker(session, CPU):
            await_that(lambda: log_of(session).read_text().count("put back") >= 3, session)
            assert snapshot(session.database, run).items[State.DONE] == 0
            with worker(session, CPU, "tests.e2e.next_version_app"):
                await_that(lambda: snapshot(session.database, run).is_over, session)
        assert snapshot(session.database, run).items[State.DONE] == 36


@pytest.mark.skipif(not Path("/proc/self/limits").exists(), reason="Linux shows the limits of a process")
def test_a_child_has_its_limits_and_the_broker_is_for_its_owner_alone(tmp_path):
    with home(tmp_path / "home", concurrency=1) as session, LocalProcesses(session.settings, session.database):
        for place in (session.settings.socket, session.settings.socket.parent, session.settings.home):
            assert stat.S_IMODE(place.stat().st_mode) == 0o700, place
        with worker(session, CPU) as process:
            await_that(lambda: "ready." in log_of(session).read_text(), session)
            (child,) = children_of(process.pid)
            await_that(lambda: soft_limits(child)["Max address space"] != "unlimited", session, within_s=30)
            limits, of_parent = soft_limits(child), soft_limits(process.pid)
    assert (limits["Max core file size"], limits["Max open files"]) == ("0", str(OPEN_FILES))
    assert int(limits["Max address space"]) > session.settings.child_memory_mb << 20
    assert of_parent["Max address space"] == "unlimited"


def soft_limits(process: int) -> dict[str, str]:
    lines = Path(f"/proc/{process}/limits").read_text().splitlines()[1:]
    return {line[:26].strip(): line[26:].split()[0] for line in lines}


HOSTILE = [
    ("preprocess", {"version": VERSION, "run": 1, "items": [1], "path": "/etc/passwd"}, "json"),
    ("preprocess", {"version": VERSION, "run": 1, "items": ["../../etc/passwd"]}, "json"),
    ("pack", ["no", "fields"], "json"),
    ("celery.map", {"task": {"task": "render"}, "it": [[]]}, "json"),
    ("os.system", "id", "json"),
    ("preprocess", {"version": VERSION, "run": 1, "items": [1]}, "pickle"),
]


def test_a_worker_refuses_for_good_what_it_cannot_understand_and_goes_on(tmp_path, tones):
    with home(tmp_path / "home", concurrency=1) as session, LocalProcesses(session.settings, session.database):
        with Sender(session.settings) as sender:
            producer = sender._app.amqp.Producer(sender._connection)
            for task, argument, serializer in HOSTILE:
                sender._app.send_task(task, args=[argument], queue="cpu", serializer=serializer, producer=producer)
            assert sender.queued("cpu") == len(HOSTILE)
            run = submit(session.database, tones, Request(until="preprocess"), lambda _: None).run
            dispatcher = Dispatcher(session.database, Sender(session.settings), session.settings)
            with DispatcherThread(dispatcher), worker(session, CPU):
                await_that(lambda: snapshot(session.database, run).is_over, session)
                await_that(lambda: sender._query(lambda client: client.hlen("unacked")) == 0, session)
                await_that(lambda: sum(sender.refused().values()) == len(HOSTILE), session)
                assert sender.refused() == {"odd content": 3, "unknown task": 2, "odd envelope": 1}
            assert sender.queued("cpu") == 0
        assert snapshot(session.database, run).items[State.DONE] == 36
        log = log_of(session).read_text()
        for refused in ("odd content (1 so far)", "unknown task (1 so far)", "odd envelope (1 so far)"):
            assert f"a message is refused and removed: {refused}" in log
        assert "put back" not in log
        assert "/etc/passwd" not in log, "the log shows no part of a message"


def test_a_worker_with_nothing_to_do_ends_when_it_was_told_to(tmp_path):
    with (
        home(tmp_path / "home", concurrency=1, idle_exit_s=2.0) as session,
        LocalProcesses(session.settings, session.database),
    ):
        with worker(session, CPU) as process:
            assert process.wait(120) == 0
        assert "nothing to do for 2 s" in log_of(session).read_text()


def test_a_worker_asked_to_end_gives_back_at_its_limit_what_it_cannot_finish(tmp_path, tones):
    """Slow: a training has to begin before it can be ended."""
    endless = Request(models=("mlp",), training={"epochs": 100_000, "early_stop_patience": 100_000})
    with (
        home(tmp_path / "home", shutdown_s=3.0) as session,
        LocalProcesses(session.settings, session.database) as stack,
    ):
        run = submit(session.database, tones, endless, lambda _: None).run
        stack.start_worker(CPU)
        dispatcher = Dispatcher(session.database, Sender(session.settings), session.settings)
        with DispatcherThread(dispatcher), worker(session, GPU) as process:
            await_that(lambda: epochs(session, run) > 0, session, within_s=300)
            process.send_signal(signal.SIGTERM)
            asked_s = time.monotonic()
            process.wait(60)
            took_s = time.monotonic() - asked_s
            held = [one for one in running_work(session.database) if one.worker == "gpu@workers.app"]
        assert held == [], "what was not finished waits again, and not until its lease runs out"
        assert 2.5 < took_s < 45
        (training,) = [job for job in snapshot(session.database, run).jobs if job.kind == Kind.TRAIN]
        assert training.state in (State.WAITING, State.SENT)
        assert training.reason_code == "worker_stopped"


def epochs(session: Session, run: int) -> int:
    return max((job.epoch for job in snapshot(session.database, run).jobs if job.kind == Kind.TRAIN), default=0)
