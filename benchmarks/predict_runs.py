"""`orchestrator predict` as a whole: spans a second with one and two children, their memory, and the cost of the rest.

    python -m benchmarks.predict_runs HOME MODEL [PATH] [--hours 24] [--pairs 2] [--rest N]

MODEL, such as 1:cnn, names a trained model of HOME, which is copied for every run. Without PATH, the recording is an
RF64 of so many hours of noise at 48 kHz. Runs alternately: `predict` with one child, `predict` with two, and a
preprocessing of the same recordings with two (`run --until preprocess`), whose memory is the measure of the children's.
`steady` is from the first claim to the last settled span; `whole` is the command from start to end, with tables.
With --rest N: the CPU time a span of all that is neither preprocessing nor inference (planning, feeding, claims, the
store, settling, collecting, tables), over N made-up recordings of one span, in one process.
Prints a line a run and, last, one line of JSON with medians.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from benchmarks.long import SPAN_S, peaks_mb, sparse_rf64
from benchmarks.scale import made_up
from db.engine import Database
from db.ledger.claims import ItemClaim, Ledger, Outcome, StripFacts
from db.ledger.discovery import FoundFile
from db.ledger.feeding import take_batches, take_jobs
from db.store.interface import Store
from domain.digests import content_digest
from domain.states import State
from orchestrator.execution.dispatcher import LARGEST_MESSAGE_S
from orchestrator.planning.model_choice import chosen_model
from orchestrator.planning.prediction_plan import PredictionRequest, submit_prediction
from orchestrator.prediction_tables import TableRequest, write_detections
from orchestrator.session import open_session
from settings import Settings
from tasks.collect import scores_in_store
from tasks.dataset.layouts.unlabelled import open_recordings
from tasks.model.span_scores import SpanScores
from tasks.runtime.heartbeat import Heartbeat
from tasks.runtime.task import Work


class Found(NamedTuple):
    """Figures of one run. peak_mb: the largest resident memory of a child."""

    spans: int
    steady_s: float
    whole_s: float
    peak_mb: float


def main() -> None:
    """Read the options, measure, print: see the head of this file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("home", type=Path)
    parser.add_argument("model")
    parser.add_argument("path", type=Path, nargs="?")
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--pairs", type=int, default=2)
    parser.add_argument("--rest", type=int, metavar="N", help="measure only the rest, over N recordings of one span")
    arguments = parser.parse_args()
    if arguments.rest:
        print(json.dumps(rest(arguments.home, arguments.model, arguments.rest)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = arguments.path or noise(folder, arguments.hours)
        predict = ["predict", str(path), "--model", arguments.model]
        preprocess = ["run", str(path), "--until", "preprocess"]
        kinds = {"predict, 1": (predict, 1), "predict, 2": (predict, 2), "preprocess, 2": (preprocess, 2)}
        rows: dict[str, list[Found]] = {kind: [] for kind in kinds}
        for pair in range(arguments.pairs):
            for kind, (command, n_children) in list(kinds.items())[:: 1 if pair % 2 == 0 else -1]:
                found = measured(command, arguments.home, folder / "home", n_children)
                rows[kind].append(found)
                print(
                    f"{kind:14} {found.spans} spans, {found.spans / found.steady_s:.2f} spans/s steady, "
                    f"{found.whole_s:.1f} s whole, peak {found.peak_mb:.0f} MB",
                    flush=True,
                )
        print(json.dumps(summary(rows)))


def noise(folder: Path, hours: float) -> Path:
    """A folder with one recording of a class."""
    path = folder / "data" / "night" / "long.wav"
    path.parent.mkdir(parents=True)
    sparse_rf64(path, round(hours * 3600), noise_s=SPAN_S)
    return path.parents[1]


def measured(command: list[str], trained: Path, home: Path, n_children: int) -> Found:
    """Run the command in a copy of the home with the trained model."""
    shutil.rmtree(home, ignore_errors=True)
    shutil.copytree(trained, home, ignore=shutil.ignore_patterns("strips", "*.sock"))
    orchestrator = str(Path(sys.executable).with_name("orchestrator"))
    environment = os.environ | {"CHORUS_CONCURRENCY": str(n_children)}
    peak_mb, begun_s = 0.0, time.perf_counter()
    whole = [orchestrator, *command, "--home", str(home), "--json"]
    with subprocess.Popen(whole, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        while process.poll() is None:
            peak_mb = max([peak_mb, *peaks_mb(home)])
            time.sleep(0.1)
        if process.returncode not in (0, 3):
            sys.exit(process.stderr.read().decode() if process.stderr else "")
    whole_s = time.perf_counter() - begun_s
    return steady(home)._replace(whole_s=whole_s, peak_mb=peak_mb)


def steady(home: Path) -> Found:
    """The settled spans of the newest run of the home, and the seconds between its first claim and its last result."""
    database = Database(f"sqlite:///{home / 'ledger.sqlite'}")
    with database.read() as connection:
        newest = "run_id = (SELECT MAX(id) FROM run) AND attempts > 0"
        ends = f"SELECT COUNT(*), MIN(started_at), MAX(finished_at) FROM item WHERE {newest}"
        n_spans, first, last = connection.exec_driver_sql(ends).one()
    database.close()
    return Found(n_spans, (last or 0) - (first or 0), 0.0, 0.0)


def rest(trained: Path, model: str, n_recordings: int) -> dict[str, float]:
    """CPU milliseconds a span of all that is neither preprocessing nor inference, for recordings of one span each."""
    spent: Counter[str] = Counter()

    @contextmanager
    def timed(name: str) -> Iterator[None]:
        begun_s = time.process_time()
        yield
        spent[name] += time.process_time() - begun_s

    with tempfile.TemporaryDirectory() as name, threadpool_limits(1):
        home = Path(name) / "home"
        shutil.copytree(trained, home, ignore=shutil.ignore_patterns("strips", "*.sock"))
        session = open_session(Settings(home=home))
        database, store = session.database, session.store
        chosen = chosen_model(database, model)
        table = made_up(Path(name) / "data", n_recordings)
        request = PredictionRequest(chosen, str(table), trust_csv=True)
        with timed("planning"):
            layout = open_recordings(table, is_trusted=True)
            run = submit_prediction(database, layout, request, lambda *_: None).run
        ledger = Ledger(database, "benchmark", 600.0)
        scores = np.random.default_rng(1).dirichlet(np.ones(len(chosen.labels)), 15).astype(np.float32)
        while True:
            with timed("feed"):
                batches = take_batches(database, run, 8, LARGEST_MESSAGE_S)
            if not batches:
                break
            for batch in batches:
                with timed("claim"):
                    claims = ledger.claim_items(run, batch.items)
                with timed("store"):
                    outcomes = [scored(claim, store, scores) for claim in claims]
                with timed("settle"):
                    ledger.settle_items(outcomes)
        [job] = take_jobs(database, run)
        claim = ledger.claim_job(run, job.job, job.kind)
        with timed("collect"):
            output = scores_in_store(Work(claim, database, store, ledger, Heartbeat(ledger, [claim]), store.local_file))
            ledger.settle_job(claim, State.DONE, None, output)
        with timed("tables"):
            write_detections(session, run, TableRequest())
        database.close()
    found = {part: round(1000 * seconds / n_recordings, 3) for part, seconds in spent.items()}
    return found | {"all": round(1000 * sum(spent.values()) / n_recordings, 3)}


def scored(claim: ItemClaim, store: Store, scores: NDArray[np.float32]) -> Outcome:
    """What a worker settles for a recording of one span; its scores are in the store."""
    digest = content_digest(claim.uri.encode())
    data = SpanScores(np.arange(len(scores), dtype=np.int32), scores).to_bytes()
    sha256 = content_digest(data)
    key = f"scores/benchmark/{digest[:2]}/{digest}-0-{sha256[:16]}.npz"
    store.put(key, data)
    found = FoundFile(digest, len(data), 0, 75 * 48_000, 48_000, 1)
    return Outcome(claim, State.DONE, strip=StripFacts(key, len(data), sha256, len(scores), found=found))


def summary(rows: dict[str, list[Found]]) -> dict[str, float]:
    """Medians over the rounds, the gain of the second child, and the memory above a preprocessing child's."""
    pace = {kind: statistics.median(each.spans / each.steady_s for each in found) for kind, found in rows.items()}
    peak = {kind: max(each.peak_mb for each in found) for kind, found in rows.items()}
    return {
        "spans": rows["predict, 1"][0].spans,
        **{f"spans_a_second: {kind}": round(value, 2) for kind, value in pace.items()},
        "ratio_two_to_one": round(pace["predict, 2"] / pace["predict, 1"], 2),
        "ratio_to_preprocess": round(pace["predict, 2"] / pace["preprocess, 2"], 2),
        "whole_s": round(statistics.median(each.whole_s for each in rows["predict, 2"]), 1),
        "peak_mb": round(peak["predict, 2"]),
        "peak_mb_above_preprocess": round(peak["predict, 2"] - peak["preprocess, 2"]),
    }


if __name__ == "__main__":
    main()
