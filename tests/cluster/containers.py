"""The stack of docker-compose.yml in real containers, and what a test may do to it."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest

from domain.states import State
from tests import servers

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = str(Path(sys.executable).with_name("podman-compose"))
PYTHON_IMAGE = "docker.io/library/python:3.11-slim-bookworm"
SERVED_BY = {
    "python": PYTHON_IMAGE,
    "redis": "docker.io/library/redis:7-bookworm",
    "postgres": "docker.io/library/postgres:15-bookworm",
}
"""Images the stack stands on, by what stands in for them where no registry is in reach."""
_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
_LIMIT_S = 480.0

Counts = dict[str, int]


def podman(*words: str, check: bool = True) -> str:
    """What podman says; fails the test with its complaint."""
    done = subprocess.run(["podman", *words], capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        pytest.fail(f"podman {' '.join(words)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


def require_engine() -> None:
    """Skips, or fails where CI=true, unless containers can be run here."""
    if shutil.which("podman") is None:
        servers.absent("podman", "install it, or run tools/container-host, which makes a machine an engine")
    for kind, image in SERVED_BY.items():
        if subprocess.run(["podman", "image", "exists", image], check=False).returncode != 0:
            pulled = subprocess.run(["podman", "pull", "--quiet", image], capture_output=True, check=False)
            if pulled.returncode != 0:
                servers.absent(image, f"it cannot be pulled; run tools/container-host {kind} {image}")


def built(target: str) -> str:
    """The name of the image built from the Dockerfile's target; layers that did not change are not built again."""
    name = f"dawn-chorus-{target}:latest"
    trusted = ["--volume", f"{_CERTIFICATES}:{_CERTIFICATES}:ro"] if Path(_CERTIFICATES).exists() else []
    podman("build", "--quiet", "--network", "host", *trusted, "--target", target, "--tag", name, str(ROOT))
    return name


