"""Bytes changed at random, fed to what reads them until the time is up. CHORUS_FUZZ_S says for how many seconds."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from random import Random, SystemRandom
from typing import TypeVar

FUZZ_S = float(os.environ.get("CHORUS_FUZZ_S", "0.5"))
SLOWEST_S = 10.0
_T = TypeVar("_T")


def changed(content: bytes, draw: Random) -> bytes:
    """The bytes with a few of them changed, cut out, doubled or cut off."""
    bytes_ = bytearray(content)
    for _ in range(draw.randint(1, 6)):
        at, n = draw.randrange(len(bytes_) or 1), draw.randint(1, 16)
        how = draw.randrange(5)
        if how == 0 and bytes_:
            bytes_[at] ^= 1 << draw.randrange(8)
        elif how == 1:
            bytes_[at : at + n] = draw.randbytes(n)
        elif how == 2:
            del bytes_[at : at + n]
        elif how == 3:
            bytes_[at:at] = bytes_[at : at + n]
        elif draw.random() < 0.2:
            del bytes_[at:]
    return bytes(bytes_)


def fuzzed(
    seeds: Sequence[_T],
    read: Callable[[_T], object],
    reasons: tuple[type[Exception], ...],
    change: Callable[[_T, Random], _T] = changed,  # type: ignore[assignment]
) -> int:
    """Feeds changed seeds until the time is up; returns how many. Fails for an error that is no reason."""
    seed = SystemRandom().randrange(10**9)
    print(f"seed {seed}")
    draw, n, end_s = Random(seed), 0, time.monotonic() + FUZZ_S
    while time.monotonic() < end_s:
        content, began_s = change(draw.choice(seeds), draw), time.monotonic()
        try:
            read(content)
        except reasons as reason:
            assert str(reason), "a reason without words"
        assert time.monotonic() - began_s < SLOWEST_S, f"input {n} of seed {seed} took too long"
        n += 1
    assert n > 0
    return n
