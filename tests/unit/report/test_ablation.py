"""Effects of parts: with and without, on the same groups."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from tasks.dataset.split import leaky
from tasks.report.data import JobReport, RunFacts
from tasks.report.html.page import page
from tasks.report.plots.effect import axis_limit, effect_figure
from tasks.report.scoring.ablation import effects
from tasks.report.scoring.pairing import Comparison, GroupOutcomes, compared
from tests.unit.report.examples import jobs_of, report_of


def evaluated(model, variant, correct, fold=None, seed=0):
    """An evaluation with one group per element of `correct`, each of one recording."""
    names = tuple(f"{fold}-{at:03d}" for at in range(len(correct)))
    outcomes = GroupOutcomes(names, np.ones(len(correct), np.int64), np.array(correct))
    return JobReport("evaluate", "done", model, fold, seed, outcomes=outcomes, variant=variant)


def test_an_effect_is_with_minus_without_the_part():
    own, without = (
        evaluated("cnn", None, [1] * 30 + [0] * 10),
        evaluated("cnn", "without denoising", [1] * 20 + [0] * 20),
    )
    given = evaluated("mlp", "with augmentation", [1] * 10 + [0] * 30)
    taken, added = effects([own, without, evaluated("mlp", None, [1] * 20 + [0] * 20), given])
    assert (taken.model, taken.factor, taken.with_it, taken.without_it) == ("cnn", "denoising", 0.75, 0.5)
    assert (taken.comparison.difference, taken.is_own) == (0.25, True)
    assert (added.model, added.factor, added.with_it, added.without_it) == ("mlp", "augmentation", 0.25, 0.5)
    assert (added.comparison.difference, added.is_own) == (-0.25, False)
    assert taken.is_significant
    assert added.is_significant


def test_p_and_interval_come_from_the_paired_comparison():
    draw = np.random.default_rng(0)
    one, other = draw.integers(0, 2, 30), draw.integers(0, 2, 30)
    own, changed = evaluated("cnn", None, one), evaluated("cnn", "without denoising", other)
    (effect,) = effects([own, changed])
    assert effect.comparison == compared({None: own.outcomes}, {None: changed.outcomes})
    low, high = effect.comparison.interval
    assert effect.as_dict() == {
        "model": "cnn", "factor": "denoising", "with": effect.with_it, "without": effect.without_it,
        "difference": pytest.approx(effect.with_it - effect.without_it), "low": low, "high": high,
        "p": effect.comparison.p, "is_significant": False, "trainings": 1,
    }  # fmt: skip


def test_seeds_are_averaged_and_do_not_add_groups():
    def both(seed):
        return [
            evaluated("cnn", None, [1] * 9, seed=seed),
            evaluated("cnn", "without denoising", [0] * 3 + [1] * 6, seed=seed),
        ]

    (once,), (thrice,) = effects(both(0)), effects([*both(0), *both(1), *both(2)])
    assert (once.comparison.p, once.comparison.n_groups) == (thrice.comparison.p, thrice.comparison.n_groups)
    assert once.comparison.interval == pytest.approx(thrice.comparison.interval)
    assert once.comparison.difference == pytest.approx(thrice.comparison.difference)
    assert (once.n_trainings, thrice.n_trainings) == (1, 3)


def test_folds_with_more_seeds_have_no_more_weight():
    jobs = [evaluated("cnn", None, [1, 1], fold, seed) for fold, seed in ((1, 0), (1, 1), (1, 2), (2, 0))]
    changed = [replace(evaluated("cnn", None, [0, 0], 1, seed), variant="without denoising") for seed in (0, 1, 2)]
    (effect,) = effects([*jobs, *changed, evaluated("cnn", "without denoising", [1, 1], 2)])
    assert (effect.without_it, effect.comparison.difference) == (0.5, 0.5)


def test_only_folds_and_seeds_evaluated_both_ways_are_compared():
    jobs = [evaluated("cnn", None, [1, 1], fold) for fold in (1, 2, 3)]
    changed = [evaluated("cnn", "without denoising", [0, 1], fold) for fold in (2, 3, 4)]
    (effect,) = effects([*jobs, *changed])
    assert (effect.n_trainings, effect.comparison.n_groups, effect.with_it, effect.without_it) == (2, 4, 1.0, 0.5)
    assert effects([*jobs, changed[-1]]) == ()


def test_leaky_variants_and_failed_trainings_have_no_effect():
    failed = JobReport("train", "failed", "cnn", None, 0, variant="without denoising", reason="nan")
    assert effects([evaluated("cnn", None, [1]), evaluated("cnn", leaky.VARIANT, [1]), failed]) == ()


def varied(right):
    return [replace(job, variant="without denoising") for job in jobs_of("cnn", right=right)]


def test_the_page_shows_effects_and_ranks_no_variant():
    text = page(report_of([*jobs_of("cnn", right=0.5), *varied(0.75)]))
    assert "Ablation: the effect of each part" in text
    assert "-25.0" in text
    assert "harms" in text
    assert ET.fromstring(text.removeprefix("<!DOCTYPE html>\n")) is not None
    assert text.count('class="model"') == 1
    assert "Ablation: the effect of each part" not in page(report_of(jobs_of("cnn")))


def test_the_page_reports_missing_trainings_of_variants():
    folds = [job for fold in (0, 1) for job in jobs_of("cnn", fold=fold)]
    text = page(report_of([*folds, *varied_of(folds, "without denoising")]))
    assert "over 2 trainings with and as many without" in text
    fewer = [*varied_of(folds, "without denoising"), *varied_of(folds[:2], "with augmentation")]
    assert "over up to 2 trainings with and as many without" in page(report_of([*folds, *fewer]))


def varied_of(jobs, name):
    return [replace(job, variant=name) for job in jobs]


def test_the_page_names_models_that_were_not_ablated():
    run = RunFacts("1", "done", (0,), not_done=("mlp reads features, but synthetic examples hold only spectrograms.",))
    text = page(report_of([*jobs_of("cnn", right=0.5), *varied(0.75)], run=run))
    assert "mlp reads features" in text[text.index('id="ablation"') : text.index('id="models"')]


def test_an_effect_figure_stays_within_its_axis():
    inside = effect_figure(Comparison(0.1, 0.01, 20, (0.02, 0.18)), 0.2)
    wide = effect_figure(Comparison(0.1, 0.9, 2, (-1.0, 1.0)), 0.2)
    assert 'cx="124.5"' in inside
    assert 'd="M6.0 9H164.0"' in wide
    assert 'aria-label="+10.0 points, from +2.0 to +18.0"' in inside
    assert axis_limit([(-0.9, 0.2)]) == 1.0
