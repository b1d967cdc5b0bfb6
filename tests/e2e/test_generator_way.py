"""A generator from training to report: its evaluator is also trained on its synthetic examples.

Slow: three trainings and three evaluations, each a process that imports TensorFlow.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from domain.states import Kind, RunState, State
from orchestrator.monitoring.summary import GENERATOR_FIGURES, summary
from tasks.dataset.shards.shard import shard_facts
from tasks.model.variants import WITH_SYNTHETIC
from tests.e2e import way

ASKED = replace(way.QUICK, models=("gan",), training={"epochs": 1, "batch": 2})
"""An epoch of a generator is always 64 updates; small batches make it short."""


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    folder = tmp_path_factory.mktemp("generator")
    with way.home(folder / "home") as session:
        seen = way.carried_out(session, way.dataset(folder), ASKED, limit_s=1800.0)  # six processes with TensorFlow
        yield session, seen, summary(session.database, session.store, seen.run.id)


def jobs_of(seen, kind, model="gan"):
    return [job for job in seen.jobs if (job.kind, job.model) == (kind, model)]


def test_a_request_for_a_generator_adds_its_evaluator_with_and_without_synthetic_examples(ended):
    _, seen, _ = ended
    assert seen.run.state == RunState.DONE
    assert [job.variant for job in jobs_of(seen, Kind.TRAIN, "cnn")] == [None, WITH_SYNTHETIC]
    assert len(jobs_of(seen, Kind.EVALUATE)) == 1


def test_it_writes_as_many_synthetic_examples_as_it_was_trained_on_in_shards_marked_as_synthetic(ended):
    session, seen, _ = ended
    (training,) = jobs_of(seen, Kind.TRAIN)
    result = training.result
    files = zip(result.synthetic_shards, result.synthetic_sha256, strict=True)
    facts = [shard_facts(session.store.get(*file)) for file in files]
    assert all(each.is_synthetic for each in facts)
    real = [job.result for job in seen.jobs if job.kind == Kind.PACK and job.subset == 0]
    assert sum(each.n_examples for each in facts) == sum(result.n_examples for result in real)


def test_the_evaluator_trained_on_synthetic_examples_too_is_another_model_and_is_evaluated(ended):
    _, seen, _ = ended
    own, changed = (job.result for job in jobs_of(seen, Kind.TRAIN, "cnn"))
    assert own.key != changed.key
    assert jobs_of(seen, Kind.EVALUATE, "cnn")[1].state == State.DONE


def test_its_entry_in_the_scores_holds_generator_metrics_and_no_accuracy(ended):
    _, _, found = ended
    assert set(found["scores"]) == {"cnn", "gan"}
    assert set(found["scores"]["gan"]) == set(GENERATOR_FIGURES)
    assert all(value >= 0 for value in found["scores"]["gan"].values())


def test_the_report_has_a_section_for_it_and_does_not_list_it_in_the_scores(ended):
    _, _, found = ended
    page = Path(found["report"]).read_text("utf-8")
    assert 'id="generator-gan"' in page
    assert page.count("<image") > 3 * (3 + 5)
    scores = page[page.index('<section id="scores">') : page.index('<section id="models">')]
    assert "<bdi>gan</bdi>" not in scores
