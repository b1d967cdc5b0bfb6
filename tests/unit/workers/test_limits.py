"""A child that takes too much is stopped by the kernel; each runs in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from workers.roles import CPU

ROOT = Path(__file__).resolve().parents[3]


def ended(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", f"from workers import limits\n{code}"],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="address space is bounded on Linux alone")
def test_memory_beyond_the_limit_is_not_given() -> None:
    code = "limits.limit_child(200 << 20)\nbytearray(100 << 20)\nprint('some')\nbytearray(400 << 20)"
    done = ended(code)
    assert done.stdout == "some\n"
    assert done.stderr.strip().endswith("MemoryError")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is bounded on Linux alone")
def test_a_parent_has_a_limit_which_its_children_lift() -> None:
    code = (
        "limits.limit_parent()\nbytearray(300 << 20)\n"
        "try: bytearray(900 << 20)\nexcept MemoryError: print('refused')\n"
        "limits.lift_parent_limit()\nbytearray(900 << 20)\nprint('lifted')"
    )
    done = ended(code)
    assert (done.stdout, done.stderr) == ("refused\nlifted\n", "")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is bounded on Linux alone")
def test_a_limit_of_the_machines_owner_stays() -> None:
    code = (
        "import resource as r\nr.setrlimit(r.RLIMIT_DATA, (2 << 30, r.RLIM_INFINITY))\n"
        "limits.limit_parent()\nlimits.lift_parent_limit()\nprint(r.getrlimit(r.RLIMIT_DATA)[0] == 2 << 30)"
    )
    assert ended(code).stdout == "True\n"


def test_a_loop_without_end_is_ended_by_its_processor_time() -> None:
    assert ended("limits.limit_processor_time(0.1)\nsum(__import__('itertools').repeat(0))").returncode == -(
        signal.SIGXCPU
    )


def test_the_next_message_has_its_own_time() -> None:
    code = (
        "import time\nfor _ in range(3):\n    limits.limit_processor_time(1)\n    end = time.process_time() + 0.9\n"
        "    while time.process_time() < end: pass\nlimits.limit_processor_time(None)\nprint('well')"
    )
    assert ended(code).stdout == "well\n"


def test_files_beyond_the_limit_are_not_opened() -> None:
    code = "limits.limit_child(1 << 30)\nfiles = [open('/dev/null') for _ in range(limits.OPEN_FILES)]"
    assert "Too many open files" in ended(code).stderr


def test_a_crash_leaves_no_core_file() -> None:
    code = "import resource\nlimits.disable_core_dumps()\nprint(resource.getrlimit(resource.RLIMIT_CORE))"
    assert ended(code).stdout == "(0, 0)\n"


ASKED_OF_A_BUCKET = """
import datetime, os, pathlib
from db.store import objects
objects._GIVEN_UP_AFTER = datetime.timedelta(0)
def taken():
    return int(pathlib.Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
before = taken()
try:
    objects.Objects("s3://nobody/there", allows_plain_http=True).get("x")
except objects.StoreUnreachable:
    print((taken() - before) >> 20)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="address space is bounded on Linux alone")
def test_a_bucket_takes_little_of_a_childs_address_space_however_many_cores_there_are() -> None:
    keys = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "x"}
    refusing = {**keys, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    as_if_of_many_cores = {"TOKIO_WORKER_THREADS": "64"}
    done = ended(ASKED_OF_A_BUCKET, **refusing, **{**as_if_of_many_cores, **CPU.environment})
    assert int(done.stdout) < 500, done.stderr


PUT_PACKED_AND_DRAWN = """
import os, pathlib
from concurrent.futures import ThreadPoolExecutor
def taken():
    return int(pathlib.Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
before = taken()
for _ in range(20):
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda size: len(bytearray(size)), [100_000] * 64))
import pyarrow
pyarrow.array([b"x" * 1000] * 10_000)
import matplotlib.figure, sklearn.metrics
print((taken() - before) >> 20)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="address space is bounded on Linux alone")
def test_a_child_that_puts_packs_and_draws_leaves_most_of_its_address_space_to_recordings() -> None:
    done = ended(PUT_PACKED_AND_DRAWN, **CPU.environment)
    assert 0 < int(done.stdout) < 1000, done.stderr
