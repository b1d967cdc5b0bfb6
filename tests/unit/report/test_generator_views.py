"""The section about synthetic examples."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tasks.model.variants import WITH_SYNTHETIC
from tasks.report.data import JobReport
from tasks.report.html.generator_views import generator_views
from tasks.report.html.page import page
from tasks.report.plots.sample_pairs import REAL, SYNTHETIC, SamplePairs
from tasks.report.scoring.ablation import effects
from tasks.report.scoring.generator_evaluation import CopyCheck, GeneratorEvaluation
from tasks.report.scoring.pairing import GroupOutcomes
from tests.unit.report.examples import LABELS, jobs_of, report_of

EVALUATION = GeneratorEvaluation(
    LABELS, frechet=8.0, real_frechet=2.0, copies=CopyCheck(1.1, 0.01, n_training=7_000),
    diversity=(0.9, 1.0, 0.8), agreement=0.75,
    n_synthetic=50, n_train=50, n_held_out=20,
)  # fmt: skip


def samples():
    labels = np.repeat([0, 1, 2], 8)
    grey = np.arange(24 * 6, dtype=np.uint8).reshape(24, 2, 3)
    return SamplePairs.of(grey, labels, grey, labels)


def outcomes(correct):
    ones = np.ones(len(correct), np.int64)
    return GroupOutcomes(tuple(f"g{at:03d}" for at in range(len(correct))), ones, np.array(correct))


def evaluated(generator_evaluation=EVALUATION, fold=None, with_synthetic=None):
    without, with_synthetic = [1, 0] * 20, with_synthetic or [1, 0] * 20
    return [
        *[replace(job, fold=fold) for job in jobs_of("cnn", seed=0)[:1]],
        replace(jobs_of("cnn", fold=fold, seed=0)[1], outcomes=outcomes(without)),
        replace(jobs_of("cnn", fold=fold, seed=0)[1], outcomes=outcomes(with_synthetic), variant=WITH_SYNTHETIC),
        JobReport("train", "done", "gan", fold, 0, timings={"seconds": 70.0}, parameters={"parameters": 664348}),
        JobReport("evaluate", "done", "gan", fold, 0, generator_evaluation=generator_evaluation, samples=samples()),
    ]


def section(jobs):
    text = page(report_of(jobs))
    start = text.index('<section id="generator-gan">')
    return " ".join(text[start : text.index("</section>", start)].split())


def test_the_effect_of_synthetic_examples_is_measured_on_the_evaluator_over_all_folds():
    jobs = [*evaluated(fold=0), *evaluated(fold=1, with_synthetic=[1] * 40)]
    (view,) = generator_views(jobs, effects(jobs))
    assert view.effect.comparison.n_groups == 80
    assert view.effect.comparison.difference == pytest.approx(0.25)
    assert view.helps is True
    assert [each.name for each in view.trainings] == ["fold 0", "fold 1"]


def test_the_page_shows_one_effect_over_all_seeds():
    first, second = (
        evaluated(with_synthetic=[1] * 40),
        [replace(job, seed=1) for job in evaluated(with_synthetic=[1, 0] * 20)],
    )
    (view,) = generator_views([*first, *second], effects([*first, *second]))
    assert view.effect.comparison.difference == pytest.approx(0.25)
    assert "by +25.0 points" in section([*first, *second])


def test_a_difference_that_may_be_chance_is_called_not_significant():
    text = section(evaluated(with_synthetic=[0, 1] * 20))
    assert "Not significant:" in text
    assert "95 % interval" in text


def test_a_harmful_effect_is_called_harmful():
    assert "No, they harm" in section(evaluated(with_synthetic=[0] * 40))


def test_the_page_shows_the_distance_of_real_examples_too():
    text = section(evaluated())
    assert "8.0; that of real training recordings is 2.0" in text
    assert "4.0 times as far away" in text


@pytest.mark.parametrize(("n_held_out", "has_warning"), [(40, True), (4000, False)])
def test_a_distance_to_few_recordings_comes_with_a_warning(n_held_out, has_warning):
    text = section(evaluated(replace(EVALUATION, n_held_out=n_held_out)))
    assert ("depend mainly on its size" in text) is has_warning


def test_the_page_warns_of_mode_collapse_and_copies():
    quiet = section(evaluated())
    assert "Mode collapse" not in quiet
    assert "Copies:" not in quiet
    assert "Mode collapse: synthetic examples of <bdi>robin</bdi> have" in section(
        evaluated(replace(EVALUATION, diversity=(0.9, 0.2, None)))
    )
    assert "each was compared with all 7,000 training examples" in section(evaluated(EVALUATION))
    assert "Copies:" not in section(evaluated(replace(EVALUATION, copies=CopyCheck(0.9, 0.12, 0.06, p=0.2))))
    assert "Copies: in at least one training, more than 5 %" in section(
        evaluated(replace(EVALUATION, copies=CopyCheck(0.1, 0.8, p=1e-6)))
    )


def test_every_class_has_a_row_of_real_and_synthetic_samples():
    assert section(evaluated()).count("<image") == 3 * (REAL + SYNTHETIC)


def test_a_generator_is_not_in_the_score_table():
    text = page(report_of(evaluated()))
    assert "<bdi>gan</bdi>" not in text[text.index('id="scores"') : text.index('id="models"')]
    assert 'href="#generator-gan"' in text


def test_a_failed_generator_shows_only_its_reason():
    jobs = [JobReport("train", "failed", "gan", reason="loss is nan in epoch 3"), *jobs_of("cnn")]
    text = section(jobs)
    assert "loss is nan in epoch 3" in text
    assert "Do they look real?" not in text


def test_samples_survive_npz():
    one, again = samples(), SamplePairs.from_npz(samples().to_npz())
    assert one.to_npz() == samples().to_npz()
    np.testing.assert_array_equal(one.synthetic, again.synthetic)
    assert again.real_labels.tolist() == [0] * REAL + [1] * REAL + [2] * REAL
