"""Recordings a second: `orchestrator run --until preprocess` against joblib over the same pure function.

    python benchmarks/pipeline.py DIR [--processes 2] [--pairs 3]

Both are whole processes, from start to end, taken in turns; each run has a fresh home, each joblib a fresh folder.
`steady` leaves out the starting and stopping: from the first claim to the last strip in the ledger, and joblib's
parallel call after its workers are warm. Prints a table and, last, one line of JSON with medians and ratios
(ours to joblib's recordings a second: 1 is as fast).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import joblib

from db.session import Database
from db.store import Store
from tasks.audio.chunk import n_spans
from tasks.audio.preset import load_preset
from tasks.audio.recording import probe
from tasks.audio.strip import encode, make_strip
from tasks.dataset.layouts import Row, open_layout
from tasks.failures import Unusable
from tasks.preprocess import strip_key

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--joblib-into", type=Path, help=argparse.SUPPRESS)  # how this file calls itself
    arguments = parser.parse_args()
    if arguments.joblib_into:
        print(json.dumps(by_joblib(arguments.dataset, arguments.joblib_into, arguments.processes)))
        return
    compare(arguments.dataset, arguments.processes, arguments.pairs)


def compare(dataset: Path, processes: int, pairs: int) -> None:
    rows = []
    for pair in range(pairs):
        with tempfile.TemporaryDirectory() as folder:
            order = [("ours", run_ours), ("joblib", run_joblib)][:: 1 if pair % 2 == 0 else -1]
            rows.append({name: run(dataset, Path(folder), processes) for name, run in order})
        for name, found in rows[-1].items():
            print(f"{name:8} {found['n']} recordings, whole {found['whole_s']:.1f} s, steady {found['steady_s']:.1f} s")
    print(json.dumps(summary(rows, processes)))


def summary(rows: list[dict[str, dict[str, float]]], processes: int) -> dict[str, object]:
    def rate(name: str, part: str) -> float:
        return statistics.median(row[name]["n"] / row[name][f"{part}_s"] for row in rows)

    found: dict[str, object] = {"processes": processes, "pairs": len(rows), "recordings": rows[0]["ours"]["n"]}
    for part in ("whole", "steady"):
        found |= {f"{name}_{part}_a_second": round(rate(name, part), 3) for name in ("ours", "joblib")}
        found[f"ratio_{part}"] = round(rate("ours", part) / rate("joblib", part), 3)
    return found


def run_ours(dataset: Path, folder: Path, processes: int) -> dict[str, float]:
    home = folder / "home"
    orchestrator = str(Path(sys.executable).with_name("orchestrator"))
    command = [orchestrator, "run", str(dataset), "--until", "preprocess", "--home", str(home), "--json"]
    environment = os.environ | {"CHORUS_CONCURRENCY": str(processes)}
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


def run_joblib(dataset: Path, folder: Path, processes: int) -> dict[str, float]:
    command = [sys.executable, __file__, str(dataset), "--processes", str(processes)]
    command += ["--joblib-into", str(folder / "joblib")]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    environment = os.environ | threads | {"PYTHONPATH": str(ROOT)}
    started = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, env=environment)
    return {"whole_s": time.perf_counter() - started, **json.loads(done.stdout)}


def by_joblib(dataset: Path, into: Path, processes: int) -> dict[str, float]:
    layout = open_layout(dataset)
    paths = [layout.root / row.uri for row in layout.rows() if isinstance(row, Row)]
    with joblib.Parallel(n_jobs=processes) as parallel:
        parallel(joblib.delayed(one)(path, into / "warm") for path in paths[:processes])
        started = time.perf_counter()
        parallel(joblib.delayed(one)(path, into) for path in paths)
        steady_s = time.perf_counter() - started
    return {"n": len(paths), "steady_s": steady_s}


def one(path: Path, into: Path) -> None:
    """What a worker does with one recording, without the ledger: hash, make, encode, put."""
    preset = load_preset("birdclef2021")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    for span in spans(path):
        try:
            strip = make_strip(path, digest, span, 0, preset)
        except Unusable:
            return
        Store(into).put(strip_key(preset.digest, digest, span, 0), encode(strip))


def spans(path: Path) -> Iterator[int]:
    facts = probe(path)
    yield from range(n_spans(facts.n_frames, facts.rate_hz, path.stat().st_size, load_preset("birdclef2021")))


if __name__ == "__main__":
    main()
