"""Waiting time of a user: for `--help`, and from `submit` to the first claimed item with a worker already up.

    python benchmarks/start.py DATASET [--times 5]

Prints medians in seconds and, last, one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from db.engine import Database

ORCHESTRATOR = Path(sys.executable).with_name("orchestrator")


def main() -> None:
    """Reads the options, measures, prints: see the head of this file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--times", type=int, default=5)
    arguments = parser.parse_args()
    help_s = statistics.median(help_takes() for _ in range(arguments.times + 1))
    with tempfile.TemporaryDirectory() as home:
        waits = waits_for_first_claim(arguments.dataset, Path(home), arguments.times)
    medians = {name: round(statistics.median(values), 3) for name, values in waits.items()}
    found = {"help_s": round(help_s, 3), **medians}
    for name, value in found.items():
        print(f"{name:32} {value}")
    print(json.dumps(found))


def help_takes() -> float:
    """Seconds of `orchestrator --help`."""
    started = time.perf_counter()
    subprocess.run([str(ORCHESTRATOR), "--help"], check=True, capture_output=True)
    return time.perf_counter() - started


def waits_for_first_claim(dataset: Path, home: Path, times: int) -> dict[str, list[float]]:
    """Every submission has a store of its own, so that there is something to do; planning knows the files by then."""
    dispatcher = started(home, "dispatcher")
    worker: subprocess.Popen[bytes] | None = None
    waits: dict[str, list[float]] = {"submit_to_claim_s": [], "planned_to_claim_s": []}
    try:
        while worker is None or worker.poll() is not None:  # until the dispatcher's broker answers
            time.sleep(1)
            worker = started(home, "worker", "cpu")
            time.sleep(6)
        for _ in range(times):
            delete_strip_rows(home)
            started_at = time.time()
            command = [str(ORCHESTRATOR), "submit", str(dataset), "--until", "preprocess", "--home", str(home)]
            subprocess.run(command, check=True, capture_output=True)
            submitted_at = time.time()
            claimed_at = first_claim(home)
            waits["submit_to_claim_s"].append(claimed_at - started_at)
            waits["planned_to_claim_s"].append(claimed_at - submitted_at)
            wait_until_over(home)
    finally:
        for process in filter(None, (worker, dispatcher)):
            process.send_signal(signal.SIGTERM)
        for process in filter(None, (worker, dispatcher)):
            process.wait(30)
    return waits


def started(home: Path, *words: str) -> subprocess.Popen[bytes]:
    """The command with these words, in this home, silent."""
    command = [str(ORCHESTRATOR), *words, "--home", str(home)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def query(home: Path, sql: str) -> list[tuple[object, ...]]:
    """The rows that a statement gives from the home's ledger."""
    database = Database(f"sqlite:///{home / 'ledger.sqlite'}")
    with database.write() as connection:
        found = connection.exec_driver_sql(sql)
        rows = [tuple(row) for row in found] if found.returns_rows else []
    database.close()
    return rows


def delete_strip_rows(home: Path) -> None:
    """Makes the ledger forget all strips, so that there is work again."""
    query(home, "DELETE FROM artifact")


def first_claim(home: Path) -> float:
    """When the newest run's first item was claimed, by this machine's clock, which is the database's too."""
    while True:
        rows = query(home, "SELECT MIN(started_at) FROM item WHERE run_id = (SELECT MAX(id) FROM run)")
        if rows[0][0] is not None:
            return float(str(rows[0][0]))
        time.sleep(0.02)


def wait_until_over(home: Path) -> None:
    """Returns when no run is active."""
    while query(home, "SELECT id FROM run WHERE state = 'active'"):
        time.sleep(0.2)


if __name__ == "__main__":
    os.environ.pop("CHORUS_HOME", None)
    main()
