"""Recordings a second: `orchestrator run --until preprocess` against joblib over the same pure function.

    python benchmarks/pipeline.py DIR [--processes 2] [--pairs 3] [--reference]

Both are whole processes, from start to end, run alternately; each run has a fresh home, each joblib a fresh folder.
`steady` leaves out the starting and stopping: from the first claim to the last strip in the ledger, and joblib's
parallel call after its workers are warm and the files are hashed. Prints a table, the split of our own CPU time over
one process's worth of the recordings, and, last, one line of JSON with medians and ratios (ours to joblib's recordings
a second: 1 is as fast). --reference: the plain librosa and noisereduce pipeline under joblib as well.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
from threadpoolctl import threadpool_limits

from benchmarks.pure import one, plain
from db.engine import Database
from db.ledger.claims import ItemClaim, Ledger, Outcome
from db.ledger.feeding import take_batches
from db.schema import upgrade
from db.store.folder import FolderStore
from domain.errors import Unusable
from domain.retry import event_of
from domain.states import State
from orchestrator.execution.dispatcher import LARGEST_MESSAGE_S
from orchestrator.planning.request import Request
from orchestrator.planning.submit import submit
from tasks.audio.strip import warm
from tasks.dataset.layouts import Row, open_layout
from tasks.dataset.manifest import file_digest
from tasks.preprocess import strip_file
from tasks.runtime.sources import Sources

ROOT = Path(__file__).resolve().parents[1]
Rival = Callable[[Path, Path, int], dict[str, float]]


def main() -> None:
    """Reads the options, measures, prints: see the head of this file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--reference", action="store_true")
    parser.add_argument("--plain", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--joblib-into", type=Path, help=argparse.SUPPRESS)  # how this file calls itself
    arguments = parser.parse_args()
    if arguments.joblib_into:
        made = plain if arguments.plain else one
        print(json.dumps(by_joblib(made, arguments.dataset, arguments.joblib_into, arguments.processes)))
        return
    rivals = {"ours": run_ours, "joblib": run_joblib} | ({"reference": run_reference} if arguments.reference else {})
    found = compare(rivals, arguments.dataset, arguments.processes, arguments.pairs)
    print(json.dumps(found | {"cpu_ms_a_recording": split(arguments.dataset)}))


def compare(rivals: dict[str, Rival], dataset: Path, processes: int, pairs: int) -> dict[str, object]:
    """Medians and ratios of the programs, which run alternately; each pair is printed as it ends."""
    rows = []
    for pair in range(pairs):
        with tempfile.TemporaryDirectory() as folder:
            order = list(rivals.items())[:: 1 if pair % 2 == 0 else -1]
            rows.append({name: run(dataset, Path(folder), processes) for name, run in order})
        for name, found in rows[-1].items():
            print(f"{name:9} {found['n']} recordings, whole {found['whole_s']:.1f} s, steady {found['steady_s']:.1f} s")
    return summary(rows, processes)


def summary(rows: list[dict[str, dict[str, float]]], processes: int) -> dict[str, object]:
    """Recordings a second of each rival, and the ratios of ours to them: medians over the rows."""

    def rate(name: str, part: str) -> float:
        return statistics.median(row[name]["n"] / row[name][f"{part}_s"] for row in rows)

    found: dict[str, object] = {"processes": processes, "pairs": len(rows), "recordings": rows[0]["ours"]["n"]}
    for part in ("whole", "steady"):
        found |= {f"{name}_{part}_a_second": round(rate(name, part), 3) for name in rows[0]}
        for name in rows[0]:
            if name != "ours":
                found[f"ratio_{part}_to_{name}"] = round(rate("ours", part) / rate(name, part), 3)
    return found


def run_ours(dataset: Path | str, folder: Path, processes: int, **settings: str) -> dict[str, float]:
    """Runs the command line in a fresh home; returns recordings, and seconds in all and in the steady state."""
    home = folder / "home"
    orchestrator = str(Path(sys.executable).with_name("orchestrator"))
    command = [orchestrator, "run", str(dataset), "--until", "preprocess", "--home", str(home), "--json"]
    environment = os.environ | {"CHORUS_CONCURRENCY": str(processes)} | settings
    started = time.perf_counter()
    done = subprocess.run(command, check=False, capture_output=True, env=environment)
    whole_s = time.perf_counter() - started
    if done.returncode not in (0, 3):
        sys.exit(done.stderr.decode())
    database = Database(f"sqlite:///{home / 'ledger.sqlite'}")
    with database.read() as connection:
        ends = "SELECT MIN(started_at), MAX(finished_at) FROM item WHERE attempts > 0"
        first, last = connection.exec_driver_sql(ends).one()
    database.close()
    return {"n": json.loads(done.stdout)["recordings"]["total"], "whole_s": whole_s, "steady_s": last - first}


def run_joblib(dataset: Path, folder: Path, processes: int, *options: str) -> dict[str, float]:
    """The same of this file, called as the rival; options: further words for it."""
    command = [sys.executable, __file__, str(dataset), "--processes", str(processes), *options]
    command += ["--joblib-into", str(folder / "joblib")]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    environment = os.environ | threads | {"PYTHONPATH": str(ROOT)}
    started = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, env=environment)
    return {"whole_s": time.perf_counter() - started, **json.loads(done.stdout)}


