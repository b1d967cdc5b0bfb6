"""evaluate and render on a real ledger and store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from db.engine import Database
from db.ledger.claims import JobClaim, Ledger
from db.queries import integrity, status
from db.queries.crossings import Crossings
from db.queries.job_inputs import planned_run
from db.schema.upgrade import upgrade
from db.store.folder import FolderStore
from domain.errors import Damaged
from domain.results import FileRole, JobOutput, OutputFile, TrainResult, from_json
from domain.states import Kind, State
from domain.subsets import Subset
from domain.work import PlannedJob
from orchestrator.monitoring.summary import summary
from orchestrator.planning.request import Request
from orchestrator.planning.submit import submit
from tasks import train
from tasks.evaluate import evaluate_classifier
from tasks.model.bundle.bundle import BundleFacts, read_bundle, write_bundle
from tasks.model.inputs import InputShapes, Scaling
from tasks.model.prediction import predictions
from tasks.model.spec import TrainingSettings
from tasks.model.training.machine import device
from tasks.model.validation_counts import STEPS, ValidationCounts
from tasks.model.variants import ADDED_AUGMENTATION, VariantError
from tasks.model.zoo import entry
from tasks.render import render_report, report_data
from tasks.runtime.heartbeat import Heartbeat
from tasks.runtime.task import Work
from tasks.train import train_model
from tests.ledger_rows import small_run
from tests.model_shards import PIPELINE, examples, written
from tests.recordings import write_class_folders


@pytest.fixture
def database(sqlite_url: str) -> Iterator[Database]:
    """SQLite only: these tests do not depend on the database."""
    opened = Database(sqlite_url)
    upgrade(opened)
    yield opened
    opened.close()


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "store")


def claimed(database: Database, run: int, kind: Kind) -> tuple[Ledger, JobClaim]:
    ledger = Ledger(database, "w1", 60.0)
    job = next(job for job in status.jobs(database, run) if job.kind == kind)
    claim = ledger.claim_job(run, job.id, kind)
    assert claim is not None
    return ledger, claim


def work(database: Database, store: FolderStore, run: int, kind: Kind) -> Work:
    ledger, claim = claimed(database, run, kind)
    return Work(claim, database, store, ledger, Heartbeat(ledger, [claim]), store.local_file)


def settled(
    database: Database, run: int, kind: Kind, state: State = State.DONE, files: tuple[OutputFile, ...] = (),
    **result: object,
) -> None:  # fmt: skip
    ledger, claim = claimed(database, run, kind)
    left = from_json(kind, {"key": "k", **result})
    assert left is not None
    assert ledger.settle_job(claim, state, None, JobOutput(left, files))


def planned(database: Database, folder: Path, name: str, request: Request | None = None) -> int:
    data = write_class_folders(folder / name, {"high": 6000.0, "low": 1000.0}, per_label=6, seconds=0.2)
    return submit(database, data, request or Request(), lambda _: None).run


@pytest.fixture
def evaluation(database: Database, store: FolderStore, tmp_path: Path) -> Work:
    """An evaluate job with its shard and model in the store."""
    rows = [
        PlannedJob("pack", fold=-1, subset=2),
        PlannedJob("train", "cnn", 0, -1),
        PlannedJob("evaluate", "cnn", 0, -1, needs=(0, 1)),
    ]
    run = small_run(database, jobs=rows).run
    [shard] = written(tmp_path, examples(8))
    store.put("shards/test.parquet", shard.read())
    facts = BundleFacts("cnn", ("robin", "wren"), {}, PIPELINE, Scaling(), TrainingSettings(), split_digest="s" * 64)
    with store.writing("models/cnn.keras") as path:
        write_bundle(path, entry("cnn").build(InputShapes(), 2), facts)
    files = recorded(store, FileRole.SHARD, "shards/test.parquet")
    settled(database, run, Kind.PACK, files=files, shards=["shards/test.parquet"], label_counts={"0": 4, "1": 4})
    files, counts = recorded(store, FileRole.MODEL, "models/cnn.keras"), {"0": 5, "1": 5}
    made_by = {"key": "models/cnn.keras", "device": "GPU: of another machine"}
    settled(database, run, Kind.TRAIN, files=files, label_counts=counts, **made_by)
    return work(database, store, run, Kind.EVALUATE)


def recorded(store: FolderStore, role: FileRole, key: str) -> tuple[OutputFile, ...]:
    """Return the record of a file in the store, as a job writes it."""
    return (OutputFile(key, role, store.local(key).stat().st_size, store.digest(key)),)


def test_an_evaluation_records_its_own_device_not_that_of_the_training(evaluation: Work) -> None:
    assert evaluate_classifier(evaluation).device == device()


@pytest.mark.parametrize("key", ["shards/test.parquet", "models/cnn.keras"])
def test_a_changed_model_or_shard_is_refused_by_name(key: str, evaluation: Work, store: FolderStore) -> None:
    content = bytearray(store.local(key).read_bytes())
    content[len(content) // 2] ^= 1
    store.local(key).write_bytes(content)
    with pytest.raises(Damaged, match=f"{key} is not what was written"):
        evaluate_classifier(evaluation)


def packed(store: FolderStore, folder: Path, name: str, first: int, pipeline: str = PIPELINE) -> str:
    [shard] = written(folder, examples(16, first=first), name, pipeline)
    store.put(f"shards/{name}.parquet", shard.read())
    return f"shards/{name}.parquet"


def trained(database: Database, store: FolderStore, run: int, model: str, variant: str | None) -> TrainResult:
    """Run the training job of that model; return its result."""
    ledger = Ledger(database, "w1", 60.0)
    jobs = status.jobs(database, run)
    job = next(job for job in jobs if (job.kind, job.model, job.variant) == (Kind.TRAIN, model, variant))
    claim = ledger.claim_job(run, job.id, Kind.TRAIN)
    assert claim is not None
    left = train_model(Work(claim, database, store, ledger, Heartbeat(ledger, [claim]), store.local_file)).result
    assert isinstance(left, TrainResult)
    return left


@pytest.fixture
def training(database: Database, store: FolderStore, tmp_path: Path) -> Callable[[], Work]:
    """Claims the training of an mlp, whose shards are packed; each call makes it wait again.

    16 examples are for training, and 16 others for validation if it holds any out.
    """
    rows = [PlannedJob("pack", fold=-1, subset=subset) for subset in (0, 1)]
    jobs = [*rows, PlannedJob("train", "mlp", 0, -1, needs=(0, 1))]
    run = small_run(database, jobs=jobs, training={"epochs": 1}).run
    for job, name, first in zip(status.jobs(database, run), ("real", "valid"), (0, 100), strict=False):
        shard = packed(store, tmp_path, name, first, planned_run(database, run).pipeline_digest)
        claim = Ledger(database, "w1", 60.0).claim_job(run, job.id, Kind.PACK)
        assert claim is not None
        result = from_json(Kind.PACK, {"key": f"shards/{name}", "shards": [shard], "label_counts": {"0": 8, "1": 8}})
        assert result is not None
        left = JobOutput(result, recorded(store, FileRole.SHARD, shard))
        assert Ledger(database, "w1", 60.0).settle_job(claim, State.DONE, None, left)

    def again() -> Work:
        with database.write() as connection:
            connection.exec_driver_sql("UPDATE job SET state = 'waiting' WHERE kind = 'train'")
        return work(database, store, run, Kind.TRAIN)

    return again


def finish(work: Work, made: JobOutput) -> None:
    assert work.ledger.settle_job(work.claim, State.DONE, None, made)


def test_a_finished_training_is_repeated_only_if_its_model_is_damaged(
    training: Callable[[], Work], database: Database, store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = training()
    made = train_model(first)
    bundle, network, validation = made.files
    assert isinstance(made.result, TrainResult)
    assert bundle.key == made.result.key
    assert [file.role for file in made.files] == [FileRole.MODEL, FileRole.NETWORK, FileRole.VALIDATION]
    finish(first, made)
    known = {file.key: file.sha256 for file in integrity.ledger_files(database)}
    assert [known[file.key] for file in (network, validation)] == [network.sha256, validation.sha256], "of the doctor"
    trainings: list[str] = []
    trainer = train._trainer
    monkeypatch.setattr(train, "_trainer", lambda model: (trainings.append(model), trainer(model))[1])
    damages = ((bundle, b"", 0), (network, b"x", 0), (validation, b"x", 0), (bundle, b"x", 1))
    for damaged, damage, n_trainings in damages:
        with store.local(damaged.key).open("ab") as file:
            file.write(damage)
        repeated = training()
        again = train_model(repeated)
        assert isinstance(again.result, TrainResult)
        assert (again.files, len(trainings)) == (made.files, n_trainings)
        assert [store.digest(file.key) for file in made.files] == [file.sha256 for file in made.files]
        finish(repeated, again)


def test_a_training_counts_how_the_weights_it_keeps_score_the_validation_subset(
    training: Callable[[], Work], store: FolderStore
) -> None:
    work = training()
    made = train_model(work)
    counts = ValidationCounts.from_bytes(store.local(made.files[2].key).read_bytes())
    assert (counts.own.sum(axis=1).tolist(), counts.other.sum(axis=1).tolist()) == ([8, 8], [8, 8])
    bundle = read_bundle(store.local(made.files[0].key))
    scored = predictions(bundle, [store.local_file("shards/valid.parquet", None)])
    scores = np.concatenate([batch.probabilities for batch in scored])
    for label in (0, 1):
        steps = np.repeat(np.arange(STEPS + 1), counts.own[label] + counts.other[label])
        assert np.abs(np.sort(scores[:, label]) - steps / STEPS).max() <= 1 / STEPS


def test_a_training_on_the_validation_subset_counts_no_windows(
    training: Callable[[], Work], store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "_training_subsets", lambda settings: {Subset.TRAIN, Subset.VALID})
    made = train_model(training())
    assert ValidationCounts.from_bytes(store.local(made.files[2].key).read_bytes()).n_windows == 0


def test_a_model_of_an_earlier_version_is_not_trained_again_for_want_of_a_network(
    training: Callable[[], Work], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = training()
    made = train_model(first)
    assert isinstance(made.result, TrainResult)
    older = JobOutput(made.result, made.files[:1])
    finish(first, older)
    monkeypatch.setattr(train, "_trainer", lambda model: pytest.fail("trained again"))
    assert train_model(training()) == older


def test_a_network_that_cannot_be_converted_costs_no_training(
    training: Callable[[], Work], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unable(bundle: object, sha256: str) -> bytes:
        raise NotImplementedError("no operator for Swirl")

    monkeypatch.setattr("tasks.model.export.export_network", unable)
    made = train_model(training())
    assert isinstance(made.result, TrainResult)
    assert [file.role for file in made.files] == [FileRole.MODEL, FileRole.VALIDATION]
    assert (
        "could not be converted to ONNX, so cpu workers cannot predict with it: no operator for Swirl"
        in (made.result.notes[-1])
    )


SYNTHETIC = "with synthetic examples"


def test_a_variant_trains_on_synthetic_shards_too_and_is_another_model(
    database: Database, store: FolderStore, tmp_path: Path
) -> None:
    rows = [
        PlannedJob("pack", fold=-1, subset=0),
        PlannedJob("train", "gan", 0, -1, needs=(0,)),
        PlannedJob("train", "cnn", 0, -1, needs=(0,)),
        PlannedJob("train", "cnn", 0, -1, needs=(0, 1), variant=SYNTHETIC),
        PlannedJob("train", "cnn", 0, -1, needs=(0,), variant="with augmentation"),
    ]
    run = small_run(database, jobs=rows, training={"epochs": 1}).run
    counts = {"0": 8, "1": 8}
    shard, synthetic = packed(store, tmp_path, "real", 0), packed(store, tmp_path, "synthetic", 100)
    files = recorded(store, FileRole.SHARD, shard)
    settled(database, run, Kind.PACK, files=files, key="shards/real", shards=[shard], label_counts=counts)
    files = recorded(store, FileRole.SYNTHETIC, synthetic)
    settled(database, run, Kind.TRAIN, files=files, synthetic_shards=[synthetic])
    plain = trained(database, store, run, "cnn", None)
    mixed, augmented = (trained(database, store, run, "cnn", name) for name in (SYNTHETIC, "with augmentation"))
    assert len({each.key for each in (plain, mixed, augmented)}) == 3
    assert plain.label_counts == mixed.label_counts == {0: 8, 1: 8}
    assert [round(each.images_per_s * each.epoch_s) for each in (plain, mixed)] == [16, 32]
    settings = [read_bundle(store.local(each.key)).facts.settings for each in (plain, mixed, augmented)]
    assert settings[0] == settings[1]
    assert settings[2] == replace(settings[0], **ADDED_AUGMENTATION)


def test_a_training_repeated_with_other_libraries_keeps_the_first_model(
    database: Database, store: FolderStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [PlannedJob("pack", fold=-1, subset=0), PlannedJob("train", "cnn", 0, -1, needs=(0,))]
    shard, models = packed(store, tmp_path, "real", 0), []
    for version in ("1", "1", "2"):
        monkeypatch.setattr("tasks.model.bundle.libraries.library_versions", lambda version=version: {"keras": version})
        run = small_run(database, jobs=rows, training={"epochs": 1}).run
        files, counts = recorded(store, FileRole.SHARD, shard), {"0": 8, "1": 8}
        settled(database, run, Kind.PACK, files=files, key="shards/real", shards=[shard], label_counts=counts)
        models.append(trained(database, store, run, "cnn", None))
    first, again, other = ((each.key, each.sha256) for each in models)
    assert first == again != other
    assert [store.digest(key) for key, _ in (first, other)] == [digest for _, digest in (first, other)]


def test_a_model_that_reads_features_gets_no_synthetic_examples(
    database: Database, store: FolderStore, tmp_path: Path
) -> None:
    rows = [PlannedJob("train", "gan", 0, -1), PlannedJob("train", "mlp", 0, -1, needs=(0,), variant=SYNTHETIC)]
    run = small_run(database, jobs=rows).run
    synthetic = packed(store, tmp_path, "synthetic", 100)
    files = recorded(store, FileRole.SYNTHETIC, synthetic)
    settled(database, run, Kind.TRAIN, files=files, synthetic_shards=[synthetic])
    with pytest.raises(VariantError, match="mlp reads features"):
        trained(database, store, run, "mlp", SYNTHETIC)


def test_the_report_names_a_model_that_cannot_be_ablated(
    database: Database, store: FolderStore, tmp_path: Path
) -> None:
    run = planned(database, tmp_path, "data", Request(("mlp", "cnn"), ablate=("synthetic",)))
    (sentence,) = report_data(database, store, planned_run(database, run), Crossings()).run.not_done
    assert sentence.startswith("mlp reads features")


def test_two_ledgers_on_one_store_keep_their_reports_apart(
    database: Database, store: FolderStore, tmp_path: Path
) -> None:
    other = Database(f"sqlite:///{tmp_path / 'other.db'}")
    upgrade(other)
    keys = []
    for ledger, name in ((database, "dawn"), (other, "dusk")):
        run = planned(ledger, tmp_path, name)
        assert run == 1
        keys.append(render_report(work(ledger, store, run, Kind.RENDER)).result.key)
    other.close()
    assert [key.rpartition("/")[2] for key in keys] == ["run-1.html", "run-1.html"]
    pages = [store.get_unverified(key).decode() for key in keys]
    assert [name for page in pages for name in ("dawn", "dusk") if f"<bdi>{name}</bdi>" in page] == ["dawn", "dusk"]


@pytest.mark.parametrize(("state", "has_report"), [(State.DONE, True), (State.FAILED, False)])
def test_only_a_finished_render_job_has_a_report(
    state: State, has_report: bool, database: Database, store: FolderStore, tmp_path: Path
) -> None:
    run = planned(database, tmp_path, "dawn")
    settled(database, run, Kind.RENDER, state, key="reports/0123456789abcdef/run-1.html")
    report = summary(database, store, run)["report"]
    assert report == (str(store.local("reports/0123456789abcdef/run-1.html")) if has_report else None)
