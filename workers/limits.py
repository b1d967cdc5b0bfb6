"""Limits of worker processes.

The kernel stops a decoder in a cpu worker's child that uses too much memory or time, and a message that would take all
the memory of a parent.
"""

from __future__ import annotations

import math
import os
import resource
from pathlib import Path

OPEN_FILES = 1024
PARENT_MEMORY_BYTES = 512 << 20
"""Memory that a parent may use beyond that at its start. It works with 10 MB, and reads a message of 250 MB."""
_ADDRESS_SPACE, _DATA = 0, 5  # fields of /proc/self/statm
_PARENTS = 1
"""Bit of a limit that a parent has set. `ulimit` counts in KiB, so that no limit of the machine's owner has it."""


def disable_core_dumps() -> None:
    """Disable core dumps: the memory of a crashed process may hold a password, which must not be written to disk."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def limit_child(memory_bytes: int) -> None:
    """Limit the address space to `memory_bytes` more than now (Linux only), and the number of open files."""
    _lower(resource.RLIMIT_NOFILE, OPEN_FILES)
    taken = _memory_bytes(_ADDRESS_SPACE)
    if taken is not None:
        _lower(resource.RLIMIT_AS, taken + memory_bytes)


def limit_parent() -> None:
    """Limit the writable memory of a worker's parent (Linux only), unless the machine's owner has limited it.

    A message beyond that raises MemoryError, and workers.transport refuses it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    taken = _memory_bytes(_DATA)
    if taken is not None and soft == resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_DATA, (taken + PARENT_MEMORY_BYTES | _PARENTS, hard))


def lift_parent_limit() -> None:
    """Remove the limit that a child inherited from its parent."""
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if soft != resource.RLIM_INFINITY and soft & _PARENTS:
        resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))


def limit_processor_time(seconds: float | None) -> None:
    """Limit the processor time of this process from now on, rounded up to seconds; None: no limit.

    The parent normally ends a message sooner, by the clock. This limit also works if the parent is suspended or gone.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = hard if seconds is None else math.ceil(used.ru_utime + used.ru_stime + seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


def _lower(which: int, most: int) -> None:
    """Lower the soft limit, unless it is lower already."""
    soft, hard = resource.getrlimit(which)
    bounds = [limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(which, (min([most, *bounds]), hard))


def _memory_bytes(field: int, statm: Path = Path("/proc/self/statm")) -> int | None:
    if not statm.exists():
        return None
    return int(statm.read_text().split()[field]) * os.sysconf("SC_PAGE_SIZE")
