"""Trainings killed, doubled, paused and cancelled: one trainer, and the weights of an undisturbed one.

Slow: trainings, each in a process that imports TensorFlow, and each begun again after a fault.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from db.ledger import control
from db.queries.status import JobStatus
from db.schema.tables import Metric
from domain.states import Kind, RunState, State
from orchestrator.planning.request import Request
from orchestrator.progress import Snapshot, snapshot
from tests.chaos.calm import assert_each_attempt_has_an_end, assert_rows_are_true, strips_in
from tests.chaos.machines import Machines, machines, submitted
from tests.e2e.command import until
from tests.e2e.way import carried_out, dataset, files, home

TRAIN = Request(models=("mlp",), training={"epochs": 40, "early_stop_patience": 1000}, until="train")
KINDS = ("strips", "shards", "models")


def training_of(seen: Snapshot) -> JobStatus:
    return next(job for job in seen.jobs if job.kind == Kind.TRAIN)


def trained(cluster: Machines, data: Path, disturb: Callable[[Snapshot], None] | None = None) -> Snapshot:
    run = submitted(cluster, data, TRAIN)
    cluster.start_worker("a")
    cluster.start_worker("g", "gpu")
    cluster.start_dispatcher()
    seen = cluster.until_over(run, disturb)
    assert seen.run.state == RunState.DONE, [(job.kind, job.state, job.reason) for job in seen.jobs]
    return seen


def metrics(cluster: Machines, job: int) -> int:
    with cluster.session.database.read() as connection:
        return int(connection.execute(sa.select(sa.func.count()).where(Metric.job_id == job)).scalar_one())


def assert_same(cluster: Machines, seen: Snapshot, calm: dict[str, str], n_forgotten: int = 0) -> None:
    """Strips, shards and weights byte for byte, no checkpoint left, and true counters.

    n_forgotten: attempts whose count is gone, as a training's is with each epoch it finishes.
    """
    assert seen.run.state == RunState.DONE
    assert files(cluster.session, *KINDS) == calm
    assert_rows_are_true(cluster.session.database, seen.run.id, strips_in(calm))
    assert_each_attempt_has_an_end(cluster.session.database, seen.run.id, n_forgotten)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """The dataset, and what an undisturbed training of it leaves: strips, shards and the model."""
    folder = tmp_path_factory.mktemp("weights")
    data = dataset(folder)
    with home(folder / "calm") as session:
        assert carried_out(session, data, TRAIN).run.state == RunState.DONE
        left = files(session, *KINDS)
        assert sum(key.endswith(".keras") for key in left) == 1
        return data, left


@pytest.mark.parametrize("n_kills", [1, pytest.param(3, marks=pytest.mark.long)])
def test_a_gpu_worker_killed_in_the_middle_of_an_epoch_leaves_the_same_weights(
    n_kills: int, tmp_path: Path, redis_url: str, weights: tuple[Path, dict[str, str]]
) -> None:
    killed_at: list[int] = []
    with machines(tmp_path, redis_url, gpu_concurrency=1) as cluster:

        def kill(seen: Snapshot) -> None:
            job = training_of(seen)
            least = killed_at[-1] + 3 if killed_at else 3
            if job.state == State.RUNNING and job.epoch >= least and len(killed_at) < n_kills:
                os.kill(cluster.processes["g"].pid, signal.SIGKILL)  # the process that trains goes with it
                killed_at.append(job.epoch)

        seen = trained(cluster, weights[0], kill)
        assert len(killed_at) == n_kills
        assert killed_at[-1] < 40
        assert training_of(seen).attempts == n_kills + 1
        assert_same(cluster, seen, weights[1], n_forgotten=n_kills)


@pytest.mark.long
def test_a_trainer_paused_past_its_lease_and_replaced_writes_nothing_when_it_wakes(
    tmp_path: Path, redis_url: str, weights: tuple[Path, dict[str, str]]
) -> None:
    stopped: list[int] = []
    with machines(tmp_path, redis_url, gpu_concurrency=1) as cluster:

        def pause(seen: Snapshot) -> None:
            job = training_of(seen)
            if not stopped and job.state == State.RUNNING and job.epoch >= 3:
                stopped.extend(cluster.children("g"))
                for child in stopped:
                    os.kill(child, signal.SIGSTOP)
                cluster.start_worker("h", "gpu")

        seen = trained(cluster, weights[0], pause)
        job = training_of(seen)
        assert (job.attempts, job.worker) == (2, "h@chaos")
        before = metrics(cluster, job.id)
        for child in stopped:
            os.kill(child, signal.SIGCONT)
        until(lambda: "no longer this worker's" in cluster.log("g").read_text(), within_s=60)
        assert_same(cluster, seen, weights[1], n_forgotten=1)
        assert metrics(cluster, job.id) == before
        assert training_of(snapshot(cluster.session.database, seen.run.id)) == job


def took_s(cluster: Machines, name: str) -> list[float]:
    """How long the training messages took that a worker has dealt with."""
    said = re.findall(r"Task train\[[0-9a-f-]+\] succeeded in ([0-9.e-]+)s", cluster.log(name).read_text())
    return [float(seconds) for seconds in said]


@pytest.mark.long
def test_two_gpu_workers_offered_the_same_training_by_two_dispatchers_train_it_once(
    tmp_path: Path, redis_url: str, weights: tuple[Path, dict[str, str]]
) -> None:
    with machines(tmp_path, redis_url, gpu_concurrency=1) as cluster:
        run = submitted(cluster, weights[0], TRAIN)
        cluster.start_worker("a")
        for name in ("g", "h"):
            cluster.start_worker(name, "gpu")
        until(lambda: all(" ready." in cluster.log(name).read_text() for name in ("g", "h")), within_s=120)
        with cluster.dispatching_thrice(), cluster.dispatching_thrice():
            seen = cluster.until_over(run)
        for name in ("g", "h"):
            assert cluster.received(name, "train"), "only one of the workers was offered the training"
        assert [job.attempts for job in seen.jobs] == [1] * len(seen.jobs)
        until(lambda: len(took_s(cluster, "g") + took_s(cluster, "h")) >= 3)
        job = training_of(seen)
        lasted_s = float(job.finished_at or 0) - float(job.started_at or 0)
        assert sum(each > lasted_s / 2 for each in took_s(cluster, "g") + took_s(cluster, "h")) == 1
        assert_same(cluster, seen, weights[1])


@pytest.mark.long
def test_a_cancelled_training_ends_within_ten_seconds(
    tmp_path: Path, redis_url: str, weights: tuple[Path, dict[str, str]]
) -> None:
    endless = Request(models=("mlp",), training={"epochs": 100_000, "early_stop_patience": 10**6}, until="train")
    with machines(tmp_path, redis_url, gpu_concurrency=1, lease_s=60.0) as cluster:
        run = submitted(cluster, weights[0], endless)
        cluster.start_worker("a")
        cluster.start_worker("g", "gpu")
        cluster.start_dispatcher()

        def training() -> JobStatus:
            return training_of(snapshot(cluster.session.database, run))

        until(lambda: training().epoch >= 2, within_s=120)
        assert control.cancel(cluster.session.database, run)
        until(lambda: training().state == State.CANCELLED, within_s=10)
        assert cluster.processes["g"].poll() is None
        assert [key for key in files(cluster.session, "models") if key.endswith(".keras")] == []
        left = files(cluster.session, "strips", "shards")
        assert left == {key: digest for key, digest in weights[1].items() if not key.startswith("models/")}
        assert_rows_are_true(cluster.session.database, run, strips_in(left))
        assert_each_attempt_has_an_end(cluster.session.database, run)
