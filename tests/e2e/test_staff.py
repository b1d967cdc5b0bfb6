"""The list of workers and their current work, runs that no worker serves, and the dispatcher's metrics."""

from __future__ import annotations

import socket
import urllib.request
from pathlib import Path

from tests import servers
from tests.e2e.command import orchestrator, started, until
from tests.recordings import write_class_folders

TONES = {"high": 6000.0, "low": 1000.0}


def test_a_run_without_a_gpu_worker_says_so_at_once_and_workers_say_who_and_where_they_are(
    tmp_path: Path,
) -> None:
    """Slow: a dozen commands, each a process, and figures that are measured every fifteen seconds."""
    home, port = tmp_path / "home", servers.free_port()
    tones = write_class_folders(tmp_path / "tones", TONES, per_label=12, seconds=0.5)
    with started("dispatcher", "--home", home, CHORUS_METRICS_PORT=str(port)) as dispatcher:
        until(lambda: orchestrator("workers", "--home", home).out == "no worker answers\n", within_s=120)
        lonely = orchestrator("submit", tones, "--models", "cnn", "--home", home)
        assert lonely.code == 0, lonely.err
        assert "no worker serves the queue cpu (preprocess, pack, render)" in lonely.err
        assert "no worker serves the queue gpu (train, evaluate)" in lonely.err
        with started("worker", "cpu", "--concurrency", "1", "--home", home):
            until(lambda: orchestrator("workers", "--home", home, "--json").json["workers"] != [], within_s=120)
            [worker] = orchestrator("workers", "--home", home, "--json").json["workers"]
            assert (worker["host"], worker["role"], worker["queues"]) == (socket.gethostname(), "cpu", ["cpu"])
            assert worker["device"] == "CPU, 1 at a time"
            assert worker["progress_age_s"] >= 0
            assert worker["worker"] in orchestrator("workers", "--home", home).out
            status = orchestrator("status", "1", "--home", home)
            assert (
                "no worker serves the queue gpu (train, evaluate); start one with: orchestrator worker gpu"
                in status.out
            )
            assert "queue cpu" not in status.out
            assert len(orchestrator("status", "1", "--home", home, "--json").json["unserved"]) == 1
            until(lambda: 'chorus_items{state="done"} 24.0' in metrics(port), within_s=120)
            until(lambda: 'chorus_consumers{queue="cpu"} 1.0' in metrics(port), within_s=60)  # asked every 15 s
            assert 'chorus_consumers{queue="gpu"} 0.0' in metrics(port)
            assert str(home) not in metrics(port)
        assert dispatcher.poll() is None


def metrics(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        return str(answer.read().decode())
