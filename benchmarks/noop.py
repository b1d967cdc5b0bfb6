"""Items a second through ledger, broker and Celery together, when the work itself is nothing.

    python -m benchmarks.noop [--items 100000] [--children 2] [--database-url postgresql+psycopg://…]

A made-up run, one cpu worker with real children, the dispatcher in this process. Prints the CPU time each process
took and, last, one line of JSON: items a second from the first claim to the last, and microseconds of CPU an item.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

from db.engine import Database
from db.ledger import planning
from db.schema import upgrade
from domain.work import PlannedItem
from orchestrator.broker import Sender
from orchestrator.execution.dispatcher import Dispatcher
from orchestrator.execution.local_processes import LocalProcesses
from orchestrator.execution.run import DispatcherThread
from orchestrator.progress import snapshot
from settings import Settings
from workers.roles import CPU, command, environment

ROOT = Path(__file__).resolve().parents[1]
WORK_S = 0.005
"""What the plan thinks an item takes: two hundred share a message, the most that may."""


def main() -> None:
    """Reads the options, measures, prints: see the head of this file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--children", type=int, default=2)
    parser.add_argument("--database-url", default="")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        settings = Settings(home=Path(home), concurrency=arguments.children, database_url=arguments.database_url)
        database = Database(settings.database)
        upgrade.upgrade(database)
        run = made_up_run(database, arguments.items)
        print(json.dumps(measured(settings, database, run, arguments.items)))


def made_up_run(database: Database, n_items: int) -> int:
    """A run of so many items of made-up recordings, active; its number."""
    dataset = planning.ensure_dataset(database, "/made-up", "made up")
    pipeline = planning.ensure_pipeline(database, "0" * 64, "none", {})
    run = planning.begin_run(database, dataset, pipeline, {"models": []})
    rows = (
        planning.RecordingRow(f"{n}.wav", "a", None, None, None, None, 1, 1, f"{n:064x}", 1, 1, is_on_trust=False)
        for n in range(n_items)
    )
    ids = list(planning.ensure_recordings(database, dataset, rows))
    items = (PlannedItem(row, 0, 0, -1, 0, "a", row, WORK_S) for row in ids)
    planning.add_items(database, run, pipeline, items)
    planning.activate_run(database, run, [], labels=["a"], split={}, facts={"recordings": n_items})
    return run


def measured(settings: Settings, database: Database, run: int, n_items: int) -> dict[str, float]:
    """Items a second, and microseconds of CPU an item, from a worker that makes nothing of them."""
    argv = ["benchmarks.noop_app" if word == "workers.app" else word for word in command(CPU, settings, "noop@here")]
    with LocalProcesses(settings, database), (settings.home / "worker.log").open("wb") as log:
        environ = environment(CPU, settings) | {"PYTHONPATH": str(ROOT)}
        with subprocess.Popen(argv, env=environ, cwd=ROOT, stdout=log, stderr=log) as worker:
            try:
                with DispatcherThread(Dispatcher(database, Sender(settings), settings, only_run=run)):
                    before_s = time.process_time()
                    wait(database, run)
                    dispatcher_s = time.process_time() - before_s
                workers_s = sum(cpu_seconds(process) for process in (worker.pid, *children(worker.pid)))
            finally:
                worker.kill()
    with database.read() as connection:
        first, last = connection.exec_driver_sql("SELECT MIN(started_at), MAX(finished_at) FROM item").one()
    print(f"CPU seconds: dispatcher {dispatcher_s:.1f}, worker and its children {workers_s:.1f}")
    a_second, cpu_us = n_items / (last - first), 1e6 * (dispatcher_s + workers_s) / n_items
    return {"items": n_items, "items_a_second": round(a_second), "cpu_us_an_item": round(cpu_us)}


def wait(database: Database, run: int) -> None:
    """Returns when nothing of the run is left to do."""
    while not snapshot(database, run).is_over:
        time.sleep(0.5)


def children(parent: int) -> list[int]:
    """The processes that this one has started."""
    return [int(child) for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]


def cpu_seconds(process: int) -> float:
    """User and system time; the start of the process included."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
