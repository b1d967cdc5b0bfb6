"""Real worker processes, disturbed; what they leave must equal, byte for byte, what undisturbed ones leave.

Slow: each run starts a broker and two workers, and each training and each evaluation a process that imports TensorFlow.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from db.engine import Database
from db.queries import status
from db.schema.upgrade import upgrade
from domain.states import Kind, RunState, State
from domain.subsets import Subset
from orchestrator.broker import QueueMessage, Sender
from orchestrator.execution.run import retry_run
from orchestrator.monitoring.doctor import findings
from orchestrator.monitoring.summary import summary
from orchestrator.planning.request import Request
from orchestrator.progress import Snapshot
from orchestrator.session import Session
from tasks.dataset.shards.shard import read_shard
from tasks.dataset.split import leaky
from tasks.model.bundle.bundle import read_bundle
from tests.e2e.way import QUICK, TONES, Way, carried_on, carried_out, dataset, files, home
from tests.recordings import write_class_folders

KINDS = ("strips", "shards", "models", "evaluations")


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dataset(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def undisturbed(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Session, Snapshot]]:
    with home(tmp_path_factory.mktemp("undisturbed")) as session:
        yield session, carried_out(session, tones)


def _assert_same(session: Session, seen: Snapshot, undisturbed: tuple[Session, Snapshot]) -> None:
    assert seen.run.state == RunState.DONE, [(job.kind, job.state, job.reason) for job in seen.jobs]
    assert seen.items == undisturbed[1].items
    assert files(session, *KINDS) == files(undisturbed[0], *KINDS)


def test_a_run_leaves_strips_shards_a_model_scores_and_a_report(undisturbed: tuple[Session, Snapshot]) -> None:
    session, seen = undisturbed
    assert seen.run.state == RunState.DONE, [(job.kind, job.state, job.reason) for job in seen.jobs]
    assert seen.items[State.DONE] == 36
    assert {job.kind: job.state for job in seen.jobs} == dict.fromkeys(
        ("pack", "train", "evaluate", "render"), State.DONE
    )
    found = summary(session.database, session.store, seen.run.id)
    assert found["recordings"]["done"] == found["recordings"]["total"] == 36
    assert 0 <= found["scores"]["mlp"]["accuracy"] <= 1
    page = Path(found["report"]).read_text()
    assert "tones" in page
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_the_same_dataset_again_is_not_preprocessed_or_packed_again(
    tones: Path, undisturbed: tuple[Session, Snapshot]
) -> None:
    session, first = undisturbed
    before = files(session, *KINDS)
    again = carried_out(session, tones, Request(until="pack"))
    assert again.run.state == RunState.DONE
    assert again.items == first.items
    assert files(session, *KINDS) == before
    with session.database.read() as connection:
        attempts = connection.exec_driver_sql(f"SELECT SUM(attempts) FROM item WHERE run_id = {again.run.id}")
        assert attempts.scalar() == 0


def test_a_broker_wiped_again_and_again_changes_nothing(
    tones: Path, tmp_path: Path, undisturbed: tuple[Session, Snapshot]
) -> None:
    wiped: list[int] = []

    def wipe(way: Way, seen: Snapshot) -> None:
        n_final = len(seen.jobs) - sum(job.state in (State.WAITING, State.SENT, State.RUNNING) for job in seen.jobs)
        stage = (36 - seen.n_open) // 12 + n_final
        if stage not in wiped:
            wiped.append(stage)
            way.broker.flushall()

    with home(tmp_path) as session:
        _assert_same(session, carried_out(session, tones, disturb=wipe), undisturbed)
    assert len(wiped) >= 4


def test_a_cpu_worker_killed_in_the_middle_changes_nothing(
    tones: Path, tmp_path: Path, undisturbed: tuple[Session, Snapshot]
) -> None:
    killed: list[int] = []

    def kill(way: Way, seen: Snapshot) -> None:
        worker = way.stack.process_id("cpu")
        if seen.items[State.RUNNING] and len(killed) < 2 and worker not in killed:
            os.kill(worker, signal.SIGKILL)
            killed.append(worker)

    with home(tmp_path) as session:
        seen = carried_out(session, tones, Request(until="pack"), disturb=kill)
        assert (seen.run.state, seen.items) == (RunState.DONE, undisturbed[1].items)
        assert files(session, "strips", "shards") == files(undisturbed[0], "strips", "shards")
    assert killed


def test_every_message_delivered_twice_has_one_effect(
    tones: Path, tmp_path: Path, undisturbed: tuple[Session, Snapshot]
) -> None:
    class SendsTwice(Sender):
        def send(self, task: str, queue: str, messages: Sequence[QueueMessage]) -> int:
            super().send(task, queue, messages)
            return super().send(task, queue, messages)

    with home(tmp_path) as session:
        seen = carried_out(session, tones, sender=SendsTwice)
        _assert_same(session, seen, undisturbed)
        assert [job.attempts for job in seen.jobs] == [1] * len(seen.jobs)


def test_postgresql_and_a_redis_by_its_url_leave_the_same(
    tones: Path, tmp_path: Path, undisturbed: tuple[Session, Snapshot], postgres_url: str, redis_url: str
) -> None:
    database = Database(postgres_url)
    upgrade(database)
    database.close()
    with home(tmp_path, database_url=postgres_url, broker_url=redis_url) as session:
        _assert_same(session, carried_out(session, tones), undisturbed)


def test_models_that_want_different_presets_share_one_run_and_one_split(tmp_path: Path) -> None:
    with home(tmp_path / "home") as session:
        data = dataset(tmp_path)
        seen = carried_out(session, data, Request(models=("mlp", "deep_cnn"), training={"epochs": 1}))
        assert seen.run.state == RunState.DONE
        assert {job.state for job in seen.jobs} == {State.DONE}
        assert sum(seen.items.values()) == 2 * 36
        counts = status.recording_counts(session.database, seen.run.id)
        assert (counts["total"], counts["done"]) == (36, 36)
        bundles = {job.model: job.result.key for job in seen.jobs if job.kind == Kind.TRAIN}
        shapes = {
            model: read_bundle(session.store.local(key)).model.inputs[0].shape[1:] for model, key in bundles.items()
        }
        assert shapes == {"mlp": (15,), "deep_cnn": (128, 251, 1)}
        assert not any("checkpoint" in key for key in files(session, "models"))
        page = Path(summary(session.database, session.store, seen.run.id)["report"]).read_text()
        assert "broadband" in page
        assert "birdclef2021" in page


@pytest.fixture(scope="module")
def varied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Session, Snapshot]]:
    """A run with the ablations and the leak meter: four trainings and four evaluations."""
    folder = tmp_path_factory.mktemp("varied")
    data = write_class_folders(folder / "long", TONES, per_label=6, seconds=40.0)
    request = Request(("mlp",), training={"epochs": 1}, ablate=("denoising", "augmentation"), leak_meter=True)
    with home(folder / "home") as session:
        seen = carried_out(session, data, request)
        assert seen.run.state == RunState.DONE, [(job.kind, job.state, job.reason) for job in seen.jobs]
        yield session, seen


def test_variants_without_denoising_and_with_augmented_copies_are_evaluated_on_the_same_recordings(
    varied: tuple[Session, Snapshot],
) -> None:
    session, seen = varied
    found = summary(session.database, session.store, seen.run.id)
    assert set(found["scores"]) == {"mlp"}
    assert [(each["model"], each["factor"]) for each in found["ablation"]] == [
        ("mlp", "denoising"),
        ("mlp", "augmentation"),
    ]
    honest = [job for job in seen.jobs if job.variant != leaky.VARIANT]
    own, bare, copied = (job.result for job in honest if job.kind == Kind.TRAIN)
    assert own.label_counts == bare.label_counts == copied.label_counts, "copies are not counted"
    packs = [job for job in honest if job.kind == Kind.PACK and job.subset == Subset.TRAIN]
    n_packed = sorted(job.result.n_examples for job in packs)
    assert n_packed == [n_packed[0], n_packed[0], 3 * n_packed[0]]
    evaluated = [job.result for job in honest if job.kind == Kind.EVALUATE]
    assert len({each.figures["n_recordings"] for each in evaluated}) == 1
    assert len({each.key for each in (own, bare, copied)}) == 3
    for each, effect in zip(evaluated[1:], found["ablation"], strict=True):
        accuracies = sorted([evaluated[0].figures["by_recording_accuracy"], each.figures["by_recording_accuracy"]])
        assert sorted([effect["with"], effect["without"]]) == pytest.approx(accuracies)
    page = Path(found["report"]).read_text()
    assert "Ablation: the effect of each part" in page
    assert "birdclef2021-without-denoising" in page


def test_the_leak_meter_trains_on_chunks_of_its_test_recordings(varied: tuple[Session, Snapshot]) -> None:
    session, seen = varied
    packs = [job for job in seen.jobs if job.kind == Kind.PACK]
    subsets: dict[str | None, list[set[tuple[str, int]]]] = {}
    for job in (job for job in packs if job.pipeline_id == packs[0].pipeline_id):  # not those of the ablations
        files = zip(job.result.shards, job.result.sha256, strict=True)
        rows = [read_shard(session.store.get(*file)) for file in files]
        held = {(digest, int(at)) for row in rows for digest, at in zip(row.digests, row.chunks, strict=True)}
        subsets.setdefault(job.variant, []).append(held)
    assert [sum(map(len, subsets[variant])) for variant in (None, leaky.VARIANT)] == [18 * 8] * 2
    recordings = {variant: [{digest for digest, _ in subset} for subset in found] for variant, found in subsets.items()}
    assert not recordings[None][0] & recordings[None][2]
    assert recordings[leaky.VARIANT][0] & recordings[leaky.VARIANT][2]
    found = summary(session.database, session.store, seen.run.id)
    assert set(found["scores"]) == set(found["leak_meter"]) == {"mlp"}
    assert "Leak meter" in Path(found["report"]).read_text()


def test_another_seed_trains_again_and_does_nothing_else_again(
    tones: Path, undisturbed: tuple[Session, Snapshot]
) -> None:
    session, _ = undisturbed
    before = files(session, *KINDS)
    seen = carried_out(session, tones, Request(seeds=(7,), training=QUICK.training))
    after = files(session, *KINDS)
    assert seen.run.state == RunState.DONE
    assert {key.split("/")[0] for key in after.keys() - before.keys()} <= {"models", "evaluations"}
    assert any(key.startswith("models/") for key in after.keys() - before.keys())
    assert all(after[key] == digest for key, digest in before.items())
    assert status.n_artifacts(session.database, seen.run.id) >= 36


def test_a_shard_that_was_lost_is_found_by_the_doctor_and_packed_again(tones: Path, tmp_path: Path) -> None:
    with home(tmp_path) as session:
        first = carried_out(session, tones, Request(until="pack"))
        before = files(session, "shards")
        for shard in (key for key in before if key.endswith(".parquet")):
            session.store.local(shard).unlink()
        assert any("missing from the store" in finding for finding in findings(session, repair=False))
        assert any(f"retry {first.run.id}" in finding for finding in findings(session, repair=True))
        again = carried_out(session, tones, Request(until="pack"))
        assert again.run.state == RunState.DONE
        assert files(session, "shards") == before
        [waiting] = findings(session, repair=False)
        assert f"retry {first.run.id}" in waiting, "the run that lost them is still failed"
        assert retry_run(session, first.run.id) == first.run.id
        assert carried_on(session, first.run.id, trains=False).run.state == RunState.DONE
        assert files(session, "shards") == before
        assert findings(session, repair=False) == []
