"""Numbers of things, as people write them."""

from __future__ import annotations


def counted(n: int, one: str, many: str = "") -> str:
    """So many of them, in words.

    >>> counted(1, "recording"), counted(2_000, "recording"), counted(0, "class", "classes")
    ('1 recording', '2,000 recordings', '0 classes')
    """
    return f"{n:,} {one if n == 1 else many or one + 's'}"
