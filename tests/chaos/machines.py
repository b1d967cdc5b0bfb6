"""A cluster for tests to break: a dispatcher and workers as processes of their own, kept up as an init system would."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from redis import Redis

from db.engine import DatabaseUnusable
from domain.states import State
from orchestrator.broker import QueueMessage, Sender
from orchestrator.execution.dispatcher import Dispatcher
from orchestrator.execution.run import DispatcherThread
from orchestrator.planning.request import Request
from orchestrator.planning.submit import submit
from orchestrator.progress import Snapshot, snapshot
from orchestrator.session import Session, open_session
from settings import Settings
from tests import servers
from tests.chaos.calm import N_RECORDINGS, PACK
from workers.lifecycle import die_with
from workers.roles import ROLES, command, environment

ROOT = Path(__file__).resolve().parents[2]
ORCHESTRATOR = str(Path(sys.executable).with_name("orchestrator"))
EMBEDDED = Path(__file__).with_name("embedded")

Disturbance = Callable[[Snapshot], None]


@dataclass
class Machines:
    """Named processes over one broker, one database and one store."""

    session: Session
    commands: dict[str, tuple[list[str], dict[str, str]]] = field(default_factory=dict)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    n_restarts: int = 0

    def start_worker(self, name: str, role: str = "cpu", prefix: Sequence[str] = (), **environ: str) -> None:
        """A worker with the faults of `faulty_app`; prefix: what runs it, such as `ip netns exec`.

        environ: CHAOS, LD_PRELOAD…
        """
        settings = self.session.settings
        words = command(ROLES[role], settings, f"{name}@chaos")
        words = ["tests.chaos.faulty_app" if word == "workers.app" and role == "cpu" else word for word in words]
        self._start(name, [*prefix, *words], environment(ROLES[role], settings) | environ)

    def start_dispatcher(self) -> None:
        self._start("dispatcher", [ORCHESTRATOR, "dispatcher"], self.session.settings.environment())

    def start_command(self, name: str, *words: str, **environ: str) -> None:
        """A command of a person's, such as `watch`; CHAOS reaches a worker that it starts itself."""
        python_path = {"PYTHONPATH": str(EMBEDDED)} if "CHAOS" in environ else {}
        self._start(name, [ORCHESTRATOR, *words], self.session.settings.environment() | environ | python_path)

    def restart_as(self, name: str, *words: str) -> None:
        """Once it has ended, this command of a person's is started in its place."""
        self.commands[name] = ([ORCHESTRATOR, *words], self.commands[name][1])

    def dispatching_thrice(self) -> DispatcherThread:
        """A dispatcher in this process that sends every message three times."""
        settings = self.session.settings
        return DispatcherThread(Dispatcher(self.session.database, SendsThrice(settings), settings))

    def _start(self, name: str, words: list[str], environ: dict[str, str]) -> None:
        self.commands[name] = (words, environ)
        parent = os.getpid()
        with self.log(name).open("ab") as log:
            self.processes[name] = subprocess.Popen(
                words,
                env=environ,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=lambda: die_with(parent),  # noqa: PLW1509  # loaded before the fork, no more
            )

    def log(self, name: str) -> Path:
        self.session.settings.logs.mkdir(parents=True, exist_ok=True)
        return self.session.settings.logs / f"{name}.log"

    def children(self, name: str) -> list[int]:
        """Ids of a worker's pool processes."""
        return children_of(self.processes[name].pid)

    def made(self) -> Counter[str]:
        """How often the workers of `faulty_app` made a strip of each recording, by their own account."""
        journal = self.session.settings.logs / "made"
        return Counter(journal.read_text().splitlines() if journal.exists() else ())

    def received(self, name: str, task: str) -> Counter[str]:
        """Messages of a task that a worker was given: id -> how often."""
        return Counter(re.findall(rf"Task {task}\[([0-9a-f-]+)\] received", self.log(name).read_text()))

    def keep_up(self) -> None:
        """Starts again what has ended."""
        for name, process in list(self.processes.items()):
            if process.poll() is not None:
                self.n_restarts += 1
                self._start(name, *self.commands[name])

    def until_over(self, run: int, disturb: Disturbance | None = None, limit_s: float = 240.0) -> Snapshot:
        """Keeps all up, and disturbs at every look; returns how the run ended."""
        give_up = time.monotonic() + limit_s
        while True:
            try:
                seen = snapshot(self.session.database, run)
            except DatabaseUnusable:  # a disturbance may be just that
                seen = None
            if seen and seen.is_over:
                return seen
            assert time.monotonic() < give_up, self._told(seen)
            self.keep_up()
            if disturb and seen:
                disturb(seen)
            time.sleep(0.05)

    def _told(self, seen: Snapshot | None) -> str:
        logs = "\n".join(f"--- {name}\n{self.log(name).read_text()[-2000:]}" for name in self.processes)
        stand = (seen.items, [(job.kind, job.state, job.reason) for job in seen.jobs]) if seen else "no database"
        return f"the run did not end: {stand}\n{logs}"

    def stop(self, name: str) -> None:
        """Kills a process; its children go with it."""
        process = self.processes.pop(name)
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait(10)

    def end(self) -> None:
        """Kills every process."""
        for name in list(self.processes):
            self.stop(name)


