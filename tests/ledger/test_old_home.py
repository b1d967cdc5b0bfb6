"""A home of version 0.1.0 opens, is upgraded, reports the same results, and repeats no work."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from db.engine import Database
from db.ledger import feeding
from db.ledger.claims import Ledger
from db.queries import integrity, run_counts, status
from db.queries.job_inputs import results, run_facts, strips
from db.schema.tables import Job
from db.schema.upgrade import require_current, upgrade
from db.store.folder import FolderStore
from domain.results import EvaluateResult, FileRole, OutputFile, PackResult, TrainResult, from_json, to_json
from domain.states import Kind, RunState, State
from domain.work import with_result
from orchestrator.monitoring.summary import summary
from orchestrator.planning.dry_run import dry_run
from orchestrator.planning.request import Request
from orchestrator.planning.submit import submit
from orchestrator.progress import snapshot
from tasks.audio.strip import decode_strip
from tests.old_home.old_home import BROKEN, SILENT, restore

FINISHED, PLANNED = 1, 2


@pytest.fixture
def home(tmp_path: Path, database_url: str) -> Path:
    return restore(tmp_path, database_url)


@pytest.fixture
def ledger(home: Path, database_url: str) -> Iterator[Database]:
    """Its ledger, upgraded."""
    database = Database(database_url)
    upgrade(database)
    require_current(database)
    yield database
    database.close()


def test_its_counters_match_its_rows_after_the_upgrade(ledger: Database) -> None:
    with ledger.read() as connection:
        rows = connection.exec_driver_sql("SELECT run_id, state, COUNT(*) FROM item GROUP BY run_id, state").all()
        counted = connection.exec_driver_sql("SELECT run_id, state, n FROM counter WHERE n > 0").all()
        subsets = connection.exec_driver_sql("SELECT subset, COUNT(*) FROM job WHERE run_id = 1 GROUP BY 1").all()
        crashed = connection.exec_driver_sql("SELECT SUM(crashes) + SUM(lost_claims) FROM item").scalar()
    states = {row for row in map(tuple, counted) if row[1] in set(State)}
    assert states == set(map(tuple, rows)) == {
        (FINISHED, "done", 12), (FINISHED, "quarantined", 2), (PLANNED, "done", 12), (PLANNED, "quarantined", 2),
    }  # fmt: skip
    assert {subset: n for subset, n in subsets if subset is not None} == {0: 1, 1: 1, 2: 1}
    assert crashed == 0


@pytest.fixture
def store(home: Path) -> FolderStore:
    return FolderStore(home / "store")


def test_its_finished_run_reports_the_same_results(ledger: Database, store: FolderStore) -> None:
    found = summary(ledger, store, FINISHED)
    assert found["state"] == RunState.DONE
    assert found["recordings"] == {**found["recordings"], "total": 14, "done": 12, "quarantined": 2}
    assert [(each["recording"], each["reason_code"]) for each in found["quarantined"]] == [
        (BROKEN, "unsupported_format"),
        (SILENT, "silent"),
    ]
    assert [job["kind"] for job in found["jobs"]] == ["pack", "pack", "pack", "train", "evaluate", "render"]
    train, evaluate = found["jobs"][3:5]
    assert train["cost"] == {
        "images_per_s": 73.71535332446074,
        "epoch_s": 0.2408083219997934,
        "peak_rss_bytes": 878583808,
    }
    assert train["metrics"]["val_accuracy"] == 1.0
    assert evaluate["metrics"]["by_recording_accuracy"] == 1.0
    assert found["scores"]["mlp"]["accuracy"] == 1.0
    assert found["artifacts"] == 12 + 3 + 1 + 1 + 1
    assert found["report"].endswith("reports/c56544f1c98511e1/run-1.html")
    parts = run_counts.part_counts(ledger, FINISHED)
    assert [(part.fold, part.n_recordings, part.n_chunks) for part in parts] == [(-1, 10, 9), (-1, 2, 2), (-1, 2, 1)]


def test_its_strips_are_found_and_are_what_was_written(ledger: Database, store: FolderStore) -> None:
    kept = [strip for strip in integrity.ledger_strips(ledger) if strip.key in store]
    assert len(kept) == 3
    facts = run_facts(ledger, FINISHED)
    assert facts is not None
    rows = {row.key: row for row in strips(ledger, FINISHED, facts.pipeline_id, None)}
    assert len(rows) == 12
    for strip in kept:
        data = store.get(strip.key, strip.sha256)
        assert hashlib.sha256(data).hexdigest() == strip.sha256 == rows[strip.key].sha256
        decoded = decode_strip(data)
        assert (decoded.recording_digest, decoded.pipeline_digest) == (rows[strip.key].digest, facts.pipeline_digest)


def test_the_files_of_its_jobs_are_known_with_their_digests(ledger: Database) -> None:
    files = {file.key: file.sha256 for file in integrity.ledger_files(ledger)}
    assert files["shards/b2ee424d70c1ce0d7639fa6327e9113c/00000.parquet"].startswith("6d1bf93e49211088")
    assert files["shards/b2ee424d70c1ce0d7639fa6327e9113c/index.json"].startswith("de87610002bc5250")
    model = "models/e66e6ff40ec94180b51362e85853ad06/mlp-6a0eb4712eebc39d.keras"
    assert files[model] == "6a0eb4712eebc39de34aa5a2517fe18a21a190e08ef7bf418ab7231218d7ee8e"
    assert "evaluations/b16547d33cb1b67af3205cfb29f89681.json" in files
    assert "evaluations/a5eba7675bc52e2cdd3da578469abc32.parquet" in files
    assert "reports/c56544f1c98511e1/run-1.html" in files
    assert len(files) == 3 * 2 + 1 + 2 + 1
    assert list(integrity.unknown_keys(ledger, [*files, "models/x/cnn-0.keras"])) == ["models/x/cnn-0.keras"]


def test_its_results_are_what_later_jobs_read(ledger: Database) -> None:
    left = results(ledger, FINISHED)
    [train] = with_result(left, TrainResult)
    assert train.result.notes == ("batches of 8 instead of 32: there are only 9 training examples",)
    assert train.result.label_counts == {0: 5, 1: 4}
    assert train.bundle == OutputFile(train.result.key, FileRole.MODEL, None, train.result.sha256)
    packs = with_result(left, PackResult)
    assert [job.result.n_examples for job in packs] == [9, 2, 1]
    for job in packs:
        assert [(file.key, file.sha256) for file in job.shards] == list(
            zip(job.result.shards, job.result.sha256, strict=True)
        )
    [evaluate] = with_result(left, EvaluateResult)
    assert evaluate.result.figures["chance_accuracy"] == 0.4444444444444444
    assert evaluate.result.outcomes_key == "evaluations/a5eba7675bc52e2cdd3da578469abc32.parquet"
    with ledger.read() as connection:
        kept = connection.execute(sa.select(Job.kind, Job.result).where(Job.run_id == FINISHED)).all()
    for kind, stored in kept:
        read = from_json(kind, stored)
        assert read is not None
        written = to_json(read)
        assert written.pop("revision", 0) == 0
        assert written == stored, "what an older version wrote comes out as it was"


def test_the_same_recordings_planned_again_are_preprocessed_once_more_and_the_plan_says_so(
    ledger: Database, home: Path
) -> None:
    sentence = "made by an earlier version, whose decoder and silence check differed"
    birds, request = home.parent / "birds", Request(models=("mlp",))
    [planned] = dry_run(ledger, birds, request, lambda _: None).preprocessed_again
    assert sentence in planned
    again = submit(ledger, birds, request, lambda _: None)
    assert planned in again.lines
    counts = status.item_counts(ledger, again.run)
    assert counts == {**dict.fromkeys(counts, 0), State.WAITING: 14}
    assert run_counts.work(ledger, again.run).n_made == 0


def test_its_unfinished_run_continues_with_packing(ledger: Database) -> None:
    assert snapshot(ledger, PLANNED).n_open == 0
    ready = feeding.take_jobs(ledger, PLANNED)
    assert [job.kind for job in ready] == [Kind.PACK] * len(ready)
    assert len(ready) == 4
    claim = Ledger(ledger, "w1", 60.0, 1).claim_job(PLANNED, ready[0].job, Kind.PACK)
    assert claim is not None
    assert claim.fold in (0, 1)
