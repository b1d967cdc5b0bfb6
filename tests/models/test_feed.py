"""The tf.data pipeline that feeds a training."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

import numpy as np
import pytest

from tasks.model.inputs import Scaling
from tasks.model.spec import TrainingSettings
from tasks.model.training.feed import Feed
from tasks.model.training.stream import read_shard_set
from tests.model_shards import examples, written

PASS_AND_ALLOCATE = """
import ctypes, sys
from pathlib import Path
import numpy as np
from tasks.model.training.feed import Feed
from tasks.model.inputs import Scaling
from tasks.model.training.stream import read_shard_set
from tests.model_shards import stored
Info = type("Info", (ctypes.Structure,), {"_fields_": [(name, ctypes.c_size_t) for name in "abcdefghij"]})
libc = ctypes.CDLL(None)
libc.mallinfo2.restype, libc.malloc.restype = Info, ctypes.c_void_p
shards = read_shard_set((stored(Path(sys.argv[1])),))
for _ in Feed(shards, ("spectrogram",), Scaling(), np.ones(2, np.float32)).one_pass(4):
    pass
n_apart = libc.mallinfo2().d
libc.malloc(ctypes.c_size_t(20 << 20))
print(libc.mallinfo2().d - n_apart)
"""
"""Prints 1 if the system maps a 20 MB block and unmaps it when it is freed."""


def test_on_step_is_called_for_every_requested_batch(tmp_path):
    shards = read_shard_set(written(tmp_path, examples(40), size=6))
    steps: list[int] = []
    feed = Feed(shards, ("spectrogram",), Scaling(), np.ones(2, np.float32), lambda: steps.append(1))
    for passed in (feed.epoch(TrainingSettings(batch=4), 0, 4), feed.one_pass(8)):
        steps.clear()
        n_batches = sum(1 for _ in passed)
        assert len(steps) == n_batches > 1


def test_no_pass_waits_for_the_autotune_thread(tmp_path):
    shards = read_shard_set(written(tmp_path, examples(40), size=6))
    feed = Feed(shards, ("spectrogram",), Scaling(), np.ones(2, np.float32))
    for passed in (feed.epoch(TrainingSettings(batch=4), 0, 4), feed.one_pass(4)):
        assert passed.options().autotune.enabled is False


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="the C library is not a glibc of 2021 or later")
def test_freed_large_blocks_stay_in_the_process_although_tensorflow_lowers_the_threshold(tmp_path):
    (shard,) = written(tmp_path, examples(8))
    command = [sys.executable, "-c", PASS_AND_ALLOCATE, str(shard.path)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    completed = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=True)
    assert completed.stdout.split() == ["0"]
