"""A lock that lets one process of an installation compile at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator

_TIMEOUT_S = 120.0  # longer than compiling all kernels takes; after that the process compiles without the lock
_POLL_S = 0.05


@contextlib.contextmanager
def holding_compile_lock() -> Iterator[None]:
    """Hold the installation's compile lock, so that the other processes wait and then load the code from the cache.

    numba's cache is not safe for two processes that fill it at once: the index of one and the code of the other may be
    kept, and a process that loads this pair crashes with a null pointer (https://github.com/numba/numba/issues/10128).
    The lock is on this source file, so it is in the same place as the cache. If the file cannot be locked, the process
    compiles without waiting.
    """
    lock = os.open(__file__, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _take(lock)
        yield
    finally:
        os.close(lock)


def _take(lock: int) -> None:
    deadline = time.monotonic() + _TIMEOUT_S
    while time.monotonic() < deadline:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_POLL_S)
        except OSError:  # some file systems lock only files that are open for writing
            return
        else:
            return
