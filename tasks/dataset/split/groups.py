"""Groups: recordings that must stay in one subset. Exact copies join their groups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

NAMELESS = -1
"""The code of a row without a name."""


class Names(Protocol):
    """Names by number: a list, or an object that makes names on request."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[str]: ...
    def __getitem__(self, number: int, /) -> str: ...


@dataclass(frozen=True, eq=False)
class Coded:
    """A column of names. Each name is stored once.

    codes: (n,) the number of each row's name, or NAMELESS.  names: by number; possibly made on request.
    """

    codes: Ints
    names: Names

    @classmethod
    def of(cls, names: Sequence[str | None]) -> Self:
        """Return the names, numbered in the order of their first appearance.

        >>> column = Coded.of(["b", "a", None, "b"])
        >>> column.codes.tolist(), column.names
        ([0, 1, -1, 0], ['b', 'a'])
        """
        numbers: dict[str, int] = {}
        found = (NAMELESS if name is None else numbers.setdefault(name, len(numbers)) for name in names)
        return cls(np.fromiter(found, np.int64, count=len(names)), list(numbers))

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, row: int) -> str | None:
        """Return the name in a row; None if it has none."""
        code = int(self.codes[row])
        return None if code == NAMELESS else self.names[code]


def groups(identities: Words, declared: Coded) -> Coded:
    """Return each recording's final group: its declared group or author, else a group of its own.

    identities: (n, 2) the first 16 bytes of each recording's digest as two words; their 32 hex digits are the name of
    a group of its own.
    declared: the declared group or the author of each recording, NAMELESS if it has neither.
    Recordings with the same digest are exact copies: their groups are joined, also through several copies. A joined
    group has the smallest of the names. The order of the recordings has no effect on the names.

    >>> identities = np.frombuffer(b"".join(bytes([n] * 16) for n in (1, 2, 2, 3)), np.uint64).reshape(-1, 2)
    >>> found = groups(identities, Coded.of([None, "Bo", "Ann", "Bo"]))
    >>> [found[row] for row in range(4)]
    ['01010101010101010101010101010101', 'Ann', 'Ann', 'Ann']

    Raises: ValueError if the arguments differ in length.
    """
    if len(identities) != len(declared):
        raise ValueError(f"{len(identities)} identities and {len(declared)} declared groups: not one each")
    own, first_row, count = _distinct(identities)
    n_declared = len(declared.names)
    codes = np.where(declared.codes == NAMELESS, n_declared + own, declared.codes)
    copies = np.flatnonzero(count[own] > 1)
    if len(copies):
        becomes = np.arange(n_declared + len(first_row))
        names = _GroupNames(declared.names, identities, first_row, becomes.copy())
        ranked = np.array(sorted(set(codes[copies].tolist()), key=names.__getitem__))
        becomes[ranked] = np.arange(len(ranked))  # ranks by name, for the next line only
        becomes[ranked] = ranked[_smallest_joined(becomes[codes[copies]], own[copies])]
        codes = becomes[codes]
    used, compact = np.unique(codes, return_inverse=True)
    return Coded(compact.astype(np.int64).reshape(-1), _GroupNames(declared.names, identities, first_row, used))


def copies(identities: Words) -> Coded:
    """Return a group for each distinct recording: its exact copies. identities: as above."""
    own, first_row, _ = _distinct(identities)
    return Coded(own, _GroupNames([], identities, first_row, np.arange(len(first_row))))


def n_copies(identities: Words) -> int:
    """Return how many recordings are exact copies of an earlier one. identities: as above."""
    return len(identities) - len(_distinct(identities)[1])


def contradictions(identities: Words, labels: Coded) -> Ints:
    """The rows whose recording has an exact copy under another label, in their order.

    identities: as above.  labels: each recording's class.

    >>> identities = np.frombuffer(b"".join(bytes([n] * 16) for n in (1, 2, 2, 3, 3)), np.uint64).reshape(-1, 2)
    >>> contradictions(identities, Coded.of(["wren", "wren", "robin", "wren", "wren"]))
    array([1, 2])
    """
    own, first_row, _ = _distinct(identities)
    differs = labels.codes != labels.codes[first_row[own]]
    return np.flatnonzero(np.bincount(own, weights=differs, minlength=len(first_row))[own])


def _distinct(identities: Words) -> tuple[Ints, Ints, Ints]:
    """Return the number of each row's identity, (n,); the first row of each number; and the number of its rows."""
    order = np.lexsort((identities[:, 1], identities[:, 0]))
    is_new = np.ones(len(order), dtype=bool)
    is_new[1:] = (identities[order[1:]] != identities[order[:-1]]).any(axis=1)
    own = np.empty(len(order), dtype=np.int64)
    own[order] = np.cumsum(is_new) - 1
    return own, order[is_new], np.bincount(own, minlength=0)


def _smallest_joined(group: Ints, identity: Ints) -> Ints:
    """Return for each group the smallest of the groups that it is joined with, directly or through others.

    group, identity: (n,) of each recording, groups numbered without gaps. Recordings of one identity join their groups.

    >>> _smallest_joined(np.array([1, 2, 2, 0, 3]), np.array([7, 7, 8, 8, 9]))
    array([0, 0, 0, 3])
    """
    from scipy.sparse import coo_array  # noqa: PLC0415  # takes 0.4 s; only needed if there are copies
    from scipy.sparse.csgraph import connected_components  # noqa: PLC0415

    n_groups = int(group.max()) + 1
    numbers, compact = np.unique(identity, return_inverse=True)
    n = n_groups + len(numbers)
    edges = coo_array((np.ones(len(group), dtype=bool), (group, n_groups + compact)), shape=(n, n))
    component = connected_components(edges, directed=False)[1][:n_groups]
    smallest: Ints = np.unique(component, return_index=True)[1][component]
    return smallest


class _GroupNames:
    """Names of groups. Names of single recordings are made on request: a million of them would need 100 MB."""

    def __init__(self, declared: Names, identities: Words, first_row: Ints, used: Ints) -> None:
        self._declared, self._identities, self._first_row, self._used = declared, identities, first_row, used

    def __len__(self) -> int:
        return len(self._used)

    def __iter__(self) -> Iterator[str]:
        return map(self._name, self._used.tolist())

    def __getitem__(self, number: int) -> str:
        return self._name(int(self._used[number]))

    def _name(self, code: int) -> str:
        if code < len(self._declared):
            return self._declared[code]
        identity: bytes = self._identities[self._first_row[code - len(self._declared)]].tobytes()
        return identity.hex()
