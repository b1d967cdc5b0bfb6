"""Fixtures of every test: real brokers and databases, each test's own."""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from types import ModuleType

import pytest
from playwright.sync_api import Browser, sync_playwright

from db.engine import Database
from tasks.audio.fast.compile_lock import holding_compile_lock
from tasks.audio.preset import Preset, load_preset
from tests import buckets, servers
from tests.shared_data import shared_folder

collect_ignore = ["readers"]  # `make test-readers` runs them, in an environment of their own

_NUMBERS = count(1)
_SUITES = ("models", "services", "e2e", "chaos", "cluster")
"""Folders whose tests carry a mark of the same name."""
_LONGEST = (
    "test_way.py", "test_generator_way.py", "test_real_recordings.py", "test_metadata.py", "test_sessions.py",
    "test_kills.py", "test_training.py", "test_broker.py", "test_s3_way.py", "test_job_interleavings.py",
    "test_checkpoint.py", "test_adversarial.py", "test_every_model.py",
)  # fmt: skip
"""Files that take minutes: one that begins last leaves one of two test processes without work."""
_SERVERS = {"redis_url", "postgres_server", "postgres_url", "s3_server", "s3_url"}


def pytest_configure(config: pytest.Config) -> None:
    """Compiles librosa's kernels, which tests compare ours with, before there are several test processes."""
    if hasattr(config, "workerinput") or _is_librosa_compiled():
        return
    with holding_compile_lock():
        for module in ("librosa.util.utils", "librosa.core.audio", "librosa.core.pitch"):
            importlib.import_module(module)


def _is_librosa_compiled() -> bool:
    """Whether numba keeps the kernels of all three modules; to import them takes five seconds."""
    found = importlib.util.find_spec("librosa")
    assert found is not None
    assert found.origin is not None
    folder = Path(found.origin).parent
    names = {path.name.split("-")[1].partition(".")[0] for path in folder.glob("*/__pycache__/guf-*.nbi")}
    return names >= {"utils", "audio", "pitch"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks each test by its folder and by the servers its fixtures start; puts the longest files first."""
    place = {name: number for number, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: place.get(item.path.name, len(place)))
    for item in items:
        folder = item.path.relative_to(Path(__file__).parent).parts[0]
        if folder in _SUITES:
            item.add_marker(folder)
        elif _SERVERS & set(getattr(item, "fixturenames", ())) or _asks_for_a_server(item):
            item.add_marker("services")


def _asks_for_a_server(item: pytest.Item) -> bool:
    """Whether a parameter names a kind of server: a fixture starts it by that name."""
    callspec = getattr(item, "callspec", None)
    return callspec is not None and any(
        isinstance(value, str) and value in ("postgresql", "s3") for value in callspec.params.values()
    )


@pytest.fixture
def redis_url() -> Iterator[str]:
    """An empty broker of this test's own, on a unix socket, in Celery's form."""
    with servers.private_folder("chorus-redis") as folder, servers.redis(folder):
        yield servers.redis_url(folder)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[servers.Postgres]:
    """One PostgreSQL for the session; take `postgres_url` for a database in it."""
    user = servers.postgres_user()
    with servers.private_folder("chorus-pg", owner=user) as folder, servers.postgres(folder, user) as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: servers.Postgres) -> Iterator[str]:
    """A fresh, empty database of this test's own in PostgreSQL."""
    with postgres_server.database(f"test_{next(_NUMBERS)}") as url:
        yield url


@pytest.fixture(scope="session")
def s3_server() -> Iterator[buckets.Server]:
    """One S3 server for the session; take `s3_url` for a place in it."""
    with servers.private_folder("chorus-s3") as folder, buckets.seaweedfs(folder) as server:
        yield server


@pytest.fixture
def s3_url(s3_server: buckets.Server) -> Iterator[str]:
    """An empty place on S3 of this test's own; the usual variables say where the server is."""
    with servers.environ(s3_server.environment):
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
        servers.absent("chromium", "apt-get install chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-background-networking"]
        )
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def preset() -> Preset:
    return load_preset("birdclef2021")


@pytest.fixture(scope="session")
def reference() -> ModuleType:
    """The yardstick of the preset, from the shared folder; skips where that is absent."""
    folder = shared_folder()
    if folder is None:
        pytest.skip("no shared reference pipeline here; set CHORUS_SHARED to run this")
    spec = importlib.util.spec_from_file_location("reference_pipeline", folder / "bench" / "reference_pipeline.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
