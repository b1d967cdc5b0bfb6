"""What this machine has, found out without TensorFlow, which a worker's parent never loads."""

from __future__ import annotations

import os
from pathlib import Path

TRAINING_BYTES = 2_000_000_000
"""Set aside for each of several trainings: one takes about 1 GB, and the machine has other things to do."""
PREPROCESSING_BYTES = 400_000_000
"""Set aside for each child of a cpu worker: one takes about 330 MB with five-second recordings."""
_GPU_DEVICES = ("nvidia[0-9]*", "dxg", "kfd")  # NVIDIA on Linux, any under WSL, AMD


def usable_cores() -> int:
    """Cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def preprocessings_at_once() -> int:
    """Children of a cpu worker on this machine or in this container: one a core, as far as memory goes."""
    return max(1, min(usable_cores(), available_bytes() // PREPROCESSING_BYTES))


def trainings_at_once(*, on_gpu: bool) -> int:
    """Trainings this machine carries out side by side: one on a GPU, else one a core, as far as memory goes."""
    return 1 if on_gpu else max(1, min(usable_cores(), available_bytes() // TRAINING_BYTES))


def has_gpu(devices: Path = Path("/dev")) -> bool:
    """Whether there is a GPU; TensorFlow, which may have no driver for it, has the last word."""
    return any(any(devices.glob(pattern)) for pattern in _GPU_DEVICES)


def available_bytes(meminfo: Path = Path("/proc/meminfo"), limit: Path = Path("/sys/fs/cgroup/memory.max")) -> int:
    """Memory that may still be taken: what the kernel calls available, or a container's limit where that is less."""
    if not meminfo.exists():
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    lines = dict(line.split(":", maxsplit=1) for line in meminfo.read_text().splitlines())
    available = int(lines["MemAvailable"].split()[0]) * 1024
    allowed = limit.read_text().strip() if limit.exists() else "max"
    return available if allowed == "max" else min(available, int(allowed))
