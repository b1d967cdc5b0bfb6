"""Memory of processes over their lives, and whether it grows: a slope, and how far chance alone would bend it."""

from __future__ import annotations

import math
import os
import statistics
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import linregress

SAMPLE_EVERY_S = 2.0
N_BLOCKS = 12
"""Samples that follow each other are alike, so they are averaged into so many before a line is laid through them."""
LEAST_ERROR_MB_A_MINUTE = 0.01
"""What is called flat at best: 14 MB a day."""
MOST_ERROR_MB_A_MINUTE = 0.25
"""Beyond it nothing is known: growth of 700 MB a day would hide in the noise."""

Life = list[tuple[float, int]]
"""(seconds, bytes) of one process."""


def memory_bytes(process_id: int) -> int | None:
    """What the process holds in memory; None when it has ended."""
    try:
        return int(Path(f"/proc/{process_id}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return None


@dataclass(frozen=True)
class Slope:
    """How fast memory grew, in MB a minute, and the standard error of that."""

    mb_a_minute: float
    error: float

    @property
    def is_within_noise(self) -> bool:
        """Whether a process that does not grow would often show as much."""
        return self.mb_a_minute <= 2 * max(self.error, LEAST_ERROR_MB_A_MINUTE)


def slope(life: Life) -> Slope:
    """Of one life, by least squares through the means of twelve equal parts; at least two samples a part.

    >>> slope([(2.0 * n, 300_000_000) for n in range(60)])
    Slope(mb_a_minute=0.0, error=0.0)
    """
    at, memory = (np.array([part.mean() for part in np.array_split(column, N_BLOCKS)]) for column in np.array(life).T)
    if np.ptp(memory) == 0:  # linregress knows no error of a line through equal values
        return Slope(0.0, 0.0)
    line = linregress(at / 60, memory / 1e6)
    return Slope(float(line.slope), float(line.stderr))


def joined(slopes: list[Slope]) -> Slope:
    """Of several lives: their mean, the surer ones counting more; unsure as they are, or as they differ."""
    weights = [1 / max(each.error, LEAST_ERROR_MB_A_MINUTE) ** 2 for each in slopes]
    total = sum(weights)
    mean = sum(each.mb_a_minute * weight for each, weight in zip(slopes, weights, strict=True)) / total
    error = 1 / math.sqrt(total)
    if len(slopes) > 1:
        error = max(error, statistics.stdev(each.mb_a_minute for each in slopes) / math.sqrt(len(slopes)))
    return Slope(mean, error)


@dataclass(frozen=True)
class Growth:
    """What is known of the processes of one kind."""

    kind: str
    n_lives: int
    """Long enough to fit a slope."""
    peak_mb: float
    slope: Slope | None
    """None: no life was long enough."""

    @property
    def is_flat(self) -> bool:
        """Known to be, that is."""
        return self.slope is not None and self.slope.is_within_noise and self.slope.error <= MOST_ERROR_MB_A_MINUTE

    @property
    def verdict(self) -> str:
        """In words."""
        if self.slope is None:
            return "not known, none lived long enough"
        if not self.slope.is_within_noise:
            return "it grows"
        return "flat within noise" if self.is_flat else "not known, too noisy"

    def __str__(self) -> str:
        line = f"{self.kind:<11} peak {self.peak_mb:.0f} MB"
        if self.slope is not None:
            line += f", {self.slope.mb_a_minute:+.3f} ± {self.slope.error:.3f} MB a minute in {self.n_lives} long lives"
        return f"{line}: {self.verdict}"


class Meter:
    """Notes what processes hold, every two seconds."""

    def __init__(self) -> None:
        self._next_s = 0.0
        self._lives: dict[str, dict[int, Life]] = defaultdict(lambda: defaultdict(list))

    @property
    def is_due(self) -> bool:
        """Whether it is time for another look."""
        return time.monotonic() >= self._next_s

    def look(self, processes: Iterable[tuple[str, int]]) -> None:
        """One look at (kind, process id)s."""
        now_s = time.monotonic()
        self._next_s = now_s + SAMPLE_EVERY_S
        for kind, process_id in processes:
            if (found := memory_bytes(process_id)) is not None:
                self._lives[kind][process_id].append((now_s, found))

    def growths(self, lived_s: float) -> list[Growth]:
        """By kind, from the lives of at least so many seconds, without the first third of each: caches fill."""
        return [self._growth(kind, list(lives.values()), lived_s) for kind, lives in sorted(self._lives.items())]

    def _growth(self, kind: str, lives: list[Life], lived_s: float) -> Growth:
        long = [life for life in lives if life[-1][0] - life[0][0] >= lived_s]
        settled = [[look for look in life if look[0] - life[0][0] >= (life[-1][0] - life[0][0]) / 3] for life in long]
        slopes = [slope(life) for life in settled if len(life) >= 2 * N_BLOCKS]
        peak_mb = max(memory for life in lives for _, memory in life) / 1e6
        return Growth(kind, len(slopes), peak_mb, joined(slopes) if slopes else None)
