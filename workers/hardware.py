"""Detection of this machine's hardware without TensorFlow, which a worker's parent process never loads."""

from __future__ import annotations

import os
from pathlib import Path

TRAINING_BYTES = 2_000_000_000
"""Memory reserved for each parallel training: one takes about 1 GB, and the machine needs the rest."""
PREPROCESSING_BYTES = 400_000_000
"""Memory reserved for each child of a cpu worker: one takes about 330 MB with five-second recordings."""
_GPU_DEVICES = ("nvidia[0-9]*", "dxg", "kfd")  # NVIDIA on Linux, any under WSL, AMD


def usable_cores() -> int:
    """Number of cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def preprocessings_at_once() -> int:
    """Number of children of a cpu worker here: one per core, as far as memory allows."""
    return max(1, min(usable_cores(), available_bytes() // PREPROCESSING_BYTES))


def trainings_at_once(*, on_gpu: bool) -> int:
    """Number of parallel trainings here: one on a GPU, else one per core, as far as memory allows."""
    return 1 if on_gpu else max(1, min(usable_cores(), available_bytes() // TRAINING_BYTES))


def has_gpu(devices: Path = Path("/dev")) -> bool:
    """Whether the machine has a GPU. TensorFlow may still lack a driver for it."""
    return any(any(devices.glob(pattern)) for pattern in _GPU_DEVICES)


def available_bytes(meminfo: Path = Path("/proc/meminfo"), limit: Path = Path("/sys/fs/cgroup/memory.max")) -> int:
    """Free memory: what the kernel calls available, or a container's limit if that is lower."""
    if not meminfo.exists():
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    lines = dict(line.split(":", maxsplit=1) for line in meminfo.read_text().splitlines())
    available = int(lines["MemAvailable"].split()[0]) * 1024
    allowed = limit.read_text().strip() if limit.exists() else "max"
    return available if allowed == "max" else min(available, int(allowed))
