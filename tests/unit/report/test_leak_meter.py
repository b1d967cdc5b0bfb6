"""The leak meter is separate from the scores."""

from __future__ import annotations

from dataclasses import replace

from tasks.dataset.split import leaky
from tasks.report.html.model_views import leaks, model_views
from tasks.report.html.page import page
from tests.unit.report.examples import jobs_of, report_of


def leaky_jobs(model, right):
    return [replace(job, variant=leaky.VARIANT) for job in jobs_of(model, right=right)]


def test_a_leaky_training_changes_no_score():
    honest = jobs_of("cnn", right=0.5)
    assert model_views([*honest, *leaky_jobs("cnn", 1.0)]) == model_views(honest)


def test_the_page_shows_the_leaky_and_the_honest_accuracy():
    jobs = [*jobs_of("cnn", right=0.5), *leaky_jobs("cnn", 0.75), *leaky_jobs("mlp", 1.0)]
    (leak,) = leaks(model_views(jobs), jobs)
    assert (leak.model, leak.claimed, leak.honest) == ("cnn", 0.75, 0.5)
    text = page(report_of(jobs))
    assert "Leak meter" in text
    assert "+25.0" in text
    assert "Leak meter" not in page(report_of(jobs_of("cnn")))
