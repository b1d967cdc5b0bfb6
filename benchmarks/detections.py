"""Tables from the scores of a million windows of 30 classes: seconds, CPU time, peak memory.

    python -m benchmarks.detections [--windows 1000000] [--lengths 1 12 720]

Each length is a number of windows per recording. Scores are a softmax of random numbers, of which 0.5 makes a
detection in four of ten windows and 0.9 in three of a hundred. Every step runs in a process of its own. Prints a line a
step and, last, one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from tasks.dataset.recorders.clocks import Clock
from tasks.detections.detection_tables import TableOptions, Threshold, write_tables
from tasks.detections.formats import FORMATS
from tasks.detections.score_file import ScoredRecording, ScoreFacts, read_scores, write_scores

N_CLASSES = 30
FACTS = ScoreFacts(
    labels=tuple(f"class {number}" for number in range(N_CLASSES)), window_s=5.0, overlap_s=0.0, run=1, run_digest="",
    model="cnn", model_choice="", networks={}, pipeline_digest="", low_hz=500.0, high_hz=12_500.0,
)  # fmt: skip
STEPS = {"csv at 0.5": (0.5, ("csv",)), "csv at 0.9": (0.9, ("csv",)), "all formats at 0.5": (0.5, FORMATS)}


def main() -> None:
    """Measure each step in a process of its own, and print a line for each and one JSON list."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, default=1_000_000)
    parser.add_argument("--lengths", type=int, nargs="+", default=[1, 12, 720])
    parser.add_argument("--step", nargs=2, help=argparse.SUPPRESS)  # how this file calls itself
    arguments = parser.parse_args()
    if arguments.step:
        print(json.dumps(measured(*arguments.step, arguments.windows, arguments.lengths[0])))
        return
    found = []
    for length in arguments.lengths:
        with tempfile.TemporaryDirectory() as folder:
            for step in ("write scores", *STEPS):
                sizes = ["--windows", str(arguments.windows), "--lengths", str(length)]
                command = [sys.executable, "-m", "benchmarks.detections", *sizes, "--step", step, folder]
                found.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
                print(
                    "{windows_each:4} windows each, {step}: {s} s, {cpu_s} s of CPU, {peak_mb} MB".format(**found[-1])
                )
    print(json.dumps(found))


def measured(step: str, folder: str, n_windows: int, length: int) -> dict[str, object]:
    """Do one step; return its seconds, seconds of CPU and peak memory in MB. length: windows of each recording."""
    scores = Path(folder, "scores.parquet")
    start, cpu = time.perf_counter(), time.process_time()
    if step == "write scores":
        write_scores(scores, FACTS, recordings(n_windows // length, length))
    else:
        threshold, formats = STEPS[step]
        facts, found = read_scores(scores)
        thresholds = [Threshold(threshold, "benchmark")] * N_CLASSES
        options = TableOptions("", thresholds, formats, zone=ZoneInfo("Europe/Berlin"))
        write_tables(Path(folder, step), facts, found, options)
    return {
        "windows_each": length,
        "step": step,
        "s": round(time.perf_counter() - start, 1),
        "cpu_s": round(time.process_time() - cpu, 1),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def recordings(n: int, length: int) -> Iterator[ScoredRecording]:
    """Yield n recordings of random scores, with `length` windows each, of 50 sites in one year."""
    random = np.random.default_rng(1)
    starts = np.arange(length) * 5.0
    for number in range(n):
        odds = np.exp(2.5 * random.standard_normal((length, N_CLASSES), np.float32))
        uri = f"site {number % 50}/{number:07d}.wav"
        scores = odds / odds.sum(axis=1, keepdims=True)
        time = datetime(2023, 1, 1) + timedelta(minutes=number % 525_600)  # noqa: DTZ001 - the zone is an option
        clock = Clock(time, None, "Song Meter name", is_header=False)
        yield ScoredRecording(number, uri, f"/data/{uri}", 5.0 * length, starts, scores, clock=clock)


if __name__ == "__main__":
    main()
