"""Authors on both sides of the data's own split: the split wins, and the plan says who crosses."""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from domain.subsets import Subset
from orchestrator.planning.candidates import Selection
from orchestrator.planning.plan import Plan, PlannedDataset, plan_of
from orchestrator.planning.request import Request
from tasks.audio.preset import load_preset
from tasks.dataset.index import RecordingIndex
from tasks.dataset.layouts import Row, open_layout
from tasks.dataset.manifest import FoundRecording, Summary
from tasks.dataset.split.assignment import SplitError


class Given(NamedTuple):
    label: str
    author: str | None
    split: str | None
    group: str | None = None
    sound: str | None = None
    """Recordings of one sound are exact copies."""
    fold: int | None = None


def planned(given: list[Given], request: Request = Request()) -> Plan:  # noqa: B008  # frozen
    index = RecordingIndex()
    for at, one in enumerate(given):
        row = Row(f"{at}.wav", one.label, (), one.author, one.group, one.fold, one.split, at + 2)
        digest = hashlib.sha256((one.sound or str(at)).encode()).hexdigest()
        index.add(FoundRecording(row, 1, 1, digest, 0, 0), [1])
    selection = Selection((load_preset("birdclef2021"),), ())
    return plan_of(request, selection, PlannedDataset("csv", "/data", ()), index, Summary())


def rows(*authors: str, n_train: int = 8, n_test: int = 4) -> list[Given]:
    """So many recordings of each author and class."""
    return [
        Given(label, author, split)
        for author in authors
        for label in ("wren", "robin")
        for split, n in (("train", n_train), ("test", n_test))
        for _ in range(n)
    ]


def subsets(plan: Plan) -> Counter[Subset]:
    return Counter(map(Subset, plan.assignment.subset.tolist()))


def test_the_official_split_wins_over_two_authors_and_a_fifth_of_the_training_recordings_is_for_validation() -> None:
    given = rows("ana", "ben", n_train=10, n_test=5)
    plan = planned(given)
    assert [(subset == Subset.TEST) for subset in plan.assignment.subset.tolist()] == [
        one.split == "test" for one in given
    ]
    assert subsets(plan) == {Subset.TRAIN: 32, Subset.VALID: 8, Subset.TEST: 20}
    assert plan.assignment.leaks == 2
    assert plan.assignment.notes == (
        "the data has no valid subset; 20% of the training recordings were drawn for it, not whole groups, because "
        "training has only 2 groups",
        "2 groups are in more than one subset of the data's own split; scores are not honest",
        "2 authors are on both sides of the data's own split: ana, ben",
    )


def test_validation_is_drawn_by_author_if_there_are_enough_of_them() -> None:
    given = rows(*"abcdefghij", n_train=2, n_test=1)
    plan = planned(given)
    of_author: dict[str | None, set[int]] = {}
    for one, subset in zip(given, plan.assignment.subset.tolist(), strict=True):
        if one.split == "train":
            of_author.setdefault(one.author, set()).add(subset)
    assert Counter(map(frozenset, of_author.values())) == {frozenset({0}): 8, frozenset({1}): 2}
    assert "20% of the groups were drawn for it, from their training recordings" in plan.assignment.notes[0]
    assert plan.assignment.leaks == 10


def test_copies_stay_together_when_recordings_are_drawn() -> None:
    given = [one._replace(sound=f"{one.split} {at // 2}") for at, one in enumerate(rows("ana", n_train=20))]
    plan = planned(given)
    of_sound: dict[str | None, set[int]] = {}
    for one, subset in zip(given, plan.assignment.subset.tolist(), strict=True):
        of_sound.setdefault(one.sound, set()).add(subset)
    assert all(len(found) == 1 for found in of_sound.values())
    assert subsets(plan)[Subset.VALID] == 8
    assert plan.split()["copies"] == 24
    assert "24 recordings are exact copies of others; copies are in one group" in plan.assignment.notes


def test_one_author_in_training_and_another_in_test_is_honest() -> None:
    given = [*rows("ana", n_test=0), *rows("ben", n_train=0)]
    plan = planned(given)
    assert plan.assignment.leaks == 0
    assert plan.assignment.notes[-1] == (
        "1 group is in training and in validation; the choice of the best epoch is less certain"
    )


def test_the_order_of_the_rows_does_not_change_the_drawn_recordings() -> None:
    given = [one._replace(sound=str(at)) for at, one in enumerate(rows("ana", "ben"))]
    order = np.random.default_rng(1).permutation(len(given)).tolist()
    again = planned([given[at] for at in order])
    assert again.assignment.subset.tolist() == planned(given).assignment.subset[order].tolist()


def test_a_group_column_that_divides_an_author_says_so() -> None:
    given = [
        Given(label, author, split, group=f"{author} {split}")
        for author in ("ana", "ben")
        for label in ("wren", "robin")
        for split in ("train", "valid", "test")
        for _ in range(2)
    ]
    plan = planned(given)
    assert plan.assignment.leaks == 0
    assert plan.assignment.notes == (
        "the group column divides 2 authors (ana, ben); 2 authors are on both sides of the split: ana, ben",
    )


def test_a_group_column_that_follows_the_authors_says_nothing() -> None:
    given = [one._replace(group=f"group of {one.author}") for one in rows(*"abcdefgh")]
    assert not any("divides" in note for note in planned(given).assignment.notes)


