"""A generator the whole way: trained, its examples learnt from by its judge, judged, and shown.

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
"""An epoch of a generator is 64 updates, however few its examples are: small batches make it a short one."""


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    folder = tmp_path_factory.mktemp("generator")
    with way.home(folder / "home") as session:
        seen = way.carried_out(session, way.dataset(folder), ASKED, limit_s=1800.0)  # six processes with TensorFlow
        yield session, seen, summary(session.database, session.store, seen.run.id)


def jobs_of(seen, kind, model="gan"):
    return [job for job in seen.jobs if (job.kind, job.model) == (kind, model)]


def test_a_generator_alone_brings_its_judge_as_it_is_and_with_synthetic_examples(ended):
    _, seen, _ = ended
    assert seen.run.state == RunState.DONE
    assert [job.variant for job in jobs_of(seen, Kind.TRAIN, "cnn")] == [None, WITH_SYNTHETIC]
    assert len(jobs_of(seen, Kind.EVALUATE)) == 1


def test_it_leaves_as_many_examples_of_each_class_as_it_has_learnt_from_in_shards_marked_as_synthetic(ended):
    session, seen, _ = ended
    (training,) = jobs_of(seen, Kind.TRAIN)
    result = training.result
    files = zip(result.synthetic_shards, result.synthetic_sha256, strict=True)
    facts = [shard_facts(session.store.get(*file)) for file in files]
    assert all(each.is_synthetic for each in facts)
    real = [job.result for job in seen.jobs if job.kind == Kind.PACK and job.subset == 0]
    assert sum(each.n_examples for each in facts) == sum(result.n_examples for result in real)


def test_the_judge_that_learns_from_synthetic_examples_too_is_another_model_and_is_judged_as_well(ended):
    _, seen, _ = ended
    own, changed = (job.result for job in jobs_of(seen, Kind.TRAIN, "cnn"))
    assert own.key != changed.key
    assert jobs_of(seen, Kind.EVALUATE, "cnn")[1].state == State.DONE


def test_its_entry_among_the_scores_holds_its_own_measures_and_no_accuracy_of_its_own(ended):
    _, _, found = ended
    assert set(found["scores"]) == {"cnn", "gan"}
    assert set(found["scores"]["gan"]) == set(GENERATOR_FIGURES)
    assert all(value >= 0 for value in found["scores"]["gan"].values())


def test_the_report_shows_it_in_a_section_of_its_own_and_not_among_the_scores(ended):
    _, _, found = ended
    page = Path(found["report"]).read_text("utf-8")
    assert 'id="generator-gan"' in page
    assert page.count("<image") > 3 * (3 + 5)
    scores = page[page.index('<section id="scores">') : page.index('<section id="models">')]
    assert "<bdi>gan</bdi>" not in scores
