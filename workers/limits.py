"""What a cpu worker's child may take at most: a decoder fed with hostile bytes is stopped by the kernel."""

from __future__ import annotations

import math
import os
import resource
from pathlib import Path

OPEN_FILES = 1024


def leave_no_core_dump() -> None:
    """A process that crashes leaves no copy of its memory, which may hold a password, on the disk."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def limit_child(memory_bytes: int) -> None:
    """Bounds the address space to `memory_bytes` more than it is now, and the open files (Linux only for the first)."""
    _lower(resource.RLIMIT_NOFILE, OPEN_FILES)
    taken = _address_space_bytes()
    if taken is not None:
        _lower(resource.RLIMIT_AS, taken + memory_bytes)


def limit_processor_time(seconds: float | None) -> None:
    """From now on this process may compute for so long, rounded up; None: without end.

    Its parent's clock ends a message sooner. This holds where the parent is stopped, or gone in a way that the kernel
    did not tell.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = hard if seconds is None else math.ceil(used.ru_utime + used.ru_stime + seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


def _lower(which: int, most: int) -> None:
    """The soft limit, unless it is lower already."""
    soft, hard = resource.getrlimit(which)
    bounds = [limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(which, (min([most, *bounds]), hard))


def _address_space_bytes(statm: Path = Path("/proc/self/statm")) -> int | None:
    if not statm.exists():
        return None
    return int(statm.read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
