"""Keys of the store."""

from __future__ import annotations


def parts(key: str) -> list[str]:
    """The key's parts. Raises ValueError for one that would leave the store.

    >>> parts("strips/ab/x.png")
    ['strips', 'ab', 'x.png']
    """
    found = key.split("/")
    if not key or key.startswith("/") or any(part in {"", ".", ".."} for part in found):
        raise ValueError(f"store key {key!r:.80} is not a relative path without dots")
    return found
