"""Nothing grows faster than the number of recordings, and memory hardly at all."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from db.engine import Database, DatabaseUnusable

ROOT = Path(__file__).resolve().parents[2]


def test_ten_times_the_recordings_cost_ten_times_the_time_and_little_more_memory() -> None:
    """Slow: fewer recordings would not show how the curve goes on."""
    command = [sys.executable, "-m", "benchmarks.scale", "--sizes", "5000", "50000"]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    small, large = found["rows"]
    assert found["exponents"]["plan_cpu_s"] < 1.3
    assert large["peak_mb"] - small["peak_mb"] < 60, "a thousand bytes a recording would be too many"
    assert large["status_ms"] < 100
    assert large["broker_mb"] < 10


def test_an_error_of_the_drivers_own_cursor_is_named_like_any_other(database: Database) -> None:
    driver = database.engine.dialect.loaded_dbapi
    assert driver is not None
    with pytest.raises(DatabaseUnusable, match="gone"), database.write():
        raise driver.OperationalError("gone")
    with pytest.raises(driver.IntegrityError), database.write():
        raise driver.IntegrityError("ours")