def test_groups_on_both_sides_are_named_as_groups() -> None:
    given = [one._replace(author=None, group=one.author) for one in rows(*"abcdefg")]
    assert planned(given).assignment.notes[-1] == (
        "7 groups are on both sides of the data's own split: a, b, c, d, e, …"
    )


def test_a_single_recording_to_train_on_is_refused() -> None:
    with pytest.raises(SplitError, match="training has 1 group, too few to draw a validation subset from it"):
        planned([Given("wren", "ana", "train"), Given("wren", "ana", "test"), Given("robin", "ana", "test")])


def test_the_plan_of_a_csv_with_authors_on_both_sides_is_made(tmp_path: Path) -> None:
    lines = ["path,label,author,split"]
    for at, one in enumerate(rows("ana", "ben", n_train=4, n_test=2)):
        (tmp_path / f"{at}.wav").write_bytes(str(at).encode())
        lines.append(f"{at}.wav,{one.label},{one.author},{one.split}")
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    found = [row for row in open_layout(tmp_path).rows() if isinstance(row, Row)]
    given = [Given(row.label, row.author, row.split, sound=row.uri) for row in found]
    assert subsets(planned(given)) == {Subset.TRAIN: 12, Subset.VALID: 4, Subset.TEST: 8}


DROPPING = Request(drop_leaks=True)


def dropped(plan: Plan) -> list[int]:
    """The positions of the recordings that are left out."""
    return [] if plan.removal is None else np.flatnonzero(plan.removal.is_dropped).tolist()


def test_drop_leaks_leaves_out_the_training_recordings_of_tested_authors() -> None:
    given = [*rows("ana"), *rows("ben", "cid", "dan", n_test=0)]
    plan = planned(given, DROPPING)
    assert [given[at] for at in dropped(plan)] == [one for one in given if one.author == "ana" and one.split == "train"]
    assert plan.assignment.leaks == 0
    assert subsets(plan)[Subset.TEST] == 8
    assert plan.split()["left_out"] == 16
    assert plan.assignment.notes[0] == (
        "--drop-leaks: 16 recordings of 1 group left out, because other recordings of their groups are in test: ana"
    )
    assert not any("not honest" in note for note in plan.assignment.notes)
    assert plan.removal is not None
    assert plan.removal.reasons[0] == (
        "left out by --drop-leaks: other recordings of their groups are in test (group ana)"
    )


def test_items_are_planned_of_the_kept_recordings_only() -> None:
    given = [*rows("ana"), *rows("ben", "cid", "dan", n_test=0)]
    plan = planned(given, DROPPING)
    ids = array("q", range(100, 100 + len(given)))
    planned_ids = {item.recording_id for item in plan.items(0, ids)}
    assert planned_ids == set(ids) - {100 + at for at in dropped(plan)}


def test_drop_leaks_leaves_out_the_copies_of_tested_recordings() -> None:
    given = [
        Given(label, None, split, sound=f"{label} {n}")
        for label in ("wren", "robin")
        for split, n_sounds in (("train", 8), ("test", 2))
        for n in range(n_sounds)
    ]
    plan = planned(given, DROPPING)
    assert [(given[at].split, given[at].sound) for at in dropped(plan)] == [
        ("train", "wren 0"), ("train", "wren 1"), ("train", "robin 0"), ("train", "robin 1"),
    ]  # fmt: skip
    assert plan.assignment.leaks == 0
    assert plan.split()["copies"] == 0


def test_drop_leaks_keeps_a_group_in_the_fold_of_most_of_its_recordings() -> None:
    given = [Given(label, f"author {at % 5}", None, fold=at % 5) for at in range(20) for label in ("wren", "robin")] + [
        Given("wren", "author 1", None, fold=2),
        Given("wren", "zoe", None, fold=3),
        Given("wren", "zoe", None, fold=0),
    ]
    assert planned(given).assignment.leaks == 2
    plan = planned(given, DROPPING)
    assert dropped(plan) == [40, 41]
    assert plan.assignment.leaks == 0


def test_drop_leaks_without_a_leak_leaves_nothing_out() -> None:
    given = [*rows("ana", n_test=0), *rows("ben", "cid", n_train=0)]
    plan = planned(given, DROPPING)
    assert dropped(plan) == []
    assert plan.assignment.notes[0] == (
        "--drop-leaks: no group is on both sides of a split of the data; all recordings are used"
    )
    assert plan.split_digest == planned(given).split_digest


def test_drop_leaks_that_leaves_nothing_to_train_on_is_refused() -> None:
    with pytest.raises(SplitError, match="--drop-leaks leaves no recording to train on: every group is tested"):
        planned(rows("ana", "ben"), DROPPING)


def test_drop_leaks_that_empties_a_class_is_refused_unless_empty_classes_are_allowed() -> None:
    given = [
        *rows("ana", "ben", n_test=0), *rows("cid", n_train=0), Given("owl", "cid", "train"),
    ]  # fmt: skip
    with pytest.raises(SplitError, match=r"--drop-leaks leaves no recording of 1 class \(owl\)"):
        planned(given, DROPPING)
    plan = planned(given, Request(drop_leaks=True, allow_empty_classes=True))
    assert sorted(plan.recordings.labels.names) == ["robin", "wren"]
