"""Paired comparison of models by group."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm, permutation_test, ttest_rel

from tasks.report.data import JobReport
from tasks.report.html.model_views import model_views
from tasks.report.scoring.classification import ScoreAccumulator
from tasks.report.scoring.pairing import GroupOutcomes, compared, holm, paired_interval, sign_flip_p

LABELS = ("robin", "wren")


def outcomes(correct, recordings=None, prefix="g"):
    n = np.array(recordings or [1] * len(correct))
    return GroupOutcomes(tuple(f"{prefix}{at:03d}" for at in range(len(correct))), n, np.array(correct))


def exact_p(differences):
    sums = [abs(sum(signs * differences)) for signs in itertools.product((-1, 1), repeat=len(differences))]
    return np.mean([each >= abs(sum(differences)) - 1e-9 for each in sums])


@pytest.mark.parametrize("seed", range(5))
def test_p_equals_that_of_all_flips_and_of_scipy(seed):
    differences = np.random.default_rng(seed).normal(0.4, 1, 11)
    found = sign_flip_p(differences)
    assert found == pytest.approx(exact_p(differences), abs=0.015)
    theirs = permutation_test((differences,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert found == pytest.approx(theirs.pvalue, abs=0.015)


def test_p_of_very_many_groups_continues_as_the_normal_approximation():
    draw = np.random.default_rng(0)
    differences = draw.choice([-1.0, 1.0], 20_000, p=[0.49, 0.51])
    z = differences.sum() / np.sqrt(20_000)
    assert sign_flip_p(differences) == pytest.approx(2 * norm.sf(abs(z)), rel=1e-6)


def test_equally_good_models_differ_significantly_one_time_in_twenty():
    draw = np.random.default_rng(1)
    ps = [sign_flip_p(draw.integers(0, 2, 40) - draw.integers(0, 2, 40) + 0.0) for _ in range(400)]
    assert np.mean(np.array(ps) < 0.05) < 0.08


def test_a_group_counts_once_for_any_number_of_recordings():
    # One author with a hundred recordings, all right here and wrong there, is one observation, not a hundred.
    alone = compared({None: outcomes([0], [100])}, {None: outcomes([100], [100])})
    assert alone.difference == -1
    assert alone.p == pytest.approx(1)
    many = compared({None: outcomes([0] * 100)}, {None: outcomes([1] * 100)})
    assert many.difference == -1
    assert many.p < 0.001


def test_only_common_groups_of_each_fold_are_compared():
    one = {1: outcomes([1, 1, 0]), 2: outcomes([0, 0])}
    other = {1: outcomes([1, 0, 0])}
    found = compared(one, other)
    assert (found.n_groups, found.difference) == (3, pytest.approx(1 / 3))
    assert compared(one, {3: outcomes([1])}) is None


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_never_lowers_a_p_and_keeps_their_order(ps):
    adjusted = holm(ps)
    assert all(before <= after <= 1 for before, after in zip(ps, adjusted, strict=True))
    assert [adjusted[at] for at in np.argsort(ps, kind="stable")] == sorted(adjusted)


def test_outcomes_survive_parquet_as_the_same_bytes():
    whole = GroupOutcomes(("Ann é", "b|c"), *map(np.array, ([3, 1], [2, 0], [9, 5], [4, 5])))
    again = GroupOutcomes.from_parquet(whole.to_parquet())
    assert again.groups == whole.groups
    for name in ("recordings", "correct", "chunks", "correct_chunks"):
        np.testing.assert_array_equal(getattr(again, name), getattr(whole, name))
    assert again.to_parquet() == whole.to_parquet()


def test_outcomes_without_chunk_counts_can_be_read():
    old = GroupOutcomes(("Ann",), np.array([3]), np.array([2]))
    again = GroupOutcomes.from_parquet(old.to_parquet())
    assert (again.recordings.tolist(), again.correct.tolist(), again.chunks.tolist()) == ([3], [2], [])


def accumulator_of(said, truth, recordings, groups):
    accumulator = ScoreAccumulator(LABELS)
    for at in range(0, len(truth), 3):
        part = slice(at, at + 3)
        accumulator.add(np.eye(2, dtype=np.float32)[said[part]], truth[part], recordings[part], groups[part])
    return accumulator


def test_an_accumulator_counts_recordings_by_group():
    truth = np.array([0, 0, 1, 1, 1])
    accumulator = accumulator_of(
        np.array([0, 0, 0, 1, 1]), truth, ["a", "a", "b", "c", "d"], ["Zoe", "Zoe", "Zoe", "Ann", "Ann"]
    )
    found = accumulator.outcomes()
    assert found.groups == ("Ann", "Zoe")
    assert (found.recordings.tolist(), found.correct.tolist()) == ([2, 2], [2, 1])
    assert (found.chunks.tolist(), found.correct_chunks.tolist()) == ([2, 3], [2, 2])


def test_an_interval_is_wider_for_recordings_of_one_author_than_of_many():
    truth, said = np.zeros(60, int), np.array([0, 1] * 30)
    names = [f"{at}.ogg" for at in range(60)]
    of_two = ["Ann" if answer == 0 else "Ben" for answer in said]
    wide, narrow = (
        accumulator_of(said, truth, names, groups).evaluation({0: 1}).by_recording.accuracy_interval
        for groups in (of_two, names)
    )
    assert wide[1] - wide[0] > 2 * (narrow[1] - narrow[0])


def job(model, correct, seed=0, fold=None):
    n = len(correct)
    truth = np.zeros(n, int)
    said = 1 - np.array(correct)
    names = [f"{at}.ogg" for at in range(n)]
    accumulator = accumulator_of(said, truth, names, names)
    return JobReport(
        "evaluate", "done", model, fold, seed, evaluation=accumulator.evaluation({0: 1, 1: 1}),
        outcomes=accumulator.outcomes(),
    )  # fmt: skip


def test_differences_to_the_best_model_have_a_significance():
    good, close, bad = [1] * 38 + [0] * 2, [1] * 36 + [0] * 4, [0] * 30 + [1] * 10
    best, second, last = model_views([job("bad", bad), job("close", close), job("good", good)])
    assert (best.name, second.name, last.name) == ("good", "close", "bad")
    assert best.versus_best is None
    assert second.versus_best.difference == pytest.approx(-0.05)
    assert not second.versus_best.is_significant
    assert last.versus_best.is_significant


def test_folds_share_one_interval_over_all_groups():
    whole = job("cnn", [1] * 30 + [0] * 30)
    (alone,) = model_views([whole])
    (split,) = model_views([job("cnn", [1] * 30, fold=1), job("cnn", [0] * 30, fold=2)])
    assert alone.recording_interval == whole.evaluation.by_recording.accuracy_interval
    assert alone.interval == whole.evaluation.by_chunk.accuracy_interval
    assert split.recording_interval == alone.recording_interval
    again = [job("cnn", [1] * 30, 1, fold=1), job("cnn", [1] * 30, 1, fold=2)]
    (two_seeds,) = model_views([job("cnn", [1] * 30, fold=1), job("cnn", [0] * 30, fold=2), *again])
    assert two_seeds.recording_interval[0] > alone.recording_interval[0]


def shares(right, n):
    return [1] * right + [0] * (n - right)


def test_the_interval_contains_its_score_for_different_seeds_and_folds():
    seeds = [job("cnn", shares(240, 400), 0), job("cnn", shares(360, 400), 1)]
    folds = [job("cnn", shares(38, 40), fold=1), job("cnn", shares(240, 400), fold=2)]
    for jobs, mean in ((seeds, 0.75), (folds, 0.775)):
        (view,) = model_views(jobs)
        assert view.scores.recording_accuracy.mean == pytest.approx(mean)
        assert view.scores.accuracy.mean == pytest.approx(mean)
        for low, high in (view.interval, view.recording_interval):
            assert low < mean < high
            assert high - low < 0.15


def test_a_difference_to_the_best_equals_that_of_the_mean_scores():
    best = [job("best", shares(36, 40), seed, fold=fold) for seed in (0, 1) for fold in (1, 2)]
    other = [job("other", shares(36 - 20 * seed, 40), seed, fold=fold) for seed in (0, 1) for fold in (1, 2)]
    first, second = model_views([*other, *best])
    assert second.versus_best.difference == pytest.approx(
        second.scores.recording_accuracy.mean - first.scores.recording_accuracy.mean
    )
    assert second.versus_best.is_significant


def test_equal_differences_in_all_groups_give_the_interval_of_the_rule_of_three():
    one, other = (GroupOutcomes(tuple("abcdefgh"), np.full(8, 49), np.full(8, right)) for right in (1, 0))
    assert compared({None: one}, {None: other}).interval == pytest.approx((1 / 49 - 3 / 8, 1 / 49 + 3 / 8))


def test_a_model_without_a_score_is_not_compared():
    views = model_views([job("good", [1] * 9), JobReport("train", "failed", "broken", reason="nan")])
    assert [view.versus_best for view in views] == [None, None]


def test_the_interval_of_a_difference_has_its_nominal_coverage():
    # Groups of very unlike sizes; one model names 70 % correctly, the other 60 %, and groups are easy or hard for both.
    draw, held = np.random.default_rng(3), 0
    for _ in range(400):
        n = draw.integers(1, 12, 60)
        ease = draw.normal(0, 0.1, 60)
        one, other = (
            outcomes(draw.binomial(n, np.clip(share + ease, 0, 1)).tolist(), n.tolist()) for share in (0.7, 0.6)
        )
        low, high = compared({None: one}, {None: other}).interval
        held += low <= 0.1 <= high
    assert 0.92 <= held / 400 <= 0.98


def test_the_interval_of_single_recordings_equals_that_of_the_paired_t_test():
    draw = np.random.default_rng(4)
    one, other = draw.integers(0, 2, 50), draw.integers(0, 2, 50)
    found = compared({None: outcomes(one.tolist())}, {None: outcomes(other.tolist())})
    theirs = ttest_rel(one, other).confidence_interval(0.95)
    assert found.interval == pytest.approx((theirs.low, theirs.high))


def test_one_group_gives_the_widest_interval():
    assert paired_interval(0.5, np.zeros(1)) == (-1.0, 1.0)
