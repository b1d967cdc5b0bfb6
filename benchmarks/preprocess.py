"""One recording to a strip, ours against the reference pipeline: CPU time by step, and how equal the results are.

    python benchmarks/preprocess.py FILES...                    # the reference beside the checkout, if it is there
    python benchmarks/preprocess.py --reference PATH FILES...
    python benchmarks/preprocess.py --rounds 9 FILES...

Both run alternately, each in a process of its own, on one thread. Ours has the environment of a cpu worker. The
reference has that of a user's shell; with the worker's allocator settings it would be a quarter faster. Times are
medians over the rounds, in CPU milliseconds. The floor is the work that every program must do: decoding, resampling,
one transform of the frames and one back, and packing the PNG.
The cost of augmented copies is printed separately: a copy of the first file's chunks, and each transform when applied.
The last line is JSON: `ratio` is reference over ours, `floor_ratio` is ours over the floor, over all files.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import json
import multiprocessing
import os
import statistics
import sys
import time
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np
import scipy.fft
from PIL import Image
from threadpoolctl import threadpool_limits

from domain.errors import Unusable
from tasks.audio.augment import augmented, compose_transforms
from tasks.audio.chunk import chunks, n_spans
from tasks.audio.denoise import denoise
from tasks.audio.features import features
from tasks.audio.gate import sounding_chunks
from tasks.audio.preset import Preset, load_preset
from tasks.audio.recording import decode, probe
from tasks.audio.spectrogram import log_mel
from tasks.audio.strip import Strip, encode
from workers.roles import CPU, KEPT_MEMORY

REFERENCE = Path(__file__).resolve().parents[2] / "shared" / "bench" / "reference_pipeline.py"
STEPS = ("decode", "denoise", "mel", "features", "png")
Spent = dict[str, float]
Result = tuple[np.ndarray, np.ndarray]
Reference = Callable[[Path], tuple[Spent, Result]]


@contextmanager
def clock(spent: Spent, step: str) -> Iterator[None]:
    """Adds the CPU milliseconds of what is done inside to a step."""
    begin = time.process_time()
    yield
    spent[step] += 1000 * (time.process_time() - begin)


def spans(path: Path, preset: Preset) -> range:
    """The numbers of a recording's spans."""
    facts = probe(path)
    return range(n_spans(facts.n_frames, facts.rate_hz, path.stat().st_size, preset))


def ours(path: Path, preset: Preset) -> tuple[Spent, Result]:
    """CPU milliseconds by step, and spectrograms and features of a whole recording."""
    spent: Spent = defaultdict(float)
    strips = [one_strip(path, span, preset, spent) for span in spans(path, preset)]
    return spent, (np.concatenate([one[0] for one in strips]), np.concatenate([one[1] for one in strips]))


def one_strip(path: Path, span: int, preset: Preset, spent: Spent) -> Result:
    """Spectrograms and features of one span; what each step took is added to `spent`."""
    with clock(spent, "decode"):
        passage = decode(path, preset, span)
        sounding_chunks(passage, path.name, span, preset)
    with clock(spent, "denoise"):
        pieces = chunks(denoise(passage, preset), span, preset)
    with clock(spent, "mel"):
        pictures = np.stack([log_mel(piece, preset) for piece in pieces])
    with clock(spent, "features"):
        rows = np.stack([features(piece, preset) for piece in pieces])
    with clock(spent, "png"):
        encode(
            Strip(
                np.concatenate(list(pictures), axis=1),
                rows,
                "0" * 64,
                span,
                0,
                preset.digest,
                {},
                tuple(range(len(rows))),
            )
        )
    return pictures, rows


def theirs(path: Path, module: Path) -> tuple[Spent, Result]:
    """The same as `ours` by the reference pipeline, whose file is given."""
    reference = loaded(module)
    spent: Spent = defaultdict(float)
    with clock(spent, "decode"):
        samples = reference.decode(str(path))
    with clock(spent, "denoise"):
        pieces = reference.chunks(reference.denoise(samples))
    with clock(spent, "mel"):
        pictures = [reference.spectrogram(piece) for piece in pieces]
    with clock(spent, "features"):
        rows = [reference.features(piece) for piece in pieces]
    with clock(spent, "png"):
        for picture in pictures:
            Image.fromarray(picture).save(io.BytesIO(), "PNG")
    return spent, (np.stack(pictures), np.stack(rows))


