"""The recording index of a dataset: the facts that a plan needs, in columns of about 50 bytes per recording."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from domain.digests import content_digest, short_digest
from domain.frozen_words import ON_TRUST
from domain.subsets import Subset
from tasks.dataset.manifest import FoundRecording
from tasks.dataset.split.class_counts import Bools
from tasks.dataset.split.groups import NAMELESS, Coded, Ints, Words

_IDENTITY_BYTES = 16


class RecordingIndex:
    """Facts of the recordings in the order of their rows; `add` appends one entry to each column.

    orders: 64 bits from the recording's bytes and URI; they determine the packed order.
    n_spans: a column for each preset, >= 1.  durations_s: 0 if the length is not known.
    has_groups: whether any recording has a group of the data's group column.
    """

    def __init__(self, n_presets: int = 1) -> None:
        self.orders = array("Q")
        self.n_spans = tuple(array("i") for _ in range(n_presets))
        self.durations_s = array("f")
        self._identities = bytearray()
        self._folds, self._subsets = array("h"), array("b")
        self._labels, self._declared, self._authors = _Column(), _Column(), _Column()
        self.has_groups = False

    def __len__(self) -> int:
        return len(self.orders)

    def add(self, recording: FoundRecording, n_spans: Sequence[int]) -> None:
        """Add a recording; n_spans: one for each preset."""
        row = recording.row
        identity = identity_of(recording)
        named = short_digest(row.uri, identity)
        self.orders.append(int.from_bytes(named, "big"))
        for column, n in zip(self.n_spans, n_spans, strict=True):
            column.append(n)
        self.durations_s.append(recording.n_frames / recording.rate_hz if recording.rate_hz else 0.0)
        self._identities += identity
        self._folds.append(-1 if row.fold is None else row.fold)
        self._subsets.append(-1 if row.split is None else Subset.of(row.split))
        self._labels.add(row.label)
        self._declared.add(row.group or row.author)
        self._authors.add(row.author)
        self.has_groups |= row.group is not None

    @property
    def labels(self) -> Coded:
        """The class of each recording."""
        return self._labels.coded

    @property
    def declared_groups(self) -> Coded:
        """The declared group or the author of each recording; NAMELESS if it has neither."""
        return self._declared.coded

    @property
    def authors(self) -> Coded:
        """The author of each recording; NAMELESS if it has none."""
        return self._authors.coded

    @property
    def identities(self) -> Words:
        """The identities as two words each, (n, 2). This is a view: after it is taken, `add` raises BufferError."""
        return np.frombuffer(self._identities, np.uint64).reshape(-1, 2)

    @property
    def folds(self) -> Ints:
        """The fold of each recording in the dataset's own column, (n,); -1 if it has none."""
        return np.array(self._folds, np.int64)

    @property
    def subsets(self) -> Ints:
        """The subset of each recording in the dataset's own column, (n,); -1 if it has none."""
        return np.array(self._subsets, np.int64)

    def only(self, is_kept: Bools) -> RecordingIndex:
        """Return the recordings to keep, in the same order. is_kept: (n,)."""
        kept = RecordingIndex(len(self.n_spans))
        kept.orders = _chosen(self.orders, is_kept)
        kept.n_spans = tuple(_chosen(column, is_kept) for column in self.n_spans)
        kept.durations_s = _chosen(self.durations_s, is_kept)
        kept._identities = bytearray(self.identities[is_kept].tobytes())
        kept._folds, kept._subsets = _chosen(self._folds, is_kept), _chosen(self._subsets, is_kept)
        for name in ("_labels", "_declared", "_authors"):
            setattr(kept, name, getattr(self, name).only(is_kept))
        kept.has_groups = self.has_groups
        return kept

    def identities_as_text(self) -> Iterator[str]:
        """Yield each identity as 32 hex digits."""
        for at in range(0, len(self._identities), _IDENTITY_BYTES):
            yield self._identities[at : at + _IDENTITY_BYTES].hex()


def identity_of(recording: FoundRecording) -> bytes:
    """Return 16 bytes that exact copies share: half of the digest.

    An unread recording (`--trust-csv`) gets an identity from its URI, and so has no copies until it is read.
    """
    if recording.digest:
        return bytes.fromhex(recording.digest[: 2 * _IDENTITY_BYTES])
    return bytes.fromhex(content_digest((ON_TRUST + recording.row.uri).encode())[: 2 * _IDENTITY_BYTES])


class _Column:
    """A column of names that is built row by row. Each name is stored once."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._codes = array("i")

    def add(self, name: str | None) -> None:
        self._codes.append(NAMELESS if name is None else self._numbers.setdefault(name, len(self._numbers)))

    def only(self, is_kept: Bools) -> _Column:
        """Return the column of the kept rows; names that no row has any more are left out."""
        names, kept = list(self._numbers), _Column()
        for code in _chosen(self._codes, is_kept):
            kept.add(None if code == NAMELESS else names[code])
        return kept

    @property
    def coded(self) -> Coded:
        return Coded(np.array(self._codes, np.int64), list(self._numbers))


def _chosen(column: array[Any], is_kept: Bools) -> array[Any]:
    return array(column.typecode, np.asarray(column)[is_kept].tobytes())
