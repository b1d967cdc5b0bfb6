"""A cpu worker's app with faults built in: a decoder that obeys the recording's name, a slow or failing store.

CHAOS in the environment says which, as `slow=0.1 store=10 visibility=1`: seconds each strip takes longer, every
how-manieth call of the store fails, and after how many seconds the broker gives a message to somebody else.
"""

from __future__ import annotations

import ctypes
import errno
import itertools
import os
import signal
import time
from collections.abc import Callable
from functools import wraps
from typing import Any

from db.ledger import ItemClaim
from tasks import preprocess
from tasks.stage import StripFile, engine
from workers.app import app

__all__ = ["app"]

_ASKED = dict(word.split("=") for word in os.environ.get("CHAOS", "").split())
_made = preprocess.strip_file


def _deadly(claim: ItemClaim, *rest: Any) -> StripFile:
    time.sleep(float(_ASKED.get("slow", 0)))
    for word, deed in DEEDS.items():
        if word in claim.uri:
            deed()
    return _made(claim, *rest)


def _segfault() -> None:
    ctypes.string_at(0)


def _spin() -> None:
    for _ in itertools.count():
        pass


def _spin_alone() -> None:
    """One call into C that never ends and lets no other thread run, so that no heartbeat beats."""
    sum(itertools.repeat(0))


def _eat() -> None:
    """4 GB in pieces, each written to; without a limit the machine would go on to swap and kill at random."""
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


def _failing(call: Callable[..., Any], every: int) -> Callable[..., Any]:
    calls = itertools.count(1)

    @wraps(call)
    def failing(*words: Any) -> Any:
        if next(calls) % every == 0:
            raise OSError(errno.EIO, "Input/output error")
        return call(*words)

    return failing


preprocess.strip_file = _deadly
if "visibility" in _ASKED:
    app.conf.broker_transport_options |= {
        "visibility_timeout": float(_ASKED["visibility"]),
        "unacked_restore_interval": 1,
        "unacked_restore_throttle": 0.1,
    }
if every := int(_ASKED.get("store", 0)):
    kind = type(engine().store)
    for name in ("put", "get"):
        setattr(kind, name, _failing(getattr(kind, name), every))
