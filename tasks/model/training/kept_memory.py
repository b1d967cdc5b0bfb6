"""Blocks of memory that are freed stay in the process while it trains."""

from __future__ import annotations

LARGEST_KEPT_BYTES = 32 << 20
"""A larger block always comes from the system and goes back to it; glibc takes no higher limit."""
_M_MMAP_THRESHOLD = -3
"""Of mallopt, in glibc's malloc.h."""


def keep_large_blocks() -> None:
    """Sets glibc's mmap threshold for this process; nothing where the C library is another one.

    TensorFlow sets it to 128 KiB whenever it makes a dataset of a generator, since Python 3.11: every step of a
    training would then ask the system anew for most of what it computes with.
    """
    import ctypes  # noqa: PLC0415  # the command line imports this file for the number above

    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:
        set_option(_M_MMAP_THRESHOLD, LARGEST_KEPT_BYTES)
