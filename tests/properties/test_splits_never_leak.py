"""Properties of splits: groups stay whole, each recording has one place, and the row order has no effect."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from domain.subsets import Subset
from tasks.dataset.split.assignment import Assignment, Coded, SplitError, SplitSpec, assign, groups


@dataclass(frozen=True)
class Data:
    labels: list[str]
    names: list[str]
    folds: list[int | None]
    subsets: list[Subset | None]

    def reordered(self, order: list[int]) -> Data:
        return Data(*([column[i] for i in order] for column in (self.labels, self.names, self.folds, self.subsets)))


@st.composite
def datasets(draw: st.DrawFn, *, has_folds: bool = False, has_subsets: bool = False) -> Data:
    """Draw recordings in groups of several classes; some of these datasets cannot be split."""
    n_groups = draw(st.integers(4, 25))
    numbers = draw(st.lists(st.integers(0, n_groups - 1), min_size=12, max_size=60))
    n = len(numbers)
    fold = st.sampled_from([None, 1, 2, 5]) if has_folds else st.none()
    subset = st.sampled_from([None, *Subset]) if has_subsets else st.none()
    return Data(
        draw(st.lists(st.sampled_from("abc"), min_size=n, max_size=n)),
        [f"group {g}" for g in numbers],
        draw(st.lists(fold, min_size=n, max_size=n)),
        draw(st.lists(subset, min_size=n, max_size=n)),
    )


@st.composite
def pure_datasets(draw: st.DrawFn) -> Data:
    """Draw recordings in groups of one class each; class 0 has three groups or more."""
    sizes = st.integers(1, 6)
    classes = [draw(st.lists(sizes, min_size=3, max_size=6)), *draw(st.lists(st.lists(sizes, min_size=1), min_size=1))]
    cells = [
        (str(c), f"group {c}.{g}") for c, groups in enumerate(classes) for g, n in enumerate(groups) for _ in range(n)
    ]
    none = [None] * len(cells)
    return Data([label for label, _ in cells], [name for _, name in cells], list(none), list(none))


specs = st.builds(SplitSpec, n_folds=st.sampled_from([None, 2, 3, 5]), seed=st.integers(0, 5))


def numbers(values: list[int | None] | list[Subset | None]) -> np.ndarray:
    return np.array([-1 if value is None else value for value in values], np.int64)


def split(data: Data, spec: SplitSpec) -> Assignment:
    try:
        return assign(Coded.of(data.labels), Coded.of(data.names), numbers(data.folds), numbers(data.subsets), spec)
    except SplitError:
        assume(False)
        raise


def places(data: Data, values: np.ndarray) -> dict[str, set[int]]:
    found: dict[str, set[int]] = {}
    for name, value in zip(data.names, values.tolist(), strict=True):
        found.setdefault(name, set()).add(value)
    return found


@given(datasets(), specs)
def test_no_group_is_divided_by_a_drawn_split(data: Data, spec: SplitSpec):
    assignment = split(data, spec)
    assert assignment.leaks == 0
    for values in (assignment.subset, assignment.fold):
        assert all(len(found) == 1 for found in places(data, values).values())


@given(datasets(has_folds=True, has_subsets=True), specs, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_change_the_split(data: Data, spec: SplitSpec, random):
    assignment = split(data, spec)
    order = list(range(len(data.labels)))
    random.shuffle(order)
    again = split(data.reordered(order), spec)
    assert again.subset.tolist() == assignment.subset[order].tolist()
    assert again.fold.tolist() == assignment.fold[order].tolist()
    assert (again.notes, again.leaks, again.folds) == (assignment.notes, assignment.leaks, assignment.folds)


@given(datasets(), specs)
def test_every_recording_is_assigned_and_no_subset_or_fold_is_empty(data: Data, spec: SplitSpec):
    assignment = split(data, spec)
    if spec.n_folds is None:
        assert set(assignment.subset.tolist()) == set(Subset)
        assert set(assignment.fold.tolist()) == {-1}
    else:
        assert set(assignment.fold.tolist()) == set(assignment.folds) == set(range(spec.n_folds))
        assert set(assignment.subset.tolist()) <= {Subset.TRAIN, Subset.VALID}
        assert all((assignment.subset[assignment.fold != fold] == Subset.TRAIN).any() for fold in assignment.folds)


@given(datasets(has_subsets=True), specs)
def test_an_official_subset_is_never_changed_if_the_data_has_a_split(data: Data, spec: SplitSpec):
    assume(any(subset for subset in data.subsets))
    assignment = split(data, spec)
    for subset, found in zip(data.subsets, assignment.subset.tolist(), strict=True):
        assert subset in (None, Subset.TRAIN) or found == subset
    complete = {Subset.VALID, Subset.TEST} <= set(data.subsets)
    named = [
        (subset, found)
        for subset, found in zip(data.subsets, assignment.subset.tolist(), strict=True)
        if subset is not None
    ]
    assert not complete or all(subset == found for subset, found in named)


@given(datasets(has_folds=True), specs)
def test_an_official_fold_is_never_changed_and_leaks_are_counted(data: Data, spec: SplitSpec):
    assume(len(set(data.folds) - {None}) > 1)
    assignment = split(data, spec)
    assert all(fold in (None, found) for fold, found in zip(data.folds, assignment.fold.tolist(), strict=True))
    assert assignment.leaks == sum(len(found) > 1 for found in places(data, assignment.fold).values())


@given(pure_datasets(), st.integers(0, 5))
def test_a_class_is_in_as_many_subsets_as_it_has_groups(data: Data, seed: int):
    assignment = split(data, SplitSpec(None, seed))
    groups_of: dict[str, set[str]] = {}
    subsets_of: dict[str, set[int]] = {}
    for label, name, subset in zip(data.labels, data.names, assignment.subset.tolist(), strict=True):
        groups_of.setdefault(label, set()).add(name)
        subsets_of.setdefault(label, set()).add(subset)
    for label, subsets in subsets_of.items():
        assert subsets == ({Subset.TRAIN}, {Subset.TRAIN, Subset.TEST}, set(Subset))[min(len(groups_of[label]), 3) - 1]


@given(pure_datasets(), st.sampled_from([2, 3, 5]), st.integers(0, 5))
def test_a_class_of_two_groups_is_trained_on_in_every_run_that_tests_it(data: Data, n_folds: int, seed: int):
    assignment = split(data, SplitSpec(n_folds, seed))
    labels = np.array(data.labels)
    for label in set(data.labels):
        is_class = labels == label
        if len({name for name, found in zip(data.names, is_class, strict=True) if found}) < 2:
            continue
        for fold in set(assignment.fold[is_class].tolist()):
            learned = is_class & (assignment.fold != fold) & (assignment.subset == Subset.TRAIN)
            assert learned.any()


names = st.one_of(st.none(), st.sampled_from("pqrs"))


@given(st.lists(st.tuples(st.integers(0, 9), names), max_size=30), st.randoms(use_true_random=False))
def test_copies_and_named_groups_are_never_divided_by_grouping(rows: list[tuple[int, str | None]], random):
    def final(rows):
        identities = np.array([(row[0], 7) for row in rows], np.uint64).reshape(-1, 2)
        return list(groups(identities, Coded.of([row[1] for row in rows])))

    found = final(rows)
    by_digest: dict[int, set[str | None]] = {}
    by_name: dict[str, set[str | None]] = {}
    for (digest, declared), name in zip(rows, found, strict=True):
        by_digest.setdefault(digest, set()).add(name)
        by_name.setdefault(declared or str(digest), set()).add(name)
    assert all(len(finals) == 1 for finals in (*by_digest.values(), *by_name.values()))
    order = list(range(len(rows)))
    random.shuffle(order)
    assert final([rows[i] for i in order]) == [found[i] for i in order]


@given(st.lists(st.tuples(st.integers(0, 9), names), max_size=30))
def test_groups_are_those_of_merging_pair_by_pair(rows: list[tuple[int, str | None]]):
    identities = np.array([(digest, 7) for digest, _ in rows], np.uint64).reshape(-1, 2)
    own = [identity.tobytes().hex() for identity in identities]
    expected = [declared or name for (_, declared), name in zip(rows, own, strict=True)]
    while True:
        smallest = {name: min(expected[i] for i, other in enumerate(own) if other == name) for name in own}
        renamed = {expected[i]: smallest[name] for i, name in enumerate(own) if smallest[name] < expected[i]}
        if not renamed:
            break
        expected = [renamed.get(name, name) for name in expected]
    assert list(groups(identities, Coded.of([declared for _, declared in rows]))) == expected
