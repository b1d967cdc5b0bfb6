"""Counts and durations in words."""

from __future__ import annotations


def counted(n: int, one: str, many: str = "") -> str:
    """Return the number with its noun in singular or plural.

    >>> counted(1, "recording"), counted(2_000, "recording"), counted(0, "class", "classes")
    ('1 recording', '2,000 recordings', '0 classes')
    """
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def duration(seconds: float) -> str:
    """Return a duration in its two largest units.

    >>> duration(42), duration(125), duration(7300)
    ('42 s', '2 min 05 s', '2 h 01 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
