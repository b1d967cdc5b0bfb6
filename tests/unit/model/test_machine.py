"""What a training says of the machine it ran on."""

from __future__ import annotations

import numpy as np

from tasks.model.machine import device, peak_rss_bytes


def test_the_peak_covers_what_was_held_and_does_not_fall_when_it_is_let_go():
    held = np.ones(40_000_000, np.uint8)
    peak = peak_rss_bytes()
    assert peak > held.nbytes
    del held
    assert peak_rss_bytes() > peak - 2_000_000  # the kernel counts by processor and adds up late


def test_the_device_is_named():
    assert device() == "CPU" or device().startswith("GPU: ")
