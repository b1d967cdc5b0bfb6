"""Configure glibc's allocator for training: keep freed blocks in the process."""

from __future__ import annotations

MMAP_THRESHOLD_BYTES = 32 << 20
"""Larger blocks are mapped and unmapped by the system each time; glibc accepts no higher threshold."""
_M_MMAP_THRESHOLD = -3
"""The mallopt option of that name in glibc's malloc.h."""


def keep_large_blocks() -> None:
    """Set glibc's mmap threshold for this process; do nothing on other C libraries.

    Since Python 3.11, TensorFlow sets the threshold to 128 KiB whenever it creates a dataset from a generator. Every
    training step would then request most of its memory from the system again.
    """
    import ctypes  # noqa: PLC0415  # the command line imports this file for the number above

    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:
        set_option(_M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES)
