"""What a part is worth: with against without, on the same groups."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from tasks.dataset.split import leaky
from tasks.report.data import JobReport, RunFacts
from tasks.report.html.page import page
from tasks.report.plots.effect import effect_figure, reach_of
from tasks.report.scoring.ablation import effects
from tasks.report.scoring.pairing import Comparison, GroupOutcomes, compared
from tests.unit.report.examples import jobs_of, report_of


def judged(model, variant, correct, fold=None, seed=0):
    """An evaluation of as many groups, each of one recording."""
    names = tuple(f"{fold}-{at:03d}" for at in range(len(correct)))
    outcomes = GroupOutcomes(names, np.ones(len(correct), np.int64), np.array(correct))
    return JobReport("evaluate", "done", model, fold, seed, outcomes=outcomes, variant=variant)


def test_worth_is_with_less_without_whichever_of_both_the_model_is():
    own, without = judged("cnn", None, [1] * 30 + [0] * 10), judged("cnn", "without denoising", [1] * 20 + [0] * 20)
    given = judged("mlp", "with augmentation", [1] * 10 + [0] * 30)
    taken, added = effects([own, without, judged("mlp", None, [1] * 20 + [0] * 20), given])
    assert (taken.model, taken.factor, taken.with_it, taken.without_it) == ("cnn", "denoising", 0.75, 0.5)
    assert (taken.comparison.difference, taken.is_own) == (0.25, True)
    assert (added.model, added.factor, added.with_it, added.without_it) == ("mlp", "augmentation", 0.25, 0.5)
    assert (added.comparison.difference, added.is_own) == (-0.25, False)
    assert taken.is_significant
    assert added.is_significant


def test_the_test_and_the_interval_are_those_of_the_pair():
    draw = np.random.default_rng(0)
    one, other = draw.integers(0, 2, 30), draw.integers(0, 2, 30)
    own, changed = judged("cnn", None, one), judged("cnn", "without denoising", other)
    (effect,) = effects([own, changed])
    assert effect.comparison == compared({None: own.outcomes}, {None: changed.outcomes})
    low, high = effect.comparison.interval
    assert effect.as_dict() == {
        "model": "cnn", "factor": "denoising", "with": effect.with_it, "without": effect.without_it,
        "difference": pytest.approx(effect.with_it - effect.without_it), "low": low, "high": high,
        "p": effect.comparison.p, "is_significant": False, "trainings": 1,
    }  # fmt: skip


def test_seeds_are_averaged_and_never_counted_as_more_groups():
    def both(seed):
        return [
            judged("cnn", None, [1] * 9, seed=seed),
            judged("cnn", "without denoising", [0] * 3 + [1] * 6, seed=seed),
        ]

    (once,), (thrice,) = effects(both(0)), effects([*both(0), *both(1), *both(2)])
    assert (once.comparison.p, once.comparison.n_groups) == (thrice.comparison.p, thrice.comparison.n_groups)
    assert once.comparison.interval == pytest.approx(thrice.comparison.interval)
    assert once.comparison.difference == pytest.approx(thrice.comparison.difference)
    assert (once.n_trainings, thrice.n_trainings) == (1, 3)


def test_a_fold_that_more_seeds_were_judged_in_counts_no_more_than_another():
    jobs = [judged("cnn", None, [1, 1], fold, seed) for fold, seed in ((1, 0), (1, 1), (1, 2), (2, 0))]
    changed = [replace(judged("cnn", None, [0, 0], 1, seed), variant="without denoising") for seed in (0, 1, 2)]
    (effect,) = effects([*jobs, *changed, judged("cnn", "without denoising", [1, 1], 2)])
    assert (effect.without_it, effect.comparison.difference) == (0.5, 0.5)


def test_only_folds_and_seeds_judged_in_both_ways_are_compared():
    jobs = [judged("cnn", None, [1, 1], fold) for fold in (1, 2, 3)]
    changed = [judged("cnn", "without denoising", [0, 1], fold) for fold in (2, 3, 4)]
    (effect,) = effects([*jobs, *changed])
    assert (effect.n_trainings, effect.comparison.n_groups, effect.with_it, effect.without_it) == (2, 4, 1.0, 0.5)
    assert effects([*jobs, changed[-1]]) == ()


def test_shuffled_chunks_and_what_failed_have_no_worth():
    failed = JobReport("train", "failed", "cnn", None, 0, variant="without denoising", reason="nan")
    assert effects([judged("cnn", None, [1]), judged("cnn", leaky.VARIANT, [1]), failed]) == ()


def varied(right):
    return [replace(job, variant="without denoising") for job in jobs_of("cnn", right=right)]


def test_the_page_says_what_a_part_is_worth_and_ranks_no_variant():
    text = page(report_of([*jobs_of("cnn", right=0.5), *varied(0.75)]))
    assert "What each part is worth" in text
    assert "-25.0" in text
    assert "harms" in text
    assert ET.fromstring(text.removeprefix("<!DOCTYPE html>\n")) is not None
    assert text.count('class="model"') == 1
    assert "What each part is worth" not in page(report_of(jobs_of("cnn")))


def test_the_page_says_so_where_some_trainings_failed():
    folds = [job for fold in (0, 1) for job in jobs_of("cnn", fold=fold)]
    text = page(report_of([*folds, *varied_of(folds, "without denoising")]))
    assert "over 2 trainings with and as many without" in text
    fewer = [*varied_of(folds, "without denoising"), *varied_of(folds[:2], "with augmentation")]
    assert "over up to 2 trainings with and as many without" in page(report_of([*folds, *fewer]))


def varied_of(jobs, name):
    return [replace(job, variant=name) for job in jobs]


def test_the_page_says_which_models_a_part_does_not_suit():
    run = RunFacts("1", "done", (0,), not_done=("mlp reads features, and synthetic examples are pictures alone.",))
    text = page(report_of([*jobs_of("cnn", right=0.5), *varied(0.75)], run=run))
    assert "mlp reads features" in text[text.index('id="ablation"') : text.index('id="models"')]


def test_a_figure_of_an_effect_stays_within_its_scale():
    inside = effect_figure(Comparison(0.1, 0.01, 20, (0.02, 0.18)), 0.2)
    wide = effect_figure(Comparison(0.1, 0.9, 2, (-1.0, 1.0)), 0.2)
    assert 'cx="124.5"' in inside
    assert 'd="M6.0 9H164.0"' in wide
    assert 'aria-label="+10.0 points, from +2.0 to +18.0"' in inside
    assert reach_of([(-0.9, 0.2)]) == 1.0
