"""The whole way in a home of its own: real broker, real worker processes, a dispatcher in this process."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis

from orchestrator.broker import Sender
from orchestrator.execution.dispatcher import Dispatcher
from orchestrator.execution.local_processes import LocalProcesses
from orchestrator.execution.run import DispatcherThread
from orchestrator.planning.request import Request
from orchestrator.planning.submit import submit
from orchestrator.progress import Snapshot, snapshot
from orchestrator.session import Session, open_session
from settings import Settings
from tests.recordings import write_class_folders
from workers.roles import CPU, GPU

TONES = {"high": 6000.0, "low": 1000.0, "middle": 3000.0}
QUICK = Request(models=("mlp",), training={"epochs": 2})
"""The smallest network: what a way leaves does not depend on which one is trained."""

Disturbance = Callable[["Way", Snapshot], None]


@dataclass(frozen=True)
class Way:
    """A run under way, and what a test may do to it."""

    session: Session
    stack: LocalProcesses
    run: int

    @property
    def broker(self) -> redis.Redis:
        """The embedded broker, spoken to directly."""
        return redis.Redis(unix_socket_path=str(self.session.settings.socket))


def dataset(folder: Path) -> Path:
    """Three classes of tones, twelve recordings of a second each."""
    return write_class_folders(folder / "tones", TONES, per_label=12, seconds=1.0)


@contextmanager
def home(folder: Path, **settings: object) -> Iterator[Session]:
    """A session in a home of its own, with short leases.

    One training at a time: each further child of a gpu worker imports TensorFlow, and two test processes share two
    cores.
    """
    chosen = {"lease_s": 5.0, "gpu_concurrency": 1} | settings
    session = open_session(Settings(home=folder, **chosen))  # type: ignore[arg-type]
    yield session
    session.database.close()


def carried_out(
    session: Session,
    path: Path,
    request: Request = QUICK,
    disturb: Disturbance | None = None,
    sender: type[Sender] = Sender,
    limit_s: float = 600.0,
) -> Snapshot:
    """Submits and carries out a run, disturbing it at every look; returns how it ended."""
    run = submit(session.database, path, request, lambda _: None).run
    return carried_on(session, run, disturb, sender, limit_s, trains=request.until in ("all", "train"))


def carried_on(
    session: Session,
    run: int,
    disturb: Disturbance | None = None,
    sender: type[Sender] = Sender,
    limit_s: float = 600.0,
    *,
    trains: bool,
) -> Snapshot:
    """Carries out a run that stands in the ledger; returns how it ended."""
    with LocalProcesses(session.settings, session.database) as stack:
        stack.start_worker(CPU)
        if trains:
            stack.start_worker(GPU)
        dispatcher = Dispatcher(session.database, sender(session.settings), session.settings, only_run=run)
        with DispatcherThread(dispatcher) as thread:
            return _watched(Way(session, stack, run), thread, disturb, time.monotonic() + limit_s)


def _watched(way: Way, thread: DispatcherThread, disturb: Disturbance | None, give_up: float) -> Snapshot:
    while True:
        seen = snapshot(way.session.database, way.run)
        if seen.is_over:
            return seen
        assert time.monotonic() < give_up, f"the run did not end: {seen.items}, {[job.state for job in seen.jobs]}"
        if disturb:
            disturb(way, seen)
        thread.require_alive()
        way.stack.watch()
        time.sleep(0.05)


def files(session: Session, *kinds: str) -> dict[str, str]:
    """SHA-256 of every file below these folders of the store, by key."""
    found: dict[str, str] = {}
    for kind in kinds:
        for path in sorted((session.store.folder / kind).rglob("*")):
            if path.is_file():
                found[str(path.relative_to(session.store.folder))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found
