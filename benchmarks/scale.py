"""How time and memory of planning, feeding and asking grow with the number of recordings.

    python -m benchmarks.scale [--sizes 1000 10000 100000 1000000] [--database-url postgresql+psycopg://…] [--plot FILE]

Plans a csv of made-up names with --trust-csv, each size in a process of its own: rows a second and CPU time, which
other load beside it does not stretch as much, peak resident memory, the median time of a status query and of filling
the broker's window, and the memory the broker then holds. Prints a table and, last, one line of JSON with the rows and
the exponent of each curve (1: linear), fitted over the last decade.
With a database's URL, the database is used as it is and must be empty.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import redis

from db.engine import Database
from db.queries import status
from db.schema import upgrade
from orchestrator.broker import Sender
from orchestrator.execution.dispatcher import Dispatcher
from orchestrator.execution.local_processes import LocalProcesses
from orchestrator.planning.request import Request
from orchestrator.planning.submit import submit
from orchestrator.progress import snapshot
from settings import Settings

SPECIES, AUTHORS = 397, 20_000
TITLES = {
    "plan_s": "planning, s",
    "plan_cpu_s": "planning, s of CPU",
    "peak_mb": "peak memory, MB",
    "status_ms": "status, ms",
    "feed_ms": "window filled, ms",
    "ledger_mb": "ledger, MB",
}
CURVES = tuple(TITLES)


def main() -> None:
    """Reads the options, measures, prints: see the head of this file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--database-url", default="")
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)  # how this file calls itself
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measured(arguments.one, arguments.database_url)))
        return
    rows = [in_its_own_process(size, arguments.database_url) for size in arguments.sizes]
    if arguments.plot:
        draw(rows, arguments.plot)
    print(json.dumps({"rows": rows, "exponents": {curve: exponent(rows, curve) for curve in CURVES}}))


def in_its_own_process(size: int, url: str) -> dict[str, float]:
    """The figures of one size, measured where nothing has grown before, and printed."""
    command = [sys.executable, "-m", "benchmarks.scale", "--one", str(size), "--database-url", url]
    row: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    print(
        f"{size:>9,} recordings: planned in {row['plan_s']:.1f} s ({row['rows_a_second']:,.0f}/s), "
        f"{row['plan_cpu_s']:.1f} s of CPU, again in {row['again_s']:.1f} s, peak {row['peak_mb']:.0f} MB, "
        f"status {row['status_ms']:.1f} ms, window filled in {row['feed_ms']:.0f} ms, "
        f"broker {row['broker_mb']:.1f} MB, ledger {row['ledger_mb']:.0f} MB",
        flush=True,
    )
    return row


def measured(size: int, url: str) -> dict[str, float]:
    """Seconds, memory and sizes at this number of recordings."""
    with tempfile.TemporaryDirectory() as folder:
        table = made_up(Path(folder) / "data", size)
        settings = Settings(home=Path(folder) / "home", database_url=url)
        database = Database(settings.database)
        upgrade.upgrade(database)
        request = Request(until="preprocess", trust_csv=True)
        begun_s = time.process_time()
        plan_s = seconds(lambda: submit(database, table, request, lambda _: None))
        plan_cpu_s = time.process_time() - begun_s
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        again_s = seconds(lambda: submit(database, table, request, lambda _: None))
        found = {"size": size, "plan_s": plan_s, "plan_cpu_s": plan_cpu_s, "rows_a_second": size / plan_s}
        found |= {"peak_mb": peak_mb, "again_s": again_s} | asked(database) | fed(settings, database)
        return {name: round(value, 3) for name, value in found.items()}


def made_up(folder: Path, size: int) -> Path:
    """A csv of `size` names without files."""
    folder.mkdir(parents=True)
    with (folder / "recordings.csv").open("w") as table:
        table.write("path,label,author\n")
        for n in range(size):
            table.write(f"sp{n % SPECIES}/XC{n:08d}.ogg,sp{n % SPECIES},author {n * 7919 % AUTHORS}\n")
    return folder / "recordings.csv"


def asked(database: Database) -> dict[str, float]:
    """What `status` and a progress bar ask."""

    def ask() -> None:
        snapshot(database, 1)
        status.recording_counts(database, 1)

    return {"status_ms": 1000 * statistics.median(seconds(ask) for _ in range(7))}


def fed(settings: Settings, database: Database) -> dict[str, float]:
    """The dispatcher's first step, which fills the broker's window; no worker takes anything out."""
    with LocalProcesses(settings, database):
        dispatcher = Dispatcher(database, Sender(settings), settings, only_run=1)
        feed_ms = 1000 * seconds(dispatcher.step)
        memory = redis.Redis(unix_socket_path=str(settings.socket)).info("memory")
        size = database_bytes(database, settings)
        dispatcher.close()
    return {"feed_ms": feed_ms, "broker_mb": float(memory["used_memory"]) / 1e6, "ledger_mb": size / 1e6}


def database_bytes(database: Database, settings: Settings) -> int:
    """What the ledger takes on the disk."""
    if database.is_sqlite:
        return sum(path.stat().st_size for path in settings.home.glob("ledger.sqlite*"))
    with database.read() as connection:
        return int(connection.exec_driver_sql("SELECT pg_database_size(current_database())").scalar_one())


def seconds(what: Callable[[], object]) -> float:
    """By the wall clock, of one call."""
    started = time.perf_counter()
    what()
    return time.perf_counter() - started


def exponent(rows: list[dict[str, float]], curve: str) -> float | None:
    """The slope of the curve's last stretch on logarithmic axes."""
    if len(rows) < 2:
        return None
    before, last = rows[-2:]
    return round(math.log(last[curve] / before[curve]) / math.log(last["size"] / before["size"]), 2)


def draw(rows: list[dict[str, float]], path: Path) -> None:
    """Each curve on logarithmic axes, with its exponent, into an image file."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 3, figsize=(11, 5.4), layout="constrained")
    for axis, (curve, title) in zip(axes.flat, TITLES.items(), strict=True):
        axis.loglog([row["size"] for row in rows], [row[curve] for row in rows], "o-")
        axis.set(title=f"{title}: exponent {exponent(rows, curve)}", xlabel="recordings")
        axis.grid(visible=True, alpha=0.3)
    figure.savefig(path, dpi=90)


if __name__ == "__main__":
    main()
