"""A holdout: one split into train, valid and test. The dataset's own subsets win where it has them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from domain.errors import Impossible
from domain.plural import counted
from domain.subsets import Subset
from tasks.dataset.split.class_counts import Bools, EncodedDataset
from tasks.dataset.split.groups import Ints
from tasks.dataset.split.stratification import Bins, distribute_groups

# A note lists at most this many class names.
_LISTED_NAMES = 8


class SplitError(Impossible):
    """The dataset cannot be split honestly, with any seed."""


def drawn_subsets(dataset: EncodedDataset, shares: dict[Subset, float]) -> Ints:
    """Draw a subset for each recording, by group, so that each subset gets its share of every class.

    shares: of each subset, > 0.  Returns (n,) Subset.
    Raises: SplitError if there are fewer groups than subsets, or if no class has two groups.
    """
    if dataset.n_groups < len(shares):
        raise SplitError(
            f"the dataset has {dataset.n_groups} groups, too few for {len(shares)} subsets; "
            "add recordings of other authors or sites"
        )
    check_testable(dataset)
    return _distribute(dataset, shares, np.ones(dataset.n_groups, dtype=bool))[dataset.groups]


def check_testable(dataset: EncodedDataset) -> None:
    """Check that at least one class can be both trained on and tested.

    Raises: SplitError if no class has two groups.
    """
    if max(map(len, dataset.class_counts.groups_by_class())) < 2:
        raise SplitError(
            "no class has two groups, so no class can be in both training and test; "
            "add recordings of other authors or sites"
        )


def official_subsets(
    dataset: EncodedDataset, given: Ints, spec_shares: tuple[float, float], recordings: EncodedDataset | None
) -> tuple[Ints, list[str]]:
    """Keep the dataset's subsets, and complete them.

    given: (n,) Subset, or -1 if the dataset names none; at least one is VALID or TEST.
    spec_shares: shares of test and validation.
    recordings: the same rows with exact copies as groups; None if copies are not known.
    A recording without a subset follows its group; if its group has none either, it joins training. If the dataset has
    no validation or no test recordings, these are drawn from the groups that are completely in training. If fewer than
    two groups are, validation is drawn from the training recordings of all groups: the dataset's own split divides them
    anyway.
    Returns (n,) Subset, and notes for the user.
    Raises: SplitError if no recording is left to train on.
    """
    test_share, valid_share = spec_shares
    # If a group is in several subsets, its other recordings join the one furthest from training, to avoid leaks.
    group_subset = dataset.smallest_by_group(np.where(given >= 0, Subset.TEST - given, -1), Subset.TEST - Subset.TRAIN)
    subsets = np.where(given >= 0, given, (Subset.TEST - group_subset)[dataset.groups])
    n_missing = int((given < 0).sum())
    notes = (
        [f"{n_missing:,} recordings have no subset in the data; they follow their group, or join training"]
        if n_missing
        else []
    )
    absent = [subset for subset in (Subset.VALID, Subset.TEST) if not (subsets == subset).any()]
    if not (subsets == Subset.TRAIN).any():
        raise SplitError("the split column leaves no recording to train on; set it to train for some recordings")
    if not absent:
        return subsets, notes
    subset = absent[0]
    name = subset.word
    share = valid_share if subset is Subset.VALID else test_share
    is_free = np.ones(dataset.n_groups, dtype=bool)
    is_free[dataset.groups[subsets != Subset.TRAIN]] = False
    if is_free.sum() < 2 and subset is Subset.VALID:
        is_drawn, how = _validation_of_divided_groups(dataset, subsets == Subset.TRAIN, share, recordings)
        return np.where(is_drawn, Subset.VALID, subsets), [*notes, f"the data has no {name} subset; {how}"]
    if is_free.sum() < 2:
        raise SplitError(
            f"training has {counted(int(is_free.sum()), 'group')} of its own, too few to draw a {name} subset from it; "
            "add recordings of other authors or sites"
        )
    notes.append(f"the data has no {name} subset; {share:.0%} of the training groups were drawn for it")
    drawn = _distribute(dataset, {Subset.TRAIN: 1 - share, subset: share}, is_free)
    return np.where(is_free[dataset.groups], drawn[dataset.groups], subsets), notes


def _validation_of_divided_groups(
    dataset: EncodedDataset, is_training: Bools, share: float, recordings: EncodedDataset | None
) -> tuple[Bools, str]:
    """Draw validation from the training recordings of groups that are in other subsets too, and say how.

    By group if there are enough groups for the share. Of fewer groups one would be too much of the training data, so
    recordings are drawn, exact copies together.
    Returns (n,) whether the recording is drawn.
    Raises: SplitError if there is nothing to draw from.
    """
    n_groups = len(np.unique(dataset.groups[is_training]))
    is_by_group = n_groups * share >= 1 or recordings is None
    units = dataset if recordings is None or is_by_group else recordings
    in_training = units.of_recordings(is_training)
    is_free = in_training.class_counts.size > 0
    if is_free.sum() < 2:
        raise SplitError(
            f"training has {counted(int(is_free.sum()), 'group')}, too few to draw a validation subset from it; "
            "add recordings"
        )
    by_unit = _distribute(in_training, {Subset.TRAIN: 1 - share, Subset.VALID: share}, is_free)
    is_drawn: Bools = is_training & (by_unit[units.groups] == Subset.VALID)
    if is_by_group:
        return is_drawn, f"{share:.0%} of the groups were drawn for it, from their training recordings"
    return is_drawn, (
        f"{share:.0%} of the training recordings were drawn for it, not whole groups, because training has only "
        f"{counted(n_groups, 'group')}"
    )


def missing_class_notes(dataset: EncodedDataset, subsets: Ints) -> list[str]:
    """Describe the classes that are not in every subset: one sentence for each combination of subsets.

    subsets: (n,) Subset of each recording.
    """
    is_present = dataset.counts_by_value(subsets, len(Subset)) > 0
    n_groups = [len(groups) for groups in dataset.class_counts.groups_by_class()]
    notes = []
    for pattern in sorted({tuple(row) for row in is_present.tolist()}):
        if all(pattern):
            continue
        present = [subset.word for subset in Subset if pattern[subset]]
        classes = np.flatnonzero((is_present == np.array(pattern)).all(axis=1)).tolist()
        where = f"{' and '.join(present)} subset{'s' if len(present) > 1 else ''}"
        most = counted(max(n_groups[c] for c in classes), "group")
        notes.append(f"{class_list(dataset, classes)}: only in the {where} ({most} at most)")
    return notes


def class_list(dataset: EncodedDataset, classes: Sequence[int]) -> str:
    """Return `class a` or `3 classes (a, b, c)`, with at most eight names. classes: their numbers, at least one."""
    names = [dataset.class_names[c] for c in classes]
    if len(names) == 1:
        return f"class {names[0]}"
    more = f" and {len(names) - _LISTED_NAMES:,} more" if len(names) > _LISTED_NAMES else ""
    return f"{len(names):,} classes ({', '.join(names[:_LISTED_NAMES])}{more})"


def _distribute(dataset: EncodedDataset, shares: dict[Subset, float], is_free: Bools) -> Ints:
    """Return the subset of each free group, (n_groups,); the values of the other groups have no meaning."""
    subsets = list(shares)
    bins = Bins(list(shares.values()), len(dataset.class_names))
    bins.add_expected(dataset.class_counts.of_groups(is_free).totals())

    def required_bins(n_groups: int, _: Bins) -> list[int]:
        # A class of one group is needed in training. Test and validation choose first, because they take small groups.
        evaluated = [b for b in reversed(range(len(subsets))) if subsets[b] is not Subset.TRAIN]
        return [*evaluated[: max(n_groups - 1, 0)], subsets.index(Subset.TRAIN)]

    bin_of = distribute_groups(dataset.class_counts, bins, required_bins, is_free)
    by_group = np.array([int(subset) for subset in subsets])[bin_of]
    for subset in subsets:
        _fill_empty(dataset, by_group, is_free, subset)
    return by_group


def _fill_empty(dataset: EncodedDataset, by_group: Ints, is_free: Bools, subset: Subset) -> None:
    """Move one small group to an empty subset, preferably from validation or test."""
    if (by_group[is_free] == subset).any():
        return
    count = np.bincount(by_group[is_free], minlength=len(Subset))
    candidates = np.flatnonzero(is_free & (count[by_group] > 1))
    order = np.lexsort((candidates, dataset.class_counts.size[candidates], by_group[candidates] == Subset.TRAIN))
    by_group[candidates[order[0]]] = subset
