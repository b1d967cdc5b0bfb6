"""Accuracy of each model on unseen recordings, from a whole run of the command line.

    python -m benchmarks.accuracy DATA [--models all] [--folds N] [--seeds N] [--home DIR]

The split is the data's own where it has one, else drawn by group. Prints a table as Markdown (accuracy by recording,
mean and deviation over folds and seeds) and, last, one line of JSON. Nothing is tuned here: every setting is the one
the model has in `tasks/model/zoo.py`. With --home what was preprocessed there before is not done again.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def main() -> None:
    """Reads the options, measures, prints: see the head of this file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--models", default="all")
    parser.add_argument("--folds", type=int)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--home", type=Path)
    arguments = parser.parse_args()
    with _home(arguments.home) as home:
        started = time.perf_counter()
        found = run(arguments, home)
        took_s = time.perf_counter() - started
    rows = [row(model, found["jobs"]) for model, score in found["scores"].items() if "accuracy" in score]
    rows.sort(key=lambda each: -each["by_recording"])
    print("| model | by recording, % | by chunk, % | macro F1 | each training, % |\n|---|---|---|---|---|")
    for each in rows:
        single = ", ".join(f"{100 * value:.1f}" for value in each["trainings"])
        spread = f" ± {100 * each['deviation']:.1f}" if each["deviation"] is not None else ""
        print(
            f"| `{each['model']}` | {100 * each['by_recording']:.1f}{spread} | {100 * each['by_chunk']:.1f} "
            f"| {each['macro_f1']:.3f} | {single} |"
        )
    made = {model: score for model, score in found["scores"].items() if "accuracy" not in score}
    failed = [f"{job['kind']} {job['model']}: {job['reason']}" for job in found["jobs"] if job["state"] == "failed"]
    print(
        json.dumps(
            {
                "data": arguments.data.name,
                "minutes": round(took_s / 60, 1),
                "failed": failed,
                "models": rows,
                "generators": made,
            }
        )
    )


@contextlib.contextmanager
def _home(given: Path | None) -> Iterator[Path]:
    if given is not None:
        yield given
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def run(arguments: argparse.Namespace, home: Path) -> dict[str, Any]:
    """The object that `orchestrator run --json` prints; progress goes to the terminal."""
    command = [
        str(Path(sys.executable).with_name("orchestrator")), "run", str(arguments.data), "--models", arguments.models,
        "--seeds", str(arguments.seeds), "--home", str(home), "--json",
    ]  # fmt: skip
    command += ["--folds", str(arguments.folds)] if arguments.folds else []
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if not done.stdout:
        sys.exit(f"`orchestrator run` ended with {done.returncode} and no result")
    found: dict[str, Any] = json.loads(done.stdout)
    if "error" in found:
        sys.exit(found["error"])
    return found


def row(model: str, jobs: list[dict[str, Any]]) -> dict[str, Any]:
    """One model over its folds and seeds; every figure a mean over trainings, 0..1."""
    wanted = ("evaluate", model, "done")
    honest = [job for job in jobs if job["variant"] is None]
    evaluated = [job["metrics"] for job in honest if (job["kind"], job["model"], job["state"]) == wanted]
    by_recording = [metrics["by_recording_accuracy"] for metrics in evaluated]
    return {
        "model": model,
        "by_recording": statistics.fmean(by_recording),
        "deviation": statistics.stdev(by_recording) if len(by_recording) > 1 else None,
        "by_chunk": statistics.fmean(metrics["accuracy"] for metrics in evaluated),
        "macro_f1": statistics.fmean(metrics["macro_f1"] for metrics in evaluated),
        "trainings": by_recording,
    }


if __name__ == "__main__":
    main()
