"""Redis and PostgreSQL over TLS, with certificates of our own making: trusted ones work, others are refused."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from db.engine import Database, DatabaseUnusable
from db.schema.upgrade import upgrade
from domain.errors import BrokerUnreachable
from domain.states import RunState
from orchestrator.broker import Sender
from orchestrator.planning.request import Request
from settings import Settings
from tests import servers
from tests.e2e.way import carried_out, dataset, home

PASSWORD = "correct-horse-battery"


@dataclass(frozen=True)
class Encrypted:
    """Servers that speak TLS alone, and what their certificates are checked with."""

    broker_url: str
    database_url: str
    authority: Path
    stranger: Path
    """An authority that has signed nothing here."""


def openssl(folder: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


def make_certificates(folder: Path) -> None:
    if shutil.which("openssl") is None:
        servers.absent("openssl", "apt-get install openssl")
    for name in ("authority", "stranger"):
        request = f"req -x509 -newkey rsa:2048 -nodes -days 2 -keyout {name}.key -out {name}.pem -subj /CN={name}"
        openssl(folder, *request.split())
    openssl(
        folder,
        *[
            "req",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            "server.key",
            "-out",
            "server.csr",
            "-subj",
            "/CN=localhost",
        ],
    )
    (folder / "names").write_text("subjectAltName=DNS:localhost")
    signed = "x509 -req -in server.csr -CA authority.pem -CAkey authority.key -CAcreateserial -days 2 -extfile names"
    openssl(folder, *signed.split(), "-out", "server.pem")


@pytest.fixture(scope="module")
def encrypted() -> Iterator[Encrypted]:
    user, port = servers.postgres_user(), servers.free_port()
    with ExitStack() as stack:
        folder = stack.enter_context(servers.private_folder("chorus-tls", owner=user))
        make_certificates(folder)
        if user:
            shutil.chown(folder / "server.key", user)
        command = [str(servers.debian_redis()), "--port", "0", "--tls-port", str(port), "--tls-auth-clients", "no"]
        command += ["--tls-cert-file", "server.pem", "--tls-key-file", "server.key"]
        command += ["--tls-ca-cert-file", "authority.pem", "--requirepass", PASSWORD, "--save", ""]
        stack.enter_context(servers.running(command, folder))
        first = stack.enter_context(servers.postgres(folder, user))
        first.execute(f"ALTER ROLE chorus PASSWORD '{PASSWORD}'")
        first.execute('CREATE DATABASE "tls"')
        first.service.end()
        (folder / "data" / "pg_hba.conf").write_text("host postgres all all trust\nhostssl all all all scram-sha-256\n")
        options = {"ssl": "on", "ssl_cert_file": folder / "server.pem", "ssl_key_file": folder / "server.key"}
        server = stack.enter_context(servers.postgres_again(folder, user, first.port, **options))
        yield Encrypted(
            f"rediss://:{PASSWORD}@localhost:{port}/0?ssl_cert_reqs=required&ssl_ca_certs=",
            f"postgresql+psycopg://chorus:{PASSWORD}@localhost:{server.port}/tls?sslmode=verify-full&sslrootcert=",
            folder / "authority.pem",
            folder / "stranger.pem",
        )


def test_a_run_completes_over_encrypted_connections(encrypted: Encrypted, tmp_path: Path) -> None:
    urls = {
        "broker_url": f"{encrypted.broker_url}{encrypted.authority}",
        "database_url": f"{encrypted.database_url}{encrypted.authority}",
    }
    database = Database(urls["database_url"])
    upgrade(database)
    with database.read() as connection:
        used = connection.exec_driver_sql("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").scalar()
    assert used is True
    database.close()
    with home(tmp_path / "home", **urls) as session:
        seen = carried_out(session, dataset(tmp_path), Request(until="preprocess"))
        assert seen.run.state == RunState.DONE
        logs = "".join(path.read_text() for path in session.settings.logs.iterdir())
    assert PASSWORD not in logs


def test_servers_with_an_untrusted_certificate_are_refused_without_naming_the_password(
    encrypted: Encrypted,
) -> None:
    settings = Settings(broker_url=f"{encrypted.broker_url}{encrypted.stranger}")
    with pytest.raises(BrokerUnreachable, match=r"(?i)certificate verify failed") as broker, Sender(settings) as sender:
        sender.require_broker()
    stranger = Database(f"{encrypted.database_url}{encrypted.stranger}")
    with pytest.raises(DatabaseUnusable, match=r"(?i)certificate verify failed") as database, stranger.read():
        pass
    assert PASSWORD not in str(broker.value) + str(database.value)


def test_a_server_of_another_name_is_refused(encrypted: Encrypted) -> None:
    elsewhere = f"{encrypted.broker_url}{encrypted.authority}".replace("localhost", "127.0.0.1")
    with pytest.raises(BrokerUnreachable, match=r"(?i)mismatch"), Sender(Settings(broker_url=elsewhere)) as sender:
        sender.require_broker()


def test_the_database_refuses_unencrypted_connections(encrypted: Encrypted) -> None:
    plain = encrypted.database_url.partition("?")[0] + "?sslmode=disable"
    with pytest.raises(DatabaseUnusable, match="no encryption"), Database(plain).read():
        pass