def floor(path: Path, preset: Preset, pictures: np.ndarray) -> tuple[Spent, None]:
    """CPU milliseconds of what no program could leave out; see the head of this file."""
    spent: Spent = defaultdict(float)
    with clock(spent, "decode"):
        n_samples = sum(len(decode(path, preset, span).span) for span in spans(path, preset))
    frames = np.ones((n_samples // 256 + 1, 1024), np.float32)
    with clock(spent, "denoise"):
        for low in range(0, len(frames), 128):
            scipy.fft.irfft(scipy.fft.rfft(frames[low : low + 128]))
    with clock(spent, "png"):
        zlib.compress(pictures.tobytes(), 1)
    return spent, None


def medians(rounds: list[Spent]) -> Spent:
    """Of each step over the rounds."""
    return {step: statistics.median(spent.get(step, 0.0) for spent in rounds) for step in STEPS}


def difference(one: Result, other: Result) -> dict[str, float]:
    """How far two results are apart: grey levels, and features relative to the larger of 1e-3 and the reference."""
    levels = np.abs(one[0].astype(int) - other[0])
    apart = np.abs(one[1].astype(float) - other[1])
    relative = np.minimum(apart / np.maximum(np.abs(other[1]), 1e-9), np.where(np.arange(15) > 8, apart, np.inf))
    return {
        "worst_level": int(levels.max()),
        "share_within_1": float((levels <= 1).mean()),
        "share_equal": float((levels == 0).mean()),
        "worst_feature": float(relative.max()),
    }


def measured(path: Path, preset: Preset, reference: Reference | None, n_rounds: int) -> dict[str, object]:
    """Medians of all programs on one file, run alternately, after one round of warm-up."""
    pictures = ours(path, preset)[1][0]
    runs: dict[str, Callable[[], tuple[Spent, Result | None]]] = {
        "ours": lambda: ours(path, preset),
        "floor": lambda: floor(path, preset, pictures),
    }
    if reference:
        runs["reference"] = lambda: reference(path)
    rounds = [{name: run() for name, run in runs.items()} for _ in range(n_rounds + 1)]
    found: dict[str, object] = {name: medians([each[name][0] for each in rounds[1:]]) for name in runs}
    if reference:
        found["difference"] = difference(rounds[0]["ours"][1], rounds[0]["reference"][1])
    return found


def augmentation(path: Path, preset: Preset, n_rounds: int) -> dict[str, float]:
    """CPU milliseconds of one augmented copy of the first span's chunks, and of each transform, always applied."""
    pieces = chunks(denoise(decode(path, preset, 0), preset), 0, preset)

    def took(what: Callable[[np.ndarray, int], object]) -> float:
        spent: Spent = defaultdict(float)
        with clock(spent, "all"):
            for at in range(n_rounds):
                for number, piece in enumerate(pieces):
                    what(piece, at * len(pieces) + number)
        return round(spent["all"] / n_rounds, 2)

    found = {"a copy": took(lambda piece, number: augmented(piece, ("0" * 64, number, 1), preset))}
    for transform in compose_transforms(preset.augment, preset.chunk.duration_s).transforms:
        chance, transform.p = transform.p, 1.0
        found[type(transform).__name__] = took(lambda piece, _, to=transform: to(piece.copy(), preset.decode.rate_hz))
        transform.p = chance
    return found


@cache
def loaded(path: Path) -> ModuleType:
    """The reference pipeline as a module."""
    spec = importlib.util.spec_from_file_location("reference_pipeline", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def plain_process(module: Path) -> Iterator[Reference | None]:
    """Runs the reference pipeline in a process whose allocator is as it comes; gives None where its file is missing."""
    if not module.is_file():
        yield None
        return
    for name in KEPT_MEMORY:
        os.environ.pop(name, None)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        yield lambda path: pool.submit(theirs, path, module).result()


def printed(path: Path, found: dict[str, object]) -> None:
    """Prints what was found of one file."""
    print(f"\n{path.name}")
    for name in ("reference", "ours", "floor"):
        if name in found:
            spent = found[name]
            steps = "  ".join(f"{step} {spent[step]:8.2f}" for step in STEPS)
            print(f"  {name:9}  {steps}   all {sum(spent.values()):8.2f} ms")
    if "difference" in found:
        print("  " + ", ".join(f"{key} {value:.6g}" for key, value in found["difference"].items()))


def summary(results: list[dict[str, object]]) -> dict[str, object]:
    """The line of JSON: means and ratios over all files, and the worst differences."""

    def total(name: str) -> float:
        return sum(sum(found[name].values()) for found in results)

    line: dict[str, object] = {"files": len(results), "ours_ms": round(total("ours") / len(results), 2)}
    line["ratio"] = None
    if "reference" in results[0]:
        differences = [found["difference"] for found in results]
        line |= {
            "ratio": round(total("reference") / total("ours"), 2),
            "reference_ms": round(total("reference") / len(results), 2),
            "worst_level": max(each["worst_level"] for each in differences),
            "share_within_1": min(each["share_within_1"] for each in differences),
            "worst_feature": max(each["worst_feature"] for each in differences),
        }
    return line | {"floor_ratio": round(total("ours") / total("floor"), 2)}


def main() -> None:
    """Reads the options, measures, prints: see the head of this file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", type=Path, default=REFERENCE, help="path of reference_pipeline.py")
    parser.add_argument("--preset", default="birdclef2021")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("files", nargs="+", type=Path)
    args = parser.parse_args()
    preset = load_preset(args.preset)
    results = []
    with plain_process(args.reference) as reference:
        if reference is None:
            print("no reference pipeline found; only ours is measured (see --reference)")
        for path in args.files:
            try:
                results.append(measured(path, preset, reference, args.rounds))
            except Unusable as reason:
                print(f"\n{path.name}: {reason.code}: {reason}")
            else:
                printed(path, results[-1])
    if not results:
        sys.exit("none of the files can be used")
    copies = augmentation(args.files[0], preset, args.rounds)
    print("\naugmentation  " + "  ".join(f"{name} {spent_ms:.2f}" for name, spent_ms in copies.items()) + " ms")
    print(json.dumps(summary(results) | {"augmentation_ms": copies}))


def become_like_a_worker() -> None:
    """Begins this program again in a worker's environment, unless it has it: the allocator reads it once."""
    if CPU.environment.items() - os.environ.items():
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], os.environ | CPU.environment)


if __name__ == "__main__":
    become_like_a_worker()
    with threadpool_limits(1):
        main()
