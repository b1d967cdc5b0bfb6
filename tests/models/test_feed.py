"""Batches as TensorFlow takes them."""

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
from tasks.model.training.stream import surveyed
from tests.model_shards import examples, written

PASS_AND_ALLOCATE = """
import ctypes, sys
from pathlib import Path
import numpy as np
from tasks.model.training.feed import Feed
from tasks.model.inputs import Scaling
from tasks.model.training.stream import surveyed
from tests.model_shards import stored
Info = type("Info", (ctypes.Structure,), {"_fields_": [(name, ctypes.c_size_t) for name in "abcdefghij"]})
libc = ctypes.CDLL(None)
libc.mallinfo2.restype, libc.malloc.restype = Info, ctypes.c_void_p
for _ in Feed(surveyed((stored(Path(sys.argv[1])),)), ("spectrogram",), Scaling(), np.ones(2, np.float32)).one_pass(4):
    pass
n_apart = libc.mallinfo2().d
libc.malloc(ctypes.c_size_t(20 << 20))
print(libc.mallinfo2().d - n_apart)
"""
"""Prints 1 where a block of 20 MB is one the system gives, and takes back as soon as it is freed."""


def test_a_listener_hears_of_every_batch_that_is_asked_for(tmp_path):
    shards = surveyed(written(tmp_path, examples(40), size=6))
    heard: list[int] = []
    feed = Feed(shards, ("spectrogram",), Scaling(), np.ones(2, np.float32), lambda: heard.append(1))
    for passed in (feed.epoch(TrainingSettings(batch=4), 0, 4), feed.one_pass(8)):
        heard.clear()
        n_batches = sum(1 for _ in passed)
        assert len(heard) == n_batches > 1


def test_no_pass_waits_for_a_tuning_thread_to_wake(tmp_path):
    shards = surveyed(written(tmp_path, examples(40), size=6))
    feed = Feed(shards, ("spectrogram",), Scaling(), np.ones(2, np.float32))
    for passed in (feed.epoch(TrainingSettings(batch=4), 0, 4), feed.one_pass(4)):
        assert passed.options().autotune.enabled is False


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="the C library is not a glibc of 2021 or later")
def test_large_blocks_are_kept_when_freed_though_tensorflow_wants_them_given_back(tmp_path):
    (shard,) = written(tmp_path, examples(8))
    command = [sys.executable, "-c", PASS_AND_ALLOCATE, str(shard.path)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    told = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=True)
    assert told.stdout.split() == ["0"]
