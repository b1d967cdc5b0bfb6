"""What must never be torn apart: the group each recording belongs to, exact copies joined."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt


def drawn(seed: int, *parts: str) -> float:
    """A number in [0, 1) that follows from the seed and the parts alone, on every machine.

    Parts stay apart: ("ab", "c") and ("a", "bc") draw different numbers.

    >>> drawn(1, "wren") == drawn(1, "wren"), drawn(1, "wren") == drawn(2, "wren")
    (True, False)
    """
    digest = hashlib.sha256(ascii((seed, *parts)).encode("ascii")).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / (1 << 53)


def numbered(names: Sequence[str]) -> tuple[npt.NDArray[np.int64], list[str]]:
    """Each name's number, (n,), and the names by number, in the order of their first appearance.

    >>> codes, names = numbered(["b", "a", "b"])
    >>> codes.tolist(), names
    ([0, 1, 0], ['b', 'a'])
    """
    numbers: dict[str, int] = {}
    codes = np.fromiter((numbers.setdefault(name, len(numbers)) for name in names), np.int64, count=len(names))
    return codes, list(numbers)


def groups(digests: Sequence[str], authors: Sequence[str | None], declared: Sequence[str | None]) -> list[str]:
    """Each recording's final group: the declared one, else its author, else itself (its digest).

    Recordings with the same digest are exact copies and join their groups, and so, step by step, does everything
    those groups hold; the joined group takes the smallest of the names. The order of the recordings changes nothing.

    >>> groups(["d1", "d2", "d2"], ["Ann", "Bo", None], [None, None, "site 7"])
    ['Ann', 'Bo', 'Bo']

    Raises ValueError when the three are not of one length.
    """
    if not len(digests) == len(authors) == len(declared):
        raise ValueError(f"{len(digests)} digests, {len(authors)} authors and {len(declared)} groups: not one each")
    names = [group or author or digest for group, author, digest in zip(declared, authors, digests, strict=True)]
    # Only copies join anything, and they are few: memory for the rest is one integer each.
    codes, _ = numbered(digests)
    copies = np.flatnonzero(np.bincount(codes)[codes] > 1) if len(codes) else codes
    joined = joined_groups((digests[i], names[i]) for i in copies.tolist())
    return [joined.get(name, name) for name in names]


def joined_groups(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """From pairs of (digest, group name): each name's final name, groups that share a digest being one.

    >>> joined_groups([("d1", "b"), ("d1", "c"), ("d2", "c"), ("d2", "a"), ("d3", "z")])
    {'b': 'a', 'c': 'a', 'a': 'a', 'z': 'z'}
    """
    parent: dict[str, str] = {}
    first_with: dict[str, str] = {}
    for digest, name in pairs:
        parent.setdefault(name, name)
        one, other = sorted((_root(parent, name), _root(parent, first_with.setdefault(digest, name))))
        parent[other] = one  # the smaller name stays the root, so the root is the final name
    return {name: _root(parent, name) for name in parent}


def _root(parent: dict[str, str], name: str) -> str:
    while parent[name] != name:
        parent[name] = parent[parent[name]]
        name = parent[name]
    return name
