"""The split: the dataset's own columns win, else it is drawn by group; problems are reported."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from domain.subsets import Subset
from tasks.dataset.index import RecordingIndex
from tasks.dataset.layouts import Row, open_layout
from tasks.dataset.manifest import FoundRecording
from tasks.dataset.split.assignment import Assignment, Coded, SplitError, SplitSpec, assign, groups
from tests.shared_data import shared_data

HOLDOUT = SplitSpec(n_folds=None, seed=7)


def split(
    labels: list[str],
    names: list[str],
    spec: SplitSpec = HOLDOUT,
    folds: list[int | None] | None = None,
    subsets: list[Subset | None] | None = None,
) -> Assignment:
    return assign(Coded.of(labels), Coded.of(names), numbers(folds, len(labels)), numbers(subsets, len(labels)), spec)


def numbers(values: list[int | None] | list[Subset | None] | None, n: int) -> np.ndarray:
    return np.array([-1 if value is None else value for value in values or [None] * n], np.int64)


def split_of_folder(path: Path, spec: SplitSpec) -> tuple[list[Row], list[str], Assignment]:
    layout = open_layout(path)
    rows = [row for row in layout.rows() if isinstance(row, Row)]
    index = RecordingIndex()
    for row in rows:
        digest = hashlib.sha256((layout.root / row.uri).read_bytes()).hexdigest()
        index.add(FoundRecording(row, 1, 1, digest, 0, 0), [1])
    names = groups(index.identities, index.declared_groups)
    return rows, list(names), assign(index.labels, names, index.folds, index.subsets, spec)


def on(assignment: Assignment, subset: Subset, labels: list[str]) -> Counter[str]:
    return Counter(label for label, where in zip(labels, assignment.subset, strict=True) if where == subset)


def test_a_class_of_ten_groups_is_split_into_six_two_and_two():
    labels = [f"class {i % 4}" for i in range(40)]
    assignment = split(labels, [f"g{i}" for i in range(40)])
    for subset, n in ((Subset.TRAIN, 6), (Subset.VALID, 2), (Subset.TEST, 2)):
        assert on(assignment, subset, labels) == {f"class {c}": n for c in range(4)}
    assert set(assignment.fold.tolist()) == {-1}
    assert (assignment.folds, assignment.leaks, assignment.notes) == ((), 0, ())
    assert assignment.method == "train, valid and test drawn by group with seed 7"


def test_each_subset_of_a_large_dataset_gets_its_share():
    labels = [f"class {i % 7}" for i in range(7000)]
    names = [f"author {i // 3}" for i in range(7000)]
    shares = [len(np.flatnonzero(split(labels, names).subset == subset)) / 7000 for subset in Subset]
    np.testing.assert_allclose(shares, [0.64, 0.16, 0.20], atol=0.002)


def test_groups_of_birds10_stay_whole_and_every_species_is_in_every_subset():
    rows, names, assignment = split_of_folder(shared_data("birds10"), HOLDOUT)
    author, n = Counter(names).most_common(1)[0]
    assert n == 27
    assert len({subset for name, subset in zip(names, assignment.subset.tolist(), strict=True) if name == author}) == 1
    subsets_of = {name: set() for name in names}
    for name, subset in zip(names, assignment.subset.tolist(), strict=True):
        subsets_of[name].add(subset)
    assert all(len(subsets) == 1 for subsets in subsets_of.values())
    labels = [row.label for row in rows]
    assert all(len(on(assignment, subset, labels)) == 10 for subset in Subset)
    assert (assignment.leaks, assignment.notes) == (0, ())


def test_esc10_keeps_its_five_folds_and_a_fifth_of_the_other_folds_is_for_validation():
    rows, names, assignment = split_of_folder(shared_data("esc10"), HOLDOUT)
    assert assignment.fold.tolist() == [row.fold for row in rows]
    assert (assignment.folds, assignment.leaks) == ((1, 2, 3, 4, 5), 0)
    assert assignment.method == "the data's own 5 folds"
    subsets: dict[str, set[int]] = {}
    for name, subset in zip(names, assignment.subset.tolist(), strict=True):
        subsets.setdefault(name, set()).add(subset)
    assert all(len(found) == 1 for found in subsets.values())
    for fold in assignment.folds:
        others = assignment.subset[assignment.fold != fold]
        assert abs((others == Subset.VALID).mean() - 0.2) < 0.03
        validated = {
            row.label for row, f, s in zip(rows, assignment.fold, assignment.subset, strict=True) if f != fold and s
        }
        assert len(validated) == 10


def test_drawn_folds_have_equal_counts_of_every_class():
    labels = [f"class {i % 4}" for i in range(80)]
    assignment = split(labels, [f"g{i}" for i in range(80)], SplitSpec(n_folds=5, seed=1))
    cells = Counter(zip(labels, assignment.fold.tolist(), strict=True))
    assert set(cells.values()) == {4}
    assert assignment.folds == (0, 1, 2, 3, 4)
    assert Counter(assignment.subset.tolist()) == {Subset.TRAIN: 64, Subset.VALID: 16}


def test_the_same_seed_draws_the_same_split_and_another_seed_another_split():
    labels, names = [f"class {i % 2}" for i in range(100)], [f"g{i}" for i in range(100)]
    first, again = (split(labels, names, SplitSpec(None, 1)) for _ in range(2))
    assert first.subset.tolist() == again.subset.tolist()
    assert first.subset.tolist() != split(labels, names, SplitSpec(None, 2)).subset.tolist()


def test_an_official_test_subset_is_kept_and_validation_is_drawn_from_training():
    labels = [f"class {i % 2}" for i in range(40)]
    given: list[Subset | None] = [Subset.TEST if i < 10 else Subset.TRAIN for i in range(40)]
    assignment = split(labels, [f"g{i}" for i in range(40)], subsets=given)
    assert set(assignment.subset[:10].tolist()) == {Subset.TEST}
    assert Counter(assignment.subset[10:].tolist()) == {Subset.TRAIN: 24, Subset.VALID: 6}
    assert assignment.method == "the data's own split"
    assert assignment.notes == ("the data has no valid subset; 20% of the training groups were drawn for it",)


def test_an_official_validation_subset_is_kept_and_test_is_drawn_from_training():
    labels = [f"class {i % 2}" for i in range(40)]
    given: list[Subset | None] = [Subset.VALID if i < 10 else Subset.TRAIN for i in range(40)]
    assignment = split(labels, [f"g{i}" for i in range(40)], subsets=given)
    assert set(assignment.subset[:10].tolist()) == {Subset.VALID}
    assert Counter(assignment.subset[10:].tolist()) == {Subset.TRAIN: 24, Subset.TEST: 6}


def test_a_complete_official_split_is_kept_and_wins_over_a_fold_column():
    given: list[Subset | None] = [Subset(i % 3) for i in range(12)]
    labels = ["a", "b", "b", "b", "a", "a"] * 2
    assignment = split(labels, [f"g{i}" for i in range(12)], SplitSpec(5, 7), folds=[1] * 12, subsets=given)
    assert assignment.subset.tolist() == given
    assert assignment.folds == ()
    assert assignment.notes == ("the split in the data was used, so there are no folds",)


def test_a_recording_without_an_official_subset_follows_its_group_or_joins_training():
    labels = ["a", "b"] * 6
    names = ["t", "t", "v", "v", *(f"g{i}" for i in range(8))]
    given: list[Subset | None] = [Subset.TEST, None, Subset.VALID, None, *[Subset.TRAIN] * 7, None]
    assignment = split(labels, names, subsets=given)
    assert assignment.subset.tolist() == [Subset.TEST] * 2 + [Subset.VALID] * 2 + [Subset.TRAIN] * 8
    assert assignment.leaks == 0


def test_an_official_split_that_divides_groups_is_kept_and_reported_as_leaky():
    given: list[Subset | None] = [Subset.TRAIN, Subset.TEST, Subset.VALID, Subset.TRAIN] * 5
    assignment = split(["a", "b"] * 10, [f"g{i // 4}" for i in range(20)], subsets=given)
    assert assignment.subset.tolist() == given
    assert assignment.leaks == 5
    assert "5 groups are in more than one subset of the data's own split; scores are not honest" in assignment.notes


def test_official_folds_that_divide_a_group_are_kept_and_reported_as_leaky():
    names = ["torn", "torn", *(f"g{i}" for i in range(18))]
    folds: list[int | None] = [i % 2 + 1 for i in range(20)]
    assignment = split(["a", "a", "b", "b"] * 5, names, folds=folds)
    assert assignment.fold.tolist() == folds
    assert assignment.leaks == 1


def test_a_recording_without_an_official_fold_follows_its_group_or_gets_a_fold():
    names = ["x", "x", *(f"g{i}" for i in range(18))]
    folds: list[int | None] = [10, None, *([10, 20] * 8), None, None]
    assignment = split(["a", "b"] * 10, names, folds=folds)
    assert assignment.fold[1] == 10
    assert set(assignment.fold.tolist()) == {10, 20}
    assert assignment.leaks == 0
    assert "3 recordings have no fold in the data; they were assigned by group" in assignment.notes


def test_official_folds_win_over_the_requested_number():
    folds: list[int | None] = [i % 4 for i in range(24)]
    assignment = split(["a", "b", "b", "a", "b"] * 4 + ["a"] * 4, [f"g{i}" for i in range(24)], SplitSpec(5, 7), folds)
    assert assignment.folds == (0, 1, 2, 3)
    assert "the 4 folds in the data were used, not the 5 requested ones" in assignment.notes


def test_columns_with_a_single_subset_or_fold_are_not_used_and_reported():
    labels, names = ["a", "b"] * 10, [f"g{i}" for i in range(20)]
    assignment = split(labels, names, folds=[1] * 20, subsets=[Subset.TRAIN] * 20)
    assert assignment.notes == (
        "the split column has no valid or test subset and was not used",
        "the fold column has only fold 1 and was not used",
    )
    assert set(assignment.subset.tolist()) == set(Subset)


def test_a_class_of_one_group_is_in_training_and_a_class_of_two_also_in_test():
    labels = ["one"] * 5 + ["two"] * 2 + ["many"] * 20
    names = ["x"] * 5 + ["y", "z"] + [f"g{i}" for i in range(20)]
    assignment = split(labels, names)
    assert set(assignment.subset[:5].tolist()) == {Subset.TRAIN}
    assert set(assignment.subset[5:7].tolist()) == {Subset.TRAIN, Subset.TEST}
    assert assignment.notes == (
        "class one: only in the train subset (1 group at most)",
        "class two: only in the train and test subsets (2 groups at most)",
    )


def test_validation_is_not_empty_if_every_class_has_two_groups():
    labels = [f"class {i // 2}" for i in range(8)]
    assert set(split(labels, [f"g{i}" for i in range(8)]).subset.tolist()) == set(Subset)


def test_a_class_that_a_run_cannot_train_on_is_reported():
    labels = ["rare"] * 4 + ["a", "b"] * 10
    names = ["only"] * 4 + [f"g{i}" for i in range(20)]
    assignment = split(labels, names, SplitSpec(n_folds=5, seed=3))
    assert "class rare: tested in a run that cannot train on it (too few groups)" in assignment.notes


def test_a_class_of_a_large_and_a_small_group_is_trained_on_in_both_folds():
    labels = ["rare"] * 11 + ["a", "b"] * 20
    names = ["large"] * 10 + ["small"] + [f"g{i}" for i in range(40)]
    folds: list[int | None] = [1] * 10 + [2] + [i % 4 // 2 + 1 for i in range(40)]
    assignment = split(labels, names, folds=folds)
    assert set(assignment.subset[:11].tolist()) == {Subset.TRAIN}
    assert assignment.notes == ("class rare: not in validation (too few groups)",)


def test_every_run_of_small_folds_has_validation_groups():
    labels = ["a", "a", "b", "b"] * 2
    assignment = split(labels, [f"g{i}" for i in range(8)], folds=[1] * 4 + [2] * 4)
    for fold in (1, 2):
        assert set(assignment.subset[assignment.fold == fold].tolist()) == {Subset.TRAIN, Subset.VALID}
    assert assignment.notes == ()


def test_a_run_without_validation_groups_is_reported():
    assignment = split(["a", "b"] * 2, [f"g{i}" for i in range(4)], folds=[1, 1, 2, 2])
    assert "testing fold 1 leaves no group for validation" in assignment.notes


@pytest.mark.parametrize(
    ("labels", "names", "spec", "sentence"),
    [
        (["a"] * 9, [f"g{i}" for i in range(9)], HOLDOUT, "the dataset has 1 class; a classifier needs at least two"),
        ([], [], HOLDOUT, "the dataset has 0 classes"),
        (["a", "b"] * 4, ["x", "y"] * 4, HOLDOUT, "2 groups, too few for 3 subsets"),
        (["a", "b"] * 4, ["x", "y", "z", "w"] * 2, SplitSpec(5, 1), "4 groups, too few for 5 folds"),
        (["a", "b", "c"], ["x", "y", "z"], HOLDOUT, "no class has two groups"),
        (["a", "b", "c"], ["x", "y", "z"], SplitSpec(3, 1), "no class has two groups"),
    ],
)
def test_a_dataset_that_cannot_be_split_is_refused_with_the_reason(
    labels: list[str], names: list[str], spec: SplitSpec, sentence: str
):
    with pytest.raises(SplitError, match=sentence):
        split(labels, names, spec)


def test_an_official_split_without_training_is_refused():
    with pytest.raises(SplitError, match="leaves no recording to train on"):
        split(["a", "b"], ["x", "y"], subsets=[Subset.TEST, Subset.VALID])


@pytest.mark.parametrize("wrong", [{"n_folds": 1}, {"test_share": 0.0}, {"valid_share": 1.0}])
def test_a_spec_outside_its_limits_is_refused(wrong: dict[str, float]):
    with pytest.raises(SplitError):
        SplitSpec(**{"n_folds": None, "seed": 1, **wrong})  # type: ignore[arg-type]


def test_columns_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="must have the same length"):
        assign(Coded.of(["a", "b"]), Coded.of(["x"]), numbers(None, 2), numbers(None, 2), HOLDOUT)


def test_a_class_of_fewer_groups_than_folds_is_reported_once():
    labels = ["rare"] * 3 + ["many"] * 20
    assignment = split(labels, [f"g{i}" for i in range(23)], SplitSpec(5, 7))
    assert [note for note in assignment.notes if "rare" in note] == [
        "class rare: fewer groups than the 5 folds, so some folds do not test it"
    ]
