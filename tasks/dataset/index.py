"""The roll of a dataset: what a plan must know of every recording, in columns of some 50 bytes a recording."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence

import numpy as np

from domain.digests import content_digest, short_digest
from domain.subsets import Subset
from tasks.dataset.manifest import Recording
from tasks.dataset.split.groups import NAMELESS, Coded, Ints, Words

_IDENTITY_BYTES = 16


class Roll:
    """Recordings in the order of their rows; the columns grow by one entry with each `add`.

    orders: 64 bits that follow from the recording's bytes and URI, to draw an order from.
    n_spans: a column for each preset, >= 1.  durations_s: 0 where the length is not known.
    """

    def __init__(self, n_presets: int = 1) -> None:
        self.orders = array("Q")
        self.n_spans = tuple(array("i") for _ in range(n_presets))
        self.durations_s = array("f")
        self._identities = bytearray()
        self._folds, self._sides = array("h"), array("b")
        self._labels, self._wider = _Column(), _Column()

    def __len__(self) -> int:
        return len(self.orders)

    def add(self, recording: Recording, n_spans: Sequence[int]) -> None:
        """Adds a recording; n_spans: one for each preset."""
        row = recording.row
        identity = identity_of(recording)
        named = short_digest(row.uri, identity)
        self.orders.append(int.from_bytes(named, "big"))
        for column, n in zip(self.n_spans, n_spans, strict=True):
            column.append(n)
        self.durations_s.append(recording.n_frames / recording.rate_hz if recording.rate_hz else 0.0)
        self._identities += identity
        self._folds.append(-1 if row.fold is None else row.fold)
        self._sides.append(-1 if row.split is None else Subset[row.split.upper()])
        self._labels.add(row.label)
        self._wider.add(row.group or row.author)

    @property
    def labels(self) -> Coded:
        """Each recording's class."""
        return self._labels.coded

    @property
    def wider(self) -> Coded:
        """Each recording's declared group, or its author; NAMELESS where there is neither."""
        return self._wider.coded

    @property
    def identities(self) -> Words:
        """(n, 2) what copies have in common, 16 bytes as two words; a view, after which nothing can be added."""
        return np.frombuffer(self._identities, np.uint64).reshape(-1, 2)

    @property
    def folds(self) -> Ints:
        """(n,) the data's own folds, -1 where it names none."""
        return np.array(self._folds, np.int64)

    @property
    def sides(self) -> Ints:
        """(n,) the data's own sides, -1 where it names none."""
        return np.array(self._sides, np.int64)

    def identities_as_text(self) -> Iterator[str]:
        """32 hex digits each: the first half of the digest, or what stands for it where the file was not read."""
        for at in range(0, len(self._identities), _IDENTITY_BYTES):
            yield self._identities[at : at + _IDENTITY_BYTES].hex()


def identity_of(recording: Recording) -> bytes:
    """16 bytes that exact copies have in common; a recording taken on trust is one of a kind until it is read."""
    if recording.digest:
        return bytes.fromhex(recording.digest[: 2 * _IDENTITY_BYTES])
    return bytes.fromhex(content_digest(b"on trust " + recording.row.uri.encode())[: 2 * _IDENTITY_BYTES])


class _Column:
    """Names that come one by one, each kept once."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._codes = array("i")

    def add(self, name: str | None) -> None:
        self._codes.append(NAMELESS if name is None else self._numbers.setdefault(name, len(self._numbers)))

    @property
    def coded(self) -> Coded:
        return Coded(np.array(self._codes, np.int64), list(self._numbers))
