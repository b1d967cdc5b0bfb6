"""What a training says of the machine it ran on."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tasks.failures import MachineFault
from tasks.model.machine import device, peak_rss_bytes, prepare_devices


def test_the_peak_covers_what_was_held_and_does_not_fall_when_it_is_let_go():
    held = np.ones(40_000_000, np.uint8)
    peak = peak_rss_bytes()
    assert peak > held.nbytes
    del held
    assert peak_rss_bytes() > peak - 2_000_000  # the kernel counts by processor and adds up late


def test_the_device_is_named():
    assert device() == "CPU" or device().startswith("GPU: ")


def test_where_a_gpu_is_required_and_none_is_seen_nothing_is_trained(monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    prepare_devices(require_gpu=False)
    with pytest.raises(MachineFault, match="sees no GPU"):
        prepare_devices(require_gpu=True)


def test_the_memory_of_every_gpu_grows_with_its_use(monkeypatch):
    grown = []
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["first", "second"])
    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", lambda gpu, enable: grown.append((gpu, enable)))
    prepare_devices(require_gpu=True)
    assert grown == [("first", True), ("second", True)]