@dataclass(frozen=True)
class Stack:
    """One project of containers; its data and store are folders of this machine."""

    project: str
    folder: Path
    flower_port: int
    described_by: tuple[str, ...] = ("docker-compose.yml",)
    _addresses: dict[str, str] = field(default_factory=dict)
    """Of the database, once it was asked for; a container has another one after a start."""

    # --- set up and taken down ------------------------------------------------------------------------------------

    @property
    def store(self) -> Path:
        return self.folder / "store"

    def prepare(self, **settings: str) -> None:
        """Folders, passwords and settings, as docs/howto/cluster.md has a person make them."""
        self.store.mkdir(exist_ok=True)
        os.chown(self.store, 10001, 10001)
        (self.folder / "data").mkdir(exist_ok=True)
        subprocess.run([ROOT / "deploy" / "make-secrets", self.folder / "secrets"], check=True, capture_output=True)
        named = {
            "CHORUS_DATA": self.folder / "data", "CHORUS_STORE": self.store, "CHORUS_SECRETS": self.folder / "secrets",
            "FLOWER_PORT": self.flower_port, "CHORUS_CONCURRENCY": 1, "CHORUS_GPU_CONCURRENCY": 1, **settings,
        }  # fmt: skip
        (self.folder / "env").write_text("".join(f"{name}={value}\n" for name, value in named.items()))

    def compose(self, *words: str, profile: str | None = None, check: bool = True) -> str:
        """What podman-compose says on stdout."""
        chosen = ["--profile", profile] if profile else []
        files = [word for file in self.described_by for word in ("-f", file)]
        command = [COMPOSE, *files, "--env-file", str(self.folder / "env"), "-p", self.project, *chosen, *words]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if check and done.returncode != 0:
            pytest.fail(f"{' '.join(words)} ended with {done.returncode}:\n{done.stdout}{done.stderr[-3000:]}")
        return done.stdout

    def up(self, *words: str, profile: str | None = None, **scale: int) -> None:
        """Brings services up; scale: containers by service, `_` for `-`."""
        if words or not scale:
            self.compose("up", "-d", "--no-recreate", *words, profile=profile)
        for name, n in scale.items():  # podman-compose hears only the last of several --scale
            service = name.replace("_", "-")
            self.compose("up", "-d", "--no-recreate", "--scale", f"{service}={n}", service, profile=profile)

    def watched(self) -> int:
        """Number of workers that Flower lists; 0 before it has started."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.flower_port}/api/workers?status=1")
        token = base64.b64encode(f"chorus:{self.password('flower')}".encode()).decode()
        request.add_header("Authorization", f"Basic {token}")
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return sum(json.load(answer).values())
        except OSError:
            return 0

    def await_watched(self, n_workers: int) -> None:
        """Wait until Flower lists this many workers and has enabled their task events, so that it misses no task."""
        give_up = time.monotonic() + _LIMIT_S
        while self.watched() < n_workers:
            states = podman("ps", "--all", "--format", "{{.Names}} {{.Status}}")
            assert time.monotonic() < give_up, f"{self.watched()} of {n_workers} workers are known:\n{states}"
            time.sleep(0.5)
        for worker in (name for name in self.containers() if "-worker_" in name):
            self.await_log(worker, "Events of group {task} enabled")

    def take_down(self) -> None:
        """Nothing of it is left: podman-compose would forget the containers of a scaled service."""
        if containers := self.containers(all_states=True):
            podman("rm", "--force", "--time", "1", *containers, check=False)
        self.compose("down", "--volumes", check=False)

    def password(self, name: str) -> str:
        return (self.folder / "secrets" / f"{name}_password").read_text()

    # --- containers -----------------------------------------------------------------------------------------------

    def containers(self, service: str | None = None, *, all_states: bool = False) -> list[str]:
        """Names of running containers, of one service or all; the first one first."""
        chosen = ["--filter", f"label=com.docker.compose.project={self.project}"]
        chosen += ["--filter", f"label=com.docker.compose.service={service}"] if service else []
        chosen += ["--all"] if all_states else []
        return sorted(podman("ps", *chosen, "--format", "{{.Names}}").split())

    def only(self, service: str) -> str:
        """The one container of a service that cannot be scaled."""
        (name,) = self.containers(service)
        return name

    def log(self, container: str) -> str:
        done = subprocess.run(["podman", "logs", container], capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    def await_ready(self, worker: str) -> None:
        """Returns once the container's worker takes messages."""
        self.await_log(worker, " ready.")

    def await_log(self, container: str, words: str) -> None:
        """Returns once the container's log holds these words."""
        give_up = time.monotonic() + _LIMIT_S
        while words not in self.log(container):
            assert time.monotonic() < give_up, self.log(container)
            time.sleep(0.5)

    def scale_down(self, service: str, n: int) -> None:
        """Stops all but the first n containers, as `docker compose up --scale` does; podman-compose cannot."""
        for name in self.containers(service)[n:]:
            podman("stop", "--time", "90", name)
            podman("rm", "--force", name)

    def kill(self, container: str) -> None:
        """SIGKILL, and a new start, which an engine's restart policy would see to."""
        podman("kill", container)
        podman("wait", container)
        podman("start", container)
        self._addresses.clear()

    def await_database(self) -> None:
        """Returns once PostgreSQL answers, as after it was killed."""
        give_up = time.monotonic() + _LIMIT_S
        command = ["podman", "exec", self.only("postgres"), "pg_isready", "--quiet", "--username", "chorus"]
        while subprocess.run(command, capture_output=True, check=False).returncode != 0:
            assert time.monotonic() < give_up, self.log(self.only("postgres"))
            time.sleep(0.2)

    # --- runs -----------------------------------------------------------------------------------------------------

    def orchestrator(self, *words: str, check: bool = True) -> str:
        """`docker compose run --rm orchestrator …`."""
        return self.compose("run", "--rm", "-T", "orchestrator", *words, profile="tools", check=check)

    def submit(self, *words: str) -> int:
        """The number of a new run."""
        said = self.orchestrator("submit", *words, "--json")
        return int(json.loads(said.strip().splitlines()[-1])["run"])

    def sql(self, query: str) -> list[list[str]]:
        """Rows of the ledger, as PostgreSQL itself writes them; empty for NULL.

        Asked from this machine: a `podman exec` for each question takes as much of a core as a worker does.
        """
        if not self._addresses:
            address = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
            self._addresses["postgres"] = podman("inspect", self.only("postgres"), "--format", address)
        where = {"host": self._addresses["postgres"], "user": "chorus", "dbname": "chorus", "connect_timeout": 10}
        with psycopg.connect(**where, password=self.password("postgres"), autocommit=True) as connection:
            found = connection.execute(query.encode()).pgresult
        assert found is not None
        cells = [[found.get_value(row, column) for column in range(found.nfields)] for row in range(found.ntuples)]
        return [[(cell or b"").decode() for cell in row] for row in cells]

    def counts(self, run: int) -> Counts:
        """Items by state, as far as there are any."""
        rows = self.sql(f"SELECT state, sum(n) FROM counter WHERE run_id = {run} GROUP BY 1 HAVING sum(n) > 0")
        return {
            state: int(n) for state, n in rows if state in set(State)
        }  # attempts and expiries are counted there too

    def state(self, run: int) -> str:
        return self.sql(f"SELECT state FROM run WHERE id = {run}")[0][0]

    def await_done(self, run: int, disturb: Mapping[float, Callable[[], None]] | None = None) -> None:
        """Waits for the run's end; disturbances by the part of the items that are done when they come, each once."""
        left = sorted((disturb or {}).items())
        give_up = time.monotonic() + _LIMIT_S
        while True:
            counts = self.counts(run)
            done = counts.get("done", 0) / sum(counts.values())
            if left and done >= left[0][0]:
                assert done < 1, f"the run was over before it could be disturbed: {counts}"
                left.pop(0)[1]()
            state = self.state(run)
            if state != "active":
                assert state == "done", (
                    state,
                    counts,
                    self.sql(f"SELECT kind, state, reason FROM job WHERE run_id = {run}"),
                )
                assert not left, "the run was over before it could be disturbed"
                return
            assert time.monotonic() < give_up, f"the run did not end: {counts}"
            time.sleep(0.2)

    # --- what is left ---------------------------------------------------------------------------------------------

    def files(self, *kinds: str) -> dict[str, str]:
        """SHA-256 of every file below these folders of the store, by key."""
        return {
            str(path.relative_to(self.store)): hashlib.sha256(path.read_bytes()).hexdigest()
            for kind in kinds
            for path in sorted((self.store / kind).rglob("*"))
            if path.is_file()
        }

    def forget(self) -> None:
        """No strip and no shard exists any more, and no run is under way: the next one makes all of them again."""
        self.sql("UPDATE run SET state = 'cancelled' WHERE state = 'active'")
        self.sql("DELETE FROM artifact")
        for kind in ("strips", "shards"):
            shutil.rmtree(self.store / kind, ignore_errors=True)


def new_project() -> str:
    """A name that no other stack on this machine has."""
    return f"chorus-test-{secrets.token_hex(3)}"
