"""Fold numbers, and several seeds without counting a recording twice."""

from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from tasks.report.data import JobReport, SubsetFacts
from tasks.report.html.model_views import model_views
from tasks.report.html.page import page
from tasks.report.html.wording import trainings
from tests.unit.report.examples import LABELS, jobs_of, report_of

SHARES = {0: (0.6, 0.7, 0.8), 1: (0.5, 0.55, 0.6)}  # seed -> one a fold; mean 62.5 %, sample deviation 10.8 %


def grid(seeds=(0, 1)) -> list[JobReport]:
    return [
        job for s in seeds for fold, right in enumerate(SHARES[s], 1) for job in jobs_of("cnn", LABELS, fold, right, s)
    ]


def jobs_of_folds(folds) -> list[JobReport]:
    return [job for fold in folds for job in jobs_of("cnn", fold=fold)]


def tree_of(jobs) -> ET.Element:
    return ET.fromstring(page(report_of(jobs)).replace("<!DOCTYPE html>", ""))


def words(element: ET.Element) -> str:
    return " ".join(" ".join(element.itertext()).split())


def column(tree: ET.Element, caption: str, place: int) -> list[str]:
    table = next(table for table in tree.iter("table") if words(table.find("caption")) == caption)
    return [words(row[place]) for row in table.find("tbody")]


def test_folds_keep_the_numbers_of_the_data_everywhere():
    jobs = [*jobs_of_folds((1, 2)), JobReport("train", "failed", "cnn", 3, 42, reason="NaN")]
    data = report_of(jobs)
    subsets = tuple(SubsetFacts(f"fold {fold}", 4, 4, 10) for fold in (1, 2, 3))
    tree = ET.fromstring(page(replace(data, split=replace(data.split, subsets=subsets))).replace("<!DOCTYPE html>", ""))
    assert column(tree, "Subsets of the split", 0) == ["fold 1", "fold 2", "fold 3"]
    assert column(tree, "Each training of cnn", 0) == ["fold 1", "fold 2", "fold 3"]
    assert column(tree, "Jobs", 2) == ["1", "1", "2", "2", "3"]
    assert column(tree, "Failed and cancelled jobs", 0) == ["train cnn , fold 3"]
    assert "fold 4" not in words(tree)
    assert "train cnn, fold 3, failed: NaN" in words(tree)


def test_drawn_folds_keep_their_zero():
    assert column(tree_of(jobs_of_folds((0, 1))), "Each training of cnn", 0) == ["fold 0", "fold 1"]


@pytest.fixture(scope="module")
def two_seeds() -> ET.Element:
    return tree_of(grid())


def test_means_and_deviations_are_over_all_folds_and_seeds(two_seeds):
    header = words(two_seeds.find(".//header"))
    assert "correctly, on average over 3 folds \u00d7 2 seeds;" in header
    assert "Mean and standard deviation over 3 folds \u00d7 2 seeds: 62.5 ± 10.8 % by chunk" in header
    assert "62.5 ± 10.8 %" in column(two_seeds, "Share classified correctly, best model first", 1)[0]
    assert "6 folds" not in words(two_seeds)


def test_with_several_seeds_each_test_recording_counts_once_and_the_page_names_the_seed(two_seeds):
    assert "Evaluated on 360 chunks of 360 recordings" in words(two_seeds.find(".//header"))
    text = words(two_seeds)
    assert "360 chunks of 360 test recordings, all folds together. This and the following tables count only" in text
    assert "only the trainings with seed 0, the first of 2 seeds" in text
    assert sum(int(n) for n in column(two_seeds, "Precision, recall and F1 by chunk", 4)) == 360


def test_only_the_first_seed_is_pooled():
    [both], [first] = model_views(grid()), model_views(grid(seeds=(0,)))
    assert (both.pooled.seed, both.pooled.n_folds, both.pooled.n_seeds) == (0, 3, 2)
    assert replace(both.pooled, n_seeds=1) == first.pooled
    assert first.scores.accuracy.mean == pytest.approx(0.7)


def test_a_single_seed_is_not_mentioned():
    assert "count only the trainings" not in words(tree_of(grid(seeds=(1,))))


def test_the_next_seed_is_pooled_if_the_first_failed():
    failed = [JobReport("train", "failed", "cnn", fold, 0, "NaN") for fold in (1, 2, 3)]
    [view] = model_views([*failed, *grid(seeds=(1,))])
    assert (view.pooled.seed, view.pooled.n_recordings) == (1, 360)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ([(None, 0)], "1 training"),
        ([(None, 0), (None, 1)], "2 seeds"),
        ([(1, 0), (2, 0), (3, 0)], "3 folds"),
        ([(fold, seed) for fold in (1, 2, 3) for seed in (4, 5)], "3 folds \u00d7 2 seeds"),
        ([(1, 0), (1, 1), (2, 0)], "3 trainings"),
    ],
)
def test_a_mean_is_described_by_its_folds_and_seeds(keys, expected):
    [view] = model_views([job for fold, seed in keys for job in jobs_of("cnn", fold=fold, seed=seed)])
    assert trainings(view).replace("\u00a0", " ") == expected
