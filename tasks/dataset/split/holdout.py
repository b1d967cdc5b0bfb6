"""Train, valid and test: the sides of a holdout, the data's own where it has them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from domain.errors import Impossible
from domain.subsets import Subset
from tasks.dataset.split.class_counts import Bools, Cohort
from tasks.dataset.split.groups import Ints
from tasks.dataset.split.shares import Bins, deal

# How many names a note lists before it only counts.
_NAMES_LISTED = 8


class SplitError(Impossible):
    """Data that cannot be split honestly, whatever the seed."""


def drawn_sides(cohort: Cohort, shares: dict[Subset, float]) -> Ints:
    """(n,) the side of each recording, dealt by group so that each side has its share of every class.

    Raises SplitError with fewer groups than sides, or when no class has two groups.
    """
    if cohort.n_groups < len(shares):
        raise SplitError(
            f"{cohort.n_groups} groups cannot fill {len(shares)} sides; add recordings of other authors or sites"
        )
    refuse_unjudgeable(cohort)
    return _dealt(cohort, shares, np.ones(cohort.n_groups, dtype=bool))[cohort.groups]


def refuse_unjudgeable(cohort: Cohort) -> None:
    """Raises SplitError when no class has two groups, so that none could be both learned and tested."""
    if max(map(len, cohort.census.holders())) < 2:
        raise SplitError(
            "no class has two groups, so none could be learned and tested; add recordings of other authors or sites"
        )


def official_sides(cohort: Cohort, given: Ints, spec_shares: tuple[float, float]) -> tuple[Ints, list[str]]:
    """(n,) sides where the data names some, and notes on what was drawn besides.

    given: (n,) Subset, or -1 where the data says nothing.  spec_shares: the test and the validation share.
    A named side is never changed. A recording without one follows its group, else it joins the training side.
    What the data lacks is drawn from the groups that are wholly on the training side.
    Raises SplitError when nothing is left to train on.
    """
    test_share, valid_share = spec_shares
    # A group on several sides counts for the one nearest to judging, so that its unnamed recordings are not learned.
    group_side = cohort.per_group(np.where(given >= 0, Subset.TEST - given, -1), Subset.TEST - Subset.TRAIN)
    sides = np.where(given >= 0, given, (Subset.TEST - group_side)[cohort.groups])
    n_unnamed = int((given < 0).sum())
    notes = [f"{n_unnamed:,} recordings name no side and follow their group, or train"] if n_unnamed else []
    lacking = [side for side in (Subset.VALID, Subset.TEST) if not (sides == side).any()]
    if not (sides == Subset.TRAIN).any():
        raise SplitError("the split column leaves no recording to train on; name some train")
    if not lacking:
        return sides, notes
    side = lacking[0]
    share = valid_share if side is Subset.VALID else test_share
    notes.append(f"the data names no {side.name.lower()} side; {share:.0%} of the training groups were drawn for it")
    is_free = np.ones(cohort.n_groups, dtype=bool)
    is_free[cohort.groups[sides != Subset.TRAIN]] = False
    if is_free.sum() < 2:
        raise SplitError(f"the training side has {is_free.sum()} groups of its own; {side.name.lower()} needs a second")
    dealt = _dealt(cohort, {Subset.TRAIN: 1 - share, side: share}, is_free)
    return np.where(is_free[cohort.groups], dealt[cohort.groups], sides), notes


def presence_notes(cohort: Cohort, sides: Ints) -> list[str]:
    """One sentence for each way a class is missing from a side, naming the classes."""
    is_there = cohort.presence(sides, len(Subset)) > 0
    n_groups = [len(groups) for groups in cohort.census.holders()]
    notes = []
    for pattern in sorted({tuple(row) for row in is_there.tolist()}):
        if all(pattern):
            continue
        on = " and ".join(side.name.lower() for side in Subset if pattern[side])
        found = np.flatnonzero((is_there == np.array(pattern)).all(axis=1)).tolist()
        few = max(n_groups[c] for c in found)
        notes.append(
            f"{named(cohort, found)}: only on the {on} side ({few} {'group' if few == 1 else 'groups'} at most)"
        )
    return notes


def named(cohort: Cohort, classes: Sequence[int]) -> str:
    """`class a` or `3 classes (a, b, c)`, at most eight of them by name."""
    names = [cohort.class_names[c] for c in classes]
    if len(names) == 1:
        return f"class {names[0]}"
    more = f" and {len(names) - _NAMES_LISTED:,} more" if len(names) > _NAMES_LISTED else ""
    return f"{len(names):,} classes ({', '.join(names[:_NAMES_LISTED])}{more})"


def _dealt(cohort: Cohort, shares: dict[Subset, float], is_free: Bools) -> Ints:
    """(n_groups,) the side of each free group."""
    sides = list(shares)
    bins = Bins(list(shares.values()), len(cohort.class_names))
    bins.expect(cohort.census.among(is_free).totals())

    def reach(n_groups: int, _: Bins) -> list[int]:
        # Training comes first in importance and last in turn: judged sides take small groups, it takes what is left.
        judged = [b for b in reversed(range(len(sides))) if sides[b] is not Subset.TRAIN]
        return [*judged[: max(n_groups - 1, 0)], sides.index(Subset.TRAIN)]

    dealt = deal(cohort.census, bins, reach, is_free)
    by_side = np.array([int(side) for side in sides])[dealt]
    for side in sides:
        _fill_empty(cohort, by_side, is_free, side)
    return by_side


def _fill_empty(cohort: Cohort, by_side: Ints, is_free: Bools, side: Subset) -> None:
    """Moves one small group to a side that got none, rather from a judged side than from training."""
    if (by_side[is_free] == side).any():
        return
    count = np.bincount(by_side[is_free], minlength=len(Subset))
    spare = np.flatnonzero(is_free & (count[by_side] > 1))
    order = np.lexsort((spare, cohort.census.size[spare], by_side[spare] == Subset.TRAIN))
    by_side[spare[order[0]]] = side
