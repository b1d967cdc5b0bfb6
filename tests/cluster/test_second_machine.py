"""A second machine joins over TLS with only one service and three addresses; without TLS it is refused.

Slow: two stacks of containers, one of which compiles its own kernels.
"""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from redis import Redis
from redis.exceptions import RedisError

from tests import servers
from tests.cluster.containers import ROOT, Stack, new_project, podman
from tests.recordings import write_class_folders

TONES = {"low": 1000.0, "high": 5000.0}


def address() -> str:
    """This machine's own address, as containers of another network reach it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # nothing is sent: it only chooses the way
        return str(probe.getsockname()[0])


@pytest.fixture(scope="module")
def ports() -> dict[str, int]:
    return {"redis": servers.free_port(), "postgres": servers.free_port()}


@pytest.fixture(scope="module")
def first(images: tuple[str, str], ports: dict[str, int]) -> Iterator[Stack]:
    """Broker, database and dispatcher, published with TLS; no worker."""
    with servers.private_folder("chorus-first") as folder:
        stack = Stack(new_project(), folder, servers.free_port(), ("docker-compose.yml", "deploy/tls.yml"))
        write_class_folders(folder / "data" / "tones", TONES, per_label=6, seconds=1.0)
        stack.prepare(**addresses(ports))
        certify(folder / "secrets", address())
        try:
            stack.up("redis", "postgres", "migrate", "dispatcher")
            yield stack
        finally:
            stack.take_down()


def addresses(ports: dict[str, int]) -> dict[str, str]:
    """What both machines have in their .env."""
    broker = f"rediss://{address()}:{ports['redis']}/0?ssl_cert_reqs=required&ssl_ca_certs=/run/secrets/ca.crt"
    database = f"postgresql+psycopg://chorus@{address()}:{ports['postgres']}/chorus"
    return {
        "CHORUS_BROKER_URL": broker,
        "CHORUS_DATABASE_URL": f"{database}?sslmode=verify-full&sslrootcert=/run/secrets/ca.crt",
        "REDIS_PORT": str(ports["redis"]),
        "POSTGRES_PORT": str(ports["postgres"]),
    }


def certify(secrets: Path, *names: str) -> None:
    command = [ROOT / "deploy" / "make-certificates", *names]
    subprocess.run(command, check=True, capture_output=True, env={"PATH": "/usr/bin:/bin", "CHORUS_SECRETS": secrets})


@pytest.fixture(scope="module")
def second(first: Stack, ports: dict[str, int]) -> Iterator[Stack]:
    """Another project of containers with a copy of two passwords and the authority's certificate, and one service."""
    with servers.private_folder("chorus-second") as folder:
        stack = Stack(new_project(), folder, servers.free_port(), first.described_by)
        shared = {"CHORUS_DATA": str(first.folder / "data"), "CHORUS_STORE": str(first.store)}
        stack.prepare(**addresses(ports), **shared)
        for name in ("redis_password", "postgres_password", "ca.crt"):
            (folder / "secrets" / name).unlink(missing_ok=True)
            shutil.copy(first.folder / "secrets" / name, folder / "secrets" / name)
        try:
            stack.up("cpu-worker")
            yield stack
        finally:
            stack.take_down()


def test_the_second_machine_does_the_work_and_has_started_nothing_else(first, second):
    run = first.submit("/data/tones", "--until", "pack")
    first.await_done(run)
    assert second.containers() == second.containers("cpu-worker")
    host = podman("inspect", second.only("cpu-worker"), "--format", "{{.Config.Hostname}}")
    workers = first.sql(f"SELECT DISTINCT worker FROM item WHERE run_id = {run}")
    assert [row[0].partition("@")[2] for row in workers] == [host]
    assert first.counts(run) == {"done": 12}


def test_redis_answers_whoever_trusts_the_authority_and_knows_the_password_and_nobody_else(first, ports):
    where = {"host": address(), "port": ports["redis"], "socket_timeout": 10}
    trusting = {"ssl": True, "ssl_cert_reqs": "required", "ssl_ca_certs": str(first.folder / "secrets" / "ca.crt")}
    assert Redis(**where, **trusting, password=first.password("redis")).ping()
    for refused in (
        {"password": first.password("redis")},
        {**trusting, "password": "guessed"},
        {"ssl": True, "ssl_cert_reqs": "required", "password": first.password("redis")},
    ):
        with pytest.raises((RedisError, ssl.SSLError, OSError)):
            Redis(**where, **refused).ping()


def test_postgresql_answers_only_over_tls(first, ports):
    where = f"host={address()} port={ports['postgres']} user=chorus dbname=chorus connect_timeout=10"
    known = f"{where} password={first.password('postgres')}"
    authority = first.folder / "secrets" / "ca.crt"
    with psycopg.connect(f"{known} sslmode=verify-full sslrootcert={authority}") as connection:
        assert connection.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone() == (True,)
    for refused in (f"{known} sslmode=disable", f"{where} password=guessed sslmode=require"):
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(refused)