class SendsThrice(Sender):
    """Repeats every message, as a faulty network would."""

    def send(self, task: str, queue: str, messages: Sequence[QueueMessage]) -> int:
        return min([super(SendsThrice, self).send(task, queue, messages) for _ in range(3)])


def soon(seconds: float, do: Callable[..., object], *words: object) -> None:
    """Calls it after so many seconds, if this process still lives."""
    timer = threading.Timer(seconds, do, words)
    timer.daemon = True
    timer.start()


def children_of(parent: int, running: bytes = b"") -> list[int]:
    """Ids of a process's living children, of those whose command line holds a word."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, ppid = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
                words = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if int(ppid) == parent and state != "Z" and running in words:
                found.append(int(entry.name))
    return sorted(found)


@contextmanager
def machines(folder: Path, broker_url: str, **settings: object) -> Iterator[Machines]:
    """Machines that share a broker, with a home, a SQLite file and a store in `folder` unless given others."""
    defaults: dict[str, object] = {"lease_s": 5.0, "concurrency": 2, "broker_url": broker_url}
    session = open_session(Settings(home=folder / "home", **(defaults | settings)))  # type: ignore[arg-type]
    cluster = Machines(session)
    try:
        yield cluster
    finally:
        cluster.end()
        session.database.close()


class Broker:
    """A broker that a test stops and starts; it keeps an append-only file in its folder."""

    def __init__(self, folder: Path, binary: Path | None = None) -> None:
        self.folder, self._binary, self._running = folder, binary, ExitStack()
        self.start()

    @property
    def url(self) -> str:
        return servers.redis_url(self.folder)

    @property
    def client(self) -> Redis:
        return Redis(unix_socket_path=str(self.folder / "s"), socket_timeout=5)

    def start(self) -> None:
        self.service = self._running.enter_context(servers.redis(self.folder, self._binary))

    def kill(self) -> None:
        self.service.end(signal.SIGKILL)

    def __enter__(self) -> Broker:
        return self

    def __exit__(self, *_: object) -> None:
        self.service.process.send_signal(signal.SIGCONT)
        self._running.close()


def at_milestones(*faults: Callable[[], object], every: int = N_RECORDINGS // 8) -> Disturbance:
    """Each fault once, in turn, whenever so many more recordings are done; `left` holds those still to come."""
    left = list(faults)

    def disturb(seen: Snapshot) -> None:
        if left and seen.items[State.DONE] >= every * (len(faults) - len(left) + 1):
            left.pop(0)()

    disturb.left = left  # type: ignore[attr-defined]
    return disturb


def submitted(cluster: Machines, data: Path, request: Request = PACK) -> int:
    return submit(cluster.session.database, data, request, lambda _: None).run


def begun(cluster: Machines, data: Path, request: Request = PACK, **environ: str) -> int:
    """A submitted run, with the worker `a` and a dispatcher at work on it; environ: the worker's, such as CHAOS."""
    run = submitted(cluster, data, request)
    cluster.start_worker("a", **environ)
    cluster.start_dispatcher()
    return run


def drawn(seed: int | None = None) -> random.Random:
    """A generator of random moments; its seed is printed, and CHAOS_SEED repeats it."""
    chosen = int(os.environ.get("CHAOS_SEED", seed if seed is not None else random.SystemRandom().randrange(10**6)))
    print(f"CHAOS_SEED={chosen}")
    return random.Random(chosen)


def kernel_power(*words: str) -> str:
    """What a command only root may run prints; the calling test is absent where this machine forbids it."""
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        servers.absent(f"leave to run {' '.join(words)}", f"run this as root ({done.stderr.strip()})")
    return done.stdout


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A disk of its own, mounted at the folder, of a size such as `2m`."""
    folder.mkdir(parents=True, exist_ok=True)
    kernel_power("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def enlarge(folder: Path, size: str) -> None:
    """Frees space on the disk."""
    subprocess.run(["mount", "-o", f"remount,size={size}", str(folder)], check=True)
