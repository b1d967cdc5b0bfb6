"""A process that compiles the kernels and a process that loads them from the cache make the same strip."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.recordings import write_tone

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import hashlib, sys
from tasks.audio.preset import load_preset
from tasks.audio.strip import encode, make_strip
strip = make_strip(sys.argv[1], "0" * 64, 0, 0, load_preset("birdclef2021"))
print(hashlib.sha256(encode(strip)).hexdigest())
"""


def test_compiling_and_loading_from_the_cache_give_the_same_bytes(tmp_path: Path) -> None:
    recording = write_tone(tmp_path / "tone.wav", 6000.0, 1.0)
    environ = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    command = [sys.executable, "-c", PROGRAM, str(recording)]
    digests = [subprocess.run(command, env=environ, cwd=ROOT, capture_output=True, check=True).stdout for _ in range(2)]
    assert list((tmp_path / "cache").rglob("kernels.frame_statistics*.nbi")), "the first process wrote no cache"
    assert digests[0] == digests[1]
