"""The process that compiles the kernels, and one that finds them in the cache, make the same strip."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.recordings import write_tone

ROOT = Path(__file__).resolve().parents[3]
MADE = """
import hashlib, sys
from tasks.audio.preset import load_preset
from tasks.audio.strip import encode, make_strip
strip = make_strip(sys.argv[1], "0" * 64, 0, 0, load_preset("birdclef2021"))
print(hashlib.sha256(encode(strip)).hexdigest())
"""


def test_who_compiles_and_who_loads_from_the_cache_give_the_same_bytes(tmp_path: Path) -> None:
    recording = write_tone(tmp_path / "tone.wav", 6000.0, 1.0)
    environ = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    command = [sys.executable, "-c", MADE, str(recording)]
    made = [subprocess.run(command, env=environ, cwd=ROOT, capture_output=True, check=True).stdout for _ in range(2)]
    assert list((tmp_path / "cache").rglob("kernels.shape*.nbi")), "the first process left nothing to load"
    assert made[0] == made[1]
