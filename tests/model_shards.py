"""Small shards with a known truth, for tests of everything that reads shards."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from domain.digests import content_digest
from domain.stored_file import StoredFile
from tasks.dataset.shards.shard import Example, shards

PIPELINE = "a" * 64
N_MELS, N_FRAMES, N_FEATURES = 48, 128, 15


def example(label: int, number: int) -> Example:
    """One example; label n is loud in bands 8n to 8n+7 and high in feature n, over noise drawn from `number`."""
    draw = np.random.default_rng([label, number])
    spectrogram = draw.integers(0, 60, (N_MELS, N_FRAMES), dtype=np.uint8)
    spectrogram[8 * label : 8 * label + 8] += 150
    features = draw.normal(0, 1, N_FEATURES).astype(np.float32)
    features[label] += 10
    name = f"{label}-{number}"
    return Example(spectrogram, features, label, f"{name}.ogg", f"digest {name}", f"group {name}", chunk=0, copy=0)


def examples(n: int, n_classes: int = 2, first: int = 0) -> list[Example]:
    """n examples whose labels take turns."""
    return [example(number % n_classes, number) for number in range(first, first + n)]


def written(
    folder: Path, rows: Sequence[Example], name: str = "shard", pipeline: str = PIPELINE, size: int = 4096
) -> tuple[StoredFile, ...]:
    """The shard files of these examples, in order."""
    files = []
    for number, content in enumerate(shards(rows, "b" * 64, pipeline, size)):
        path = folder / f"{name}-{number}.parquet"
        path.write_bytes(content)
        files.append(stored(path))
    return tuple(files)


def stored(path: Path) -> StoredFile:
    """A file as the store opens it, with the digest of its present bytes."""
    return StoredFile(path.name, path, content_digest(path.read_bytes()))
