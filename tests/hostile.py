"""Whole files of our own, from which hostile ones are made."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tasks.audio.preset import load_preset
from tasks.audio.strip import encode, make_strip
from tasks.dataset.shards.shard import Example, shards
from tests.recordings import write_tone


def strip_bytes(folder: Path) -> bytes:
    """The strip of a tone of a second, which is written into the folder."""
    preset = load_preset("birdclef2021")
    return encode(make_strip(write_tone(folder / "tone.wav", 3000.0, 1.0), "d" * 64, 0, 0, preset))


def shard_bytes() -> bytes:
    """A shard of twenty black pictures."""
    picture, features = np.zeros((48, 128), np.uint8), np.zeros(15, np.float32)
    examples = [Example(picture, features, n % 2, f"{n}.ogg", f"{n:064x}", "g", chunk=0, copy=0) for n in range(20)]
    return next(shards(examples, "o" * 64, "p" * 64))
