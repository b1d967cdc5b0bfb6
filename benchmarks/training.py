"""Training from shards against `model.fit` on arrays in memory, and the memory each size of data set takes.

    TF_CPP_MIN_LOG_LEVEL=3 python -m benchmarks.training         # from the checkout, without TensorFlow's chatter
    python -m benchmarks.training --examples 4096 --rounds 5
    python -m benchmarks.training --rounds 0 --sizes 50000 1000000        # peak memory grows up to one window (16,384)

Both ways run in one process and alternate, epoch by epoch, on the same untrained network, in one thread as without a
GPU; memory is measured in a process of its own for each size, on the MLP, because the network's own memory does not
depend on the size. Its shards are one file under many names, each of which is read and held as any other would be.
Prints lines for people and, last, one line of JSON. The pictures are noise: only speed and memory are measured.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np

from domain.stored_file import StoredFile
from tasks.dataset.shards.footer import MAX_EXAMPLES
from tasks.dataset.shards.shard import Example, read_shard, shards
from tasks.model.inputs import Scaling
from tasks.model.spec import TrainingSettings, TrainingSpec
from tasks.model.training.classifier import train
from tasks.model.training.feed import Feed, one_hot
from tasks.model.training.machine import peak_rss_bytes, prepare_devices
from tasks.model.training.stream import read_shard_set
from tasks.model.zoo import entry
from tests.model_shards import stored

LABELS = tuple("abcdefghij")
BATCH = 32


def noise(n: int) -> Iterator[Example]:
    """n examples of noise; labels cycle through the classes."""
    draw = np.random.default_rng(0)
    for number in range(n):
        pixels = draw.integers(0, 256, (48, 128), dtype=np.uint8)
        features = draw.normal(size=15).astype(np.float32)
        yield Example(pixels, features, number % len(LABELS), f"{number}.ogg", "d" * 64, str(number), 0, 0)


def written(folder: Path, n: int) -> tuple[StoredFile, ...]:
    """The shards of so many examples of noise, in this folder."""
    files = []
    for number, content in enumerate(shards(noise(n), "order", "pipeline")):
        path = folder / f"{number}.parquet"
        path.write_bytes(content)
        files.append(stored(path))
    return tuple(files)


def repeated(folder: Path, n: int) -> None:
    """At least n examples in whole shards, all of them one file of 25 MB."""
    (first,) = written(folder, MAX_EXAMPLES)
    for number in range(1, math.ceil(n / MAX_EXAMPLES)):
        (folder / f"{number}.parquet").hardlink_to(first.path)


def throughput(folder: Path, n: int, rounds: int) -> dict[str, float]:
    """Examples a second, medians over the rounds, of both ways; the first epoch of each compiles and is left out."""
    files = written(folder, n)
    found = read_shard_set(files)
    everything = [read_shard(file) for file in files]
    pixels = np.concatenate([shard.spectrograms for shard in everything])[..., np.newaxis] / np.float32(255)
    targets = one_hot(np.concatenate([shard.labels for shard in everything]), len(LABELS))

    def compiled():
        keras.utils.set_random_seed(0)
        model = entry("cnn").build(found.shapes, len(LABELS))
        model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
        return model

    streaming, in_memory = compiled(), compiled()
    feed = Feed(found, ("spectrogram",), Scaling(), np.ones(len(LABELS), np.float32))
    numbers, settings = itertools.count(), TrainingSettings(batch=BATCH)
    ways = {
        "streaming": lambda: streaming.fit(feed.epoch(settings, next(numbers), BATCH), shuffle=False, verbose=0),
        "in_memory": lambda: in_memory.fit(pixels, targets, batch_size=BATCH, verbose=0),
    }
    walls: dict[str, list[float]] = {way: [] for way in ways}
    cpus: dict[str, list[float]] = {way: [] for way in ways}
    for number, (way, epoch) in itertools.product(range(rounds + 1), ways.items()):
        started, cpu = time.perf_counter(), time.process_time()
        epoch()
        if number:
            walls[way].append(time.perf_counter() - started)
            cpus[way].append(time.process_time() - cpu)
    figures = {f"{way}_per_s": round(n / statistics.median(seconds), 1) for way, seconds in walls.items()}
    figures |= {f"{way}_cpu_ms": round(1000 * statistics.median(seconds) / n, 3) for way, seconds in cpus.items()}
    ratios = [memory / stream for stream, memory in zip(walls["streaming"], walls["in_memory"], strict=True)]
    return figures | {"streaming_of_in_memory": round(statistics.median(ratios), 3)}


def memory(folder: Path) -> dict[str, float]:
    """Peak memory of this process after training on the folder's shards, and what it was before one was opened."""
    before = peak_rss_bytes()
    paths = tuple(map(stored, sorted(folder.glob("*.parquet"))))
    trained = train(
        TrainingSpec("mlp", LABELS, paths, (), TrainingSettings(epochs=1, batch=256)),
        lambda *_: None,
        time.perf_counter,
    )
    return {
        "examples": read_shard_set(paths).n_examples,
        "before_mb": before // 10**6,
        "peak_mb": trained.peak_rss_bytes // 10**6,
    }


def memory_apart(n: int) -> dict[str, float]:
    """The same in a process of its own, with the shards written by this one."""
    with tempfile.TemporaryDirectory() as folder:
        repeated(Path(folder), n)
        command = [sys.executable, "-m", "benchmarks.training", "--memory-of", folder]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Reads the options, measures, prints: see the head of this file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sizes", type=int, nargs="*", default=[50_000])
    parser.add_argument("--memory-of", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    prepare_devices()
    if args.memory_of:
        print(json.dumps(memory(args.memory_of)))
        return
    with tempfile.TemporaryDirectory() as folder:
        figures = throughput(Path(folder), args.examples, args.rounds) if args.rounds else {}
    print("\n".join(f"{name:24} {value}" for name, value in figures.items()))
    sizes = [memory_apart(n) for n in args.sizes]
    print("\n".join(f"{size['examples']:>9,} examples: peak {size['peak_mb']:,} MB" for size in sizes))
    print(json.dumps(figures | {"memory": sizes}))


if __name__ == "__main__":
    main()
