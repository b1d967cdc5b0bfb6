"""A cpu worker's app with faults built in: a decoder that obeys the recording's name, a slow or failing store.

CHAOS in the environment says which, as words with a value:
slow=0.1          each strip takes so many seconds longer
store=10          every tenth read and every tenth write of the store fails
late=7            every tenth read and every tenth write of the store takes so many seconds longer
unreadable=FILE   the store cannot be read while this file exists
visibility=1      after so many seconds the broker gives a message to another worker
"""

from __future__ import annotations

import ctypes
import errno
import itertools
import os
import signal
import time
from collections.abc import Callable
from functools import partial, wraps
from pathlib import Path
from typing import Any

from db.ledger.claims import ItemClaim
from tasks import preprocess
from tasks.runtime.task import StripFile, engine
from workers.app import app

__all__ = ["app"]

_ASKED = dict(word.split("=") for word in os.environ.get("CHAOS", "").split())
_made = preprocess.strip_file
Deed = Callable[[], None]


def _deadly(claim: ItemClaim, *rest: Any) -> StripFile:
    time.sleep(float(_ASKED.get("slow", 0)))
    for word, deed in DEEDS.items():
        if word in claim.uri:
            deed()
    strip = _made(claim, *rest)
    with (engine().settings.logs / "made").open("a") as journal:  # a line stays whole when several processes write
        journal.write(f"{claim.uri}\n")
    return strip


def _segfault() -> None:
    ctypes.string_at(0)


def _spin() -> None:
    for _ in itertools.count():
        pass


def _spin_alone() -> None:
    """One call into C that never ends and keeps other threads from running, so that the heartbeat stops."""
    sum(itertools.repeat(0))


def _eat() -> None:
    """Allocates 4 GB in pieces and writes to each; without a limit the machine would swap and kill at random."""
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    for _ in range(64):
        piece = libc.malloc(64 << 20)
        if not piece:
            raise MemoryError
        ctypes.memset(piece, 1, 64 << 20)


def _end_like_an_oom_kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


DEEDS = {
    "segfault": _segfault,
    "forever": _spin,
    "gil": _spin_alone,
    "memory": _eat,
    "vanish": _end_like_an_oom_kill,
}


def _fail() -> None:
    raise OSError(errno.EIO, "Input/output error")


def _refuse_while(there: Path) -> None:
    if there.exists():
        raise PermissionError(errno.EACCES, "Permission denied")


def _every(n: int, deed: Deed) -> Deed:
    calls = itertools.count(1)
    return lambda: deed() if next(calls) % n == 0 else None


def _spoil(name: str, deed: Deed) -> None:
    """Replaces a method of the store by one that first calls the fault."""
    kind = type(engine().store)
    method = getattr(kind, name)

    @wraps(method)
    def spoilt(*words: Any) -> Any:
        deed()
        return method(*words)

    setattr(kind, name, spoilt)


preprocess.strip_file = _deadly
if "visibility" in _ASKED:
    app.conf.broker_transport_options |= {
        "visibility_timeout": float(_ASKED["visibility"]),
        "unacked_restore_interval": 1,
        "unacked_restore_throttle": 1,  # looks every time, not every so-manieth
    }
for method_name in ("put", "get"):
    if "store" in _ASKED:
        _spoil(method_name, _every(int(_ASKED["store"]), _fail))
    if "late" in _ASKED:
        _spoil(method_name, _every(10, partial(time.sleep, float(_ASKED["late"]))))
if "unreadable" in _ASKED:
    _spoil("get", partial(_refuse_while, Path(_ASKED["unreadable"])))
    _spoil("digest", partial(_refuse_while, Path(_ASKED["unreadable"])))
