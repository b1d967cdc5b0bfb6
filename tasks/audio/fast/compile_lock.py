"""Who may compile: one process of an installation at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator

_PATIENCE_S = 120.0  # longer than all kernels take; who waits longer goes on, as if nobody else were compiling
_GLANCE_S = 0.05


@contextlib.contextmanager
def compiling_alone() -> Iterator[None]:
    """Of the processes of one installation only one is inside: the others wait for it, and find its work in the cache.

    numba's cache does not bear two processes that fill it at once: one may keep the index and the other the code,
    and who loads that pair later dies of a null pointer (https://github.com/numba/numba/issues/10128). The lock is
    this source file itself, so that it is where the cache is; where it cannot be locked nobody waits.
    """
    lock = os.open(__file__, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _take(lock)
        yield
    finally:
        os.close(lock)


def _take(lock: int) -> None:
    patient_until = time.monotonic() + _PATIENCE_S
    while time.monotonic() < patient_until:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_GLANCE_S)
        except OSError:  # a file system that locks only what may be written
            return
        else:
            return