def run_reference(dataset: Path, folder: Path, processes: int) -> dict[str, float]:
    """The same with the plain pipeline as the function that joblib maps."""
    return run_joblib(dataset, folder, processes, "--plain")


def by_joblib(made: Callable[[Path, str, Path], None], dataset: Path, into: Path, processes: int) -> dict[str, float]:
    """Seconds of the parallel call alone, after hashing and after every process has worked twice."""
    layout = open_layout(dataset)
    paths = [layout.root / row.uri for row in layout.rows() if isinstance(row, Row)]
    digests = joblib.Parallel(n_jobs=8, backend="threading")(joblib.delayed(file_digest)(path) for path in paths)
    work = list(zip(paths, digests, strict=True))
    with joblib.Parallel(n_jobs=processes) as parallel:
        parallel(joblib.delayed(made)(path, digest, into / "warm") for path, digest in work[: 2 * processes])
        started = time.perf_counter()
        parallel(joblib.delayed(made)(path, digest, into) for path, digest in work)
        steady_s = time.perf_counter() - started
    return {"n": len(paths), "steady_s": steady_s}


def split(dataset: Path) -> dict[str, float]:
    """CPU milliseconds a recording of each part, all in one process, one after the other, as in a worker."""
    spent: Counter[str] = Counter()

    def timed(name: str, what: Callable[[], Any]) -> Any:
        began_s = time.process_time()
        done = what()
        spent[name] += time.process_time() - began_s
        return done

    class TimedStore(FolderStore):
        def put(self, key: str, data: bytes) -> int:
            return int(timed("store", lambda: super(TimedStore, self).put(key, data)))

    with tempfile.TemporaryDirectory() as folder, threadpool_limits(1):
        database, store = Database(f"sqlite:///{folder}/ledger.sqlite"), TimedStore(Path(folder) / "store")
        upgrade.upgrade(database)
        warm()
        request = Request(until="preprocess")
        planned = timed("planning with hashing", lambda: submit(database, dataset, request, lambda _: None))
        ledger = Ledger(database, "benchmark", 60.0)
        while batches := timed("feed", lambda: take_batches(database, planned.run, 8, LARGEST_MESSAGE_S)):
            for batch in batches:
                claims = timed("claim", lambda batch=batch: ledger.claim_items(planned.run, batch.items))
                outcomes = [timed("work", lambda claim=claim: attempted(claim, store)) for claim in claims]
                timed("settle", lambda outcomes=outcomes: ledger.settle_items(outcomes))
        database.close()
    spent["work"] -= spent["store"]
    return {name: round(1000 * seconds / planned.n_recordings, 3) for name, seconds in spent.items()}


def attempted(claim: ItemClaim, store: FolderStore) -> Outcome:
    """What a worker would settle for this item."""
    try:
        made = strip_file(claim, Sources())
        store.put(made.facts.key, made.data)
        return Outcome(claim, State.DONE, strip=made.facts)
    except Unusable as error:
        return Outcome(claim, State.QUARANTINED, event_of(error).reason)


if __name__ == "__main__":
    main()
