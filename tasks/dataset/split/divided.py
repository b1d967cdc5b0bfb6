"""Authors and groups on both sides of a split, in sentences."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from domain.plural import counted
from domain.subsets import Subset
from tasks.dataset.index import RecordingIndex
from tasks.dataset.split.assignment import Assignment
from tasks.dataset.split.class_counts import Folds
from tasks.dataset.split.groups import NAMELESS, Coded, Ints

_NAMES_LISTED = 5


def sides(split: Assignment) -> Ints | Folds:
    """The side of each recording, (n,): its fold, or in a holdout whether it is in test."""
    return split.fold if split.folds else (split.subset == Subset.TEST).astype(np.int64)


def crossing_notes(recordings: RecordingIndex, groups: Coded, split: Assignment) -> Iterator[str]:
    """Yield who is on both sides of the split: groups or authors, and authors whom the group column divides.

    groups: the final group of each recording.
    """
    side = sides(split)
    word = "group" if recordings.has_groups else "author"
    declared = recordings.declared_groups  # as the data name them: a group that copies join has only one of the names
    crossing = [declared.names[code] for code in _divided(declared.codes, side)]
    if crossing:
        yield f"{_are(word, crossing)} on both sides of the data's own split: {_listed(crossing)}"
    if not recordings.has_groups:
        return
    authors = recordings.authors
    in_groups = [authors.names[code] for code in _divided(authors.codes, groups.codes)]
    if in_groups:
        across = [authors.names[code] for code in _divided(authors.codes, side)]
        where = f"; {_are('author', across)} on both sides of the split: {_listed(across)}" if across else ""
        yield f"the group column divides {counted(len(in_groups), 'author')} ({_listed(in_groups)}){where}"


def _divided(codes: Ints, values: Ints | Folds) -> list[int]:
    """The codes whose rows have different values; rows without a name are left out."""
    is_named = codes != NAMELESS
    pairs = np.unique(np.stack([codes[is_named], values[is_named].astype(np.int64)]), axis=1)
    found, n = np.unique(pairs[0], return_counts=True)
    return [int(code) for code in found[n > 1]]


def _are(word: str, names: list[str]) -> str:
    return counted(len(names), f"{word} is", f"{word}s are")


def _listed(names: list[str]) -> str:
    return ", ".join(sorted(names)[:_NAMES_LISTED]) + (", …" if len(names) > _NAMES_LISTED else "")
