"""The monitor of the embedded stack: behind a password, with tasks a person can read, gone with the stack."""

from __future__ import annotations

import base64
import json
import time
import urllib.request
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

import pytest

from orchestrator.broker import Sender
from orchestrator.execution.dispatcher import Dispatcher
from orchestrator.execution.local_processes import LocalProcesses
from orchestrator.execution.run import DispatcherThread
from orchestrator.planning.request import Request
from orchestrator.planning.submit import submit
from orchestrator.progress import snapshot
from tests import servers
from tests.e2e.way import home
from tests.recordings import write_class_folders
from workers.roles import CPU


def asked(url: str, path: str, *, with_password: bool = True) -> Any:
    """What the monitor answers; None while it is not up. Raises HTTPError when it refuses."""
    place = urlsplit(url)
    request = urllib.request.Request(f"http://{place.hostname}:{place.port}{path}")
    if with_password:
        token = base64.b64encode(f"{place.username}:{place.password}".encode()).decode()
        request.add_header("Authorization", f"Basic {token}")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)
    except HTTPError:
        raise
    except URLError:
        return None


def awaited(url: str, path: str, is_enough: Any) -> Any:
    give_up = time.monotonic() + 400
    while not (found := asked(url, path)) or not is_enough(found):
        assert time.monotonic() < give_up, found
        time.sleep(0.2)
    return found


def test_a_run_with_its_monitor(tmp_path: Path) -> None:
    tones = write_class_folders(tmp_path / "tones", {"low": 1000.0, "high": 5000.0}, per_label=3, seconds=0.5)
    with home(tmp_path / "home", concurrency=1) as session:
        with LocalProcesses(session.settings, session.database, sends_events=True) as stack:
            url = stack.start_flower(servers.free_port())
            stack.start_worker(CPU)
            awaited(url, "/api/workers?status=1", lambda found: list(found.values()) == [True])
            run = submit(session.database, tones, Request(until="preprocess"), lambda _: None).run
            with DispatcherThread(Dispatcher(session.database, Sender(session.settings), session.settings)):
                tasks = awaited(url, "/api/tasks", lambda found: {t["state"] for t in found.values()} == {"SUCCESS"})
                while not snapshot(session.database, run).is_over:
                    time.sleep(0.1)
            assert all(task["args"].startswith(f"run {run}: ") and ".wav" in task["args"] for task in tasks.values())
            with pytest.raises(HTTPError, match="401"):
                asked(url, "/api/tasks", with_password=False)
        assert asked(url, "/healthcheck") is None, "the monitor goes with its stack"
