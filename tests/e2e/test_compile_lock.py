"""One process of an installation compiles kernels at a time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tasks.audio.fast import compile_lock

_HOLD = """
import time
from tasks.audio.fast.compile_lock import holding_compile_lock
with holding_compile_lock():
    print("inside", flush=True)
    time.sleep(60)
"""


def _holder() -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", _HOLD], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "inside\n"
    return process


def test_a_process_waits_for_the_lock_until_its_holder_dies() -> None:
    with _holder() as first, subprocess.Popen([sys.executable, "-c", _HOLD], stdout=subprocess.PIPE) as second:
        try:
            assert second.stdout is not None
            os.set_blocking(second.stdout.fileno(), False)
            time.sleep(1.5)
            assert second.stdout.read() is None
            first.send_signal(signal.SIGKILL)
            os.set_blocking(second.stdout.fileno(), True)
            assert second.stdout.readline() == b"inside\n"
        finally:
            first.kill()
            second.kill()


def test_a_process_continues_without_the_lock_after_the_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compile_lock, "_TIMEOUT_S", 0.2)
    with _holder() as holder:
        try:
            began = time.monotonic()
            with compile_lock.holding_compile_lock():
                assert 0.2 <= time.monotonic() - began < 5
        finally:
            holder.kill()


def test_two_new_workers_compile_each_kernel_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import tasks.audio.strip; tasks.audio.strip.warm()"]
    fresh = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "NUMBA_DEBUG_CACHE": "1"}
    workers = [subprocess.Popen(command, env=fresh, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [worker.communicate(timeout=240)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0]
    saved = Counter(line for lines in outputs for line in lines.splitlines() if "data saved to" in line)
    assert len(saved) > 5
    assert set(saved.values()) == {1}
