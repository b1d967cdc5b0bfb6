"""Fixtures of every test: real brokers and databases, each test's own."""

from __future__ import annotations

import importlib
import os
import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from db.engine import Database
from tasks.audio.fast.compile_lock import compiling_alone
from tests import buckets, services

_NUMBERS = count(1)


def pytest_configure(config: pytest.Config) -> None:
    """librosa's kernels, which tests compare ours with, compiled before there are several test processes."""
    if not hasattr(config, "workerinput"):
        with compiling_alone():
            for module in ("librosa.util.utils", "librosa.core.audio", "librosa.core.pitch"):
                importlib.import_module(module)


@pytest.fixture
def redis_url() -> Iterator[str]:
    """An empty broker of this test's own, on a unix socket, in Celery's form."""
    with services.private_folder("chorus-redis") as folder, services.redis(folder):
        yield services.redis_url(folder)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[services.Postgres]:
    """One PostgreSQL for the session; take `postgres_url` for a database in it."""
    user = services.postgres_user()
    with services.private_folder("chorus-pg", owner=user) as folder, services.postgres(folder, user) as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: services.Postgres) -> Iterator[str]:
    """A fresh, empty database of this test's own in PostgreSQL."""
    with postgres_server.database(f"test_{next(_NUMBERS)}") as url:
        yield url


@pytest.fixture(scope="session")
def s3_server() -> Iterator[buckets.Server]:
    """One S3 server for the session; take `s3_url` for a place in it."""
    with services.private_folder("chorus-s3") as folder, buckets.seaweedfs(folder) as server:
        yield server


@pytest.fixture
def s3_url(s3_server: buckets.Server) -> Iterator[str]:
    """An empty place on S3 of this test's own; the usual variables say where the server is."""
    with services.environ(s3_server.environment):
        yield f"s3://test-{os.getpid()}/{next(_NUMBERS)}/of a test"


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A database file of this test's own that does not exist yet."""
    return f"sqlite:///{tmp_path / 'ledger.db'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """An empty database; the test runs once in each kind."""
    url: str = request.getfixturevalue({"sqlite": "sqlite_url", "postgresql": "postgres_url"}[request.param])
    return url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """An empty database, open; the test runs once in each kind."""
    opened = Database(database_url)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, without a screen."""
    path = shutil.which("chromium")
    if path is None:
        services.absent("chromium", "apt-get install chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-background-networking"]
        )
        yield chromium
        chromium.close()
