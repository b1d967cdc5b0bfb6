"""The most memory a piece of work takes, as the kernel sees it: what libraries in C allocate counts as well."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

_PROCESS = Path("/proc/self")


@dataclass
class Peak:
    """Filled when the block ends. size_bytes: how far resident memory rose above where it began."""

    size_bytes: int = 0


@contextmanager
def peak_memory() -> Iterator[Peak]:
    """Measures the block, in this process and all its threads; skips where there is no Linux to ask."""
    if not (_PROCESS / "clear_refs").exists():
        pytest.skip("only Linux tells the peak of a process's memory")
    ctypes.CDLL(None).malloc_trim(0)  # what earlier tests freed could hide what this block takes
    (_PROCESS / "clear_refs").write_text("5")  # the peak begins anew
    before, peak = _resident_bytes("VmRSS"), Peak()
    yield peak
    peak.size_bytes = _resident_bytes("VmHWM") - before


def _resident_bytes(name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB$", (_PROCESS / "status").read_text(), re.MULTILINE)
    assert found, name
    return int(found[1]) * 1024
