"""What a report says about synthetic examples."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tasks.model.variants import WITH_SYNTHETIC
from tasks.report.data import JobReport
from tasks.report.html.generators import generator_views
from tasks.report.html.page import page
from tasks.report.plots.pictures import REAL, SYNTHETIC, PicturePairs
from tasks.report.scoring.ablation import effects
from tasks.report.scoring.likeness import CopyCheck, Likeness
from tasks.report.scoring.pairing import GroupOutcomes
from tests.unit.report.examples import LABELS, jobs_of, report_of

LIKENESS = Likeness(
    LABELS, frechet=8.0, real_frechet=2.0, copies=CopyCheck(1.1, 0.01, n_learnt_from=7_000),
    diversity=(0.9, 1.0, 0.8), agreement=0.75,
    n_synthetic=50, n_train=50, n_held_out=20,
)  # fmt: skip


def pictures():
    labels = np.repeat([0, 1, 2], 8)
    grey = np.arange(24 * 6, dtype=np.uint8).reshape(24, 2, 3)
    return PicturePairs.of(grey, labels, grey, labels)


def outcomes(correct):
    ones = np.ones(len(correct), np.int64)
    return GroupOutcomes(tuple(f"g{at:03d}" for at in range(len(correct))), ones, np.array(correct))


def judged(likeness=LIKENESS, fold=None, beside=None):
    without, beside = [1, 0] * 20, beside or [1, 0] * 20
    return [
        *[replace(job, fold=fold) for job in jobs_of("cnn", seed=0)[:1]],
        replace(jobs_of("cnn", fold=fold, seed=0)[1], outcomes=outcomes(without)),
        replace(jobs_of("cnn", fold=fold, seed=0)[1], outcomes=outcomes(beside), variant=WITH_SYNTHETIC),
        JobReport("train", "done", "gan", fold, 0, timings={"seconds": 70.0}, parameters={"parameters": 664348}),
        JobReport("evaluate", "done", "gan", fold, 0, likeness=likeness, pictures=pictures()),
    ]


def section(jobs):
    text = page(report_of(jobs))
    start = text.index('<section id="generator-gan">')
    return " ".join(text[start : text.index("</section>", start)].split())


def test_the_worth_of_synthetic_examples_is_measured_on_the_judge_over_all_folds():
    jobs = [*judged(fold=0), *judged(fold=1, beside=[1] * 40)]
    (view,) = generator_views(jobs, effects(jobs))
    assert view.worth.comparison.n_groups == 80
    assert view.worth.comparison.difference == pytest.approx(0.25)
    assert view.helps is True
    assert [each.name for each in view.trainings] == ["fold 0", "fold 1"]


def test_the_page_gives_one_answer_to_what_they_are_worth_over_all_seeds():
    first, second = judged(beside=[1] * 40), [replace(job, seed=1) for job in judged(beside=[1, 0] * 20)]
    (view,) = generator_views([*first, *second], effects([*first, *second]))
    assert view.worth.comparison.difference == pytest.approx(0.25)
    assert "by +25.0 points" in section([*first, *second])


def test_a_difference_that_may_be_chance_is_said_to_be_no_answer():
    text = section(judged(beside=[0, 1] * 20))
    assert "That cannot be told here" in text
    assert "95 % interval" in text


def test_a_harm_is_called_one():
    assert "No, they harm" in section(judged(beside=[0] * 40))


def test_the_distance_stands_beside_that_of_real_examples():
    text = section(judged())
    assert "8.0; that of the real training recordings is 2.0" in text
    assert "4.0 times as far away" in text


@pytest.mark.parametrize(("n_held_out", "is_said"), [(40, True), (4000, False)])
def test_a_distance_of_few_recordings_comes_with_a_warning(n_held_out, is_said):
    text = section(judged(replace(LIKENESS, n_held_out=n_held_out)))
    assert ("say more of the size of the sets" in text) is is_said


def test_a_collapsed_class_and_copies_are_warned_of():
    quiet = section(judged())
    assert "Collapsed" not in quiet
    assert "Copies:" not in quiet
    assert "Collapsed: synthetic examples of <bdi>robin</bdi> differ" in section(
        judged(replace(LIKENESS, diversity=(0.9, 0.2, None)))
    )
    assert "each was compared with all 7,000 examples its training learnt from" in section(judged(LIKENESS))
    assert "Copies:" not in section(judged(replace(LIKENESS, copies=CopyCheck(0.9, 0.12, 0.06, p=0.2))))
    assert "Copies: in a training, more than 5 %" in section(
        judged(replace(LIKENESS, copies=CopyCheck(0.1, 0.8, p=1e-6)))
    )


def test_every_class_has_a_row_of_real_and_synthetic_pictures():
    assert section(judged()).count("<image") == 3 * (REAL + SYNTHETIC)


def test_a_generator_has_no_place_among_the_scores():
    text = page(report_of(judged()))
    assert "<bdi>gan</bdi>" not in text[text.index('id="scores"') : text.index('id="models"')]
    assert 'href="#generator-gan"' in text


def test_a_generator_that_failed_says_why_and_shows_nothing_else():
    jobs = [JobReport("train", "failed", "gan", reason="loss is nan in epoch 3"), *jobs_of("cnn")]
    text = section(jobs)
    assert "loss is nan in epoch 3" in text
    assert "Do they look real?" not in text


def test_pictures_survive_their_file():
    one, again = pictures(), PicturePairs.from_npz(pictures().to_npz())
    assert one.to_npz() == pictures().to_npz()
    np.testing.assert_array_equal(one.synthetic, again.synthetic)
    assert again.real_labels.tolist() == [0] * REAL + [1] * REAL + [2] * REAL
