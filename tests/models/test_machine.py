"""Device selection and memory figures of a training."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from domain.errors import MachineFault
from tasks.model.training.machine import device, is_half_precision_fast, peak_rss_bytes, prepare_devices
from tests.model_shards import examples, written

TRAIN_ON_CORES = """
import hashlib, os, sys, time
from pathlib import Path
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(sys.argv[1])])
from tasks.model.training.machine import prepare_devices
from tasks.model.spec import TrainingSettings, TrainingSpec
from tasks.model.training.classifier import train
from tests.model_shards import stored
prepare_devices(require_gpu=False)
spec = TrainingSpec("cnn", ("a", "b"), (stored(Path(sys.argv[2])),), (), TrainingSettings(epochs=2, batch=8, seed=1))
weights = train(spec, lambda epoch, figures: None, time.perf_counter).model.get_weights()
print(hashlib.sha256(b"".join(weight.tobytes() for weight in weights)).hexdigest())
"""


@pytest.fixture
def no_gpu(monkeypatch):
    """A machine without a GPU that records the requested threads, which TensorFlow accepts only once."""
    threads = {}
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    monkeypatch.setattr(tf.config, "set_visible_devices", lambda devices, kind: threads.update({kind: devices}))
    for name in ("intra", "inter"):
        monkeypatch.setattr(
            tf.config.threading, f"set_{name}_op_parallelism_threads", lambda n, name=name: threads.update({name: n})
        )
    return threads


def test_peak_memory_includes_freed_memory():
    held = np.ones(40_000_000, np.uint8)
    peak = peak_rss_bytes()
    assert peak > held.nbytes
    del held
    assert peak_rss_bytes() > peak - 2_000_000  # the kernel updates its counters per CPU, with a delay


def test_the_device_is_named():
    assert device() == "CPU" or device().startswith("GPU: ")


def test_a_worker_that_requires_a_gpu_fails_without_one(no_gpu):
    prepare_devices(require_gpu=False)
    with pytest.raises(MachineFault, match="finds no GPU"):
        prepare_devices(require_gpu=True)


def test_a_run_that_requests_a_gpu_fails_without_one(no_gpu):
    with pytest.raises(MachineFault, match="the run requests one"):
        prepare_devices("gpu")


def test_a_run_that_requests_the_cpu_hides_every_gpu_even_on_a_gpu_worker(no_gpu):
    prepare_devices("cpu", require_gpu=True)
    assert no_gpu == {"GPU": [], "intra": 1, "inter": 1}


@pytest.mark.parametrize(("capability", "is_fast"), [((6, 1), False), ((7, 0), True), ((12, 0), True), (None, False)])
def test_float16_is_used_on_gpus_with_hardware_for_it(monkeypatch, capability, is_fast):
    facts = {} if capability is None else {"compute_capability": capability}
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: ["a gpu"])
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda gpu: facts)
    assert is_half_precision_fast() == is_fast


def test_a_cpu_computes_in_float32(monkeypatch):
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: [])
    assert not is_half_precision_fast()


def test_without_a_gpu_everything_is_computed_in_one_thread(no_gpu):
    prepare_devices(require_gpu=False)
    assert no_gpu == {"intra": 1, "inter": 1}


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="this machine has one core")
def test_weights_do_not_depend_on_the_number_of_cores(tmp_path):
    """Slow: two processes that import TensorFlow and train."""
    (shard,) = written(tmp_path, examples(48))
    command = [sys.executable, "-c", TRAIN_ON_CORES]
    one, all_ = (
        subprocess.run([*command, str(cores), shard.path], check=True, capture_output=True, text=True).stdout
        for cores in (1, 64)
    )
    assert one == all_


def test_gpu_memory_grows_on_demand(monkeypatch):
    grown = []
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["first", "second"])
    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", lambda gpu, enable: grown.append((gpu, enable)))
    prepare_devices(require_gpu=True)
    assert grown == [("first", True), ("second", True)]
