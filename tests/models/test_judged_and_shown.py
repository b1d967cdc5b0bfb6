"""The last two verbs on a real ledger and store: what evaluate records, where render puts its page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from db.engine import Database
from db.ledger.claims import JobClaim, Ledger
from db.queries import status
from db.schema.upgrade import upgrade
from db.store.folder import FolderStore
from domain.errors import Damaged
from domain.results import FileRole, JobOutput, LeftFile, TrainResult, from_json
from domain.states import Kind, State
from domain.work import PlannedJob
from orchestrator.monitoring.summary import summary
from orchestrator.planning.request import Request
from orchestrator.planning.submit import submit
from tasks import train
from tasks.evaluate import evaluation_in_store
from tasks.model.bundle.bundle import BundleFacts, read_bundle, write_bundle
from tasks.model.inputs import InputShapes, Scaling
from tasks.model.spec import TrainingSettings
from tasks.model.training.machine import device
from tasks.model.variants import ADDED, VariantError
from tasks.model.zoo import entry
from tasks.render import report_data, report_in_store
from tasks.runtime.heartbeat import Heartbeat
from tasks.runtime.task import Work
from tasks.train import model_in_store
from tests.ledger_rows import small_run
from tests.model_shards import PIPELINE, examples, written
from tests.recordings import write_class_folders


@pytest.fixture
def database(sqlite_url: str) -> Iterator[Database]:
    """One kind of database is enough: nothing here depends on it."""
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
    return Work(claim, database, store, ledger, Heartbeat(ledger, [claim]), store.lend)


def settled(
    database: Database, run: int, kind: Kind, state: State = State.DONE, files: tuple[LeftFile, ...] = (),
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
    """An evaluation whose shard and model are there."""
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


def recorded(store: FolderStore, role: FileRole, key: str) -> tuple[LeftFile, ...]:
    """The store's file, as a job records it that left it."""
    return (LeftFile(key, role, store.local(key).stat().st_size, store.digest(key)),)


def test_an_evaluation_records_the_device_it_ran_on_not_that_of_the_training(evaluation: Work) -> None:
    assert evaluation_in_store(evaluation).device == device()


@pytest.mark.parametrize("key", ["shards/test.parquet", "models/cnn.keras"])
def test_a_model_or_a_shard_that_changed_is_named_and_nothing_is_evaluated(
    key: str, evaluation: Work, store: FolderStore
) -> None:
    content = bytearray(store.local(key).read_bytes())
    content[len(content) // 2] ^= 1
    store.local(key).write_bytes(content)
    with pytest.raises(Damaged, match=f"{key} is not what was written"):
        evaluation_in_store(evaluation)


def packed(store: FolderStore, folder: Path, name: str, first: int) -> str:
    [shard] = written(folder, examples(16, first=first), name)
    store.put(f"shards/{name}.parquet", shard.read())
    return f"shards/{name}.parquet"


def trained(database: Database, store: FolderStore, run: int, model: str, variant: str | None) -> TrainResult:
    """What the training of that model leaves, done here."""
    ledger = Ledger(database, "w1", 60.0)
    jobs = status.jobs(database, run)
    job = next(job for job in jobs if (job.kind, job.model, job.variant) == (Kind.TRAIN, model, variant))
    claim = ledger.claim_job(run, job.id, Kind.TRAIN)
    assert claim is not None
    left = model_in_store(Work(claim, database, store, ledger, Heartbeat(ledger, [claim]), store.lend)).result
    assert isinstance(left, TrainResult)
    return left


def test_a_training_done_before_is_done_again_only_where_its_model_is_not_whole(
    database: Database, store: FolderStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [PlannedJob("pack", fold=-1, subset=0), PlannedJob("train", "mlp", 0, -1, needs=(0,))]
    run = small_run(database, jobs=rows, training={"epochs": 1}).run
    shard, counts = packed(store, tmp_path, "real", 0), {"0": 8, "1": 8}
    files = recorded(store, FileRole.SHARD, shard)
    settled(database, run, Kind.PACK, files=files, key="shards/real", shards=[shard], label_counts=counts)
    ledger, claim = claimed(database, run, Kind.TRAIN)
    made = model_in_store(Work(claim, database, store, ledger, Heartbeat(ledger, [claim]), store.lend))
    trainings: list[str] = []
    trainer = train._trainer
    monkeypatch.setattr(train, "_trainer", lambda model: (trainings.append(model), trainer(model))[1])
    for damage, n_trainings in ((b"", 0), (b"x", 1)):
        assert ledger.settle_job(claim, State.DONE, None, made)
        with store.local(made.result.key).open("ab") as file:
            file.write(damage)
        with database.write() as connection:
            connection.exec_driver_sql("UPDATE job SET state = 'waiting' WHERE kind = 'train'")
        ledger, claim = claimed(database, run, Kind.TRAIN)
        again = model_in_store(Work(claim, database, store, ledger, Heartbeat(ledger, [claim]), store.lend))
        assert (again.result.key, again.files, len(trainings)) == (made.result.key, made.files, n_trainings)
        [bundle] = made.files
        assert (bundle.key, bundle.sha256) == (made.result.key, store.digest(made.result.key))


SYNTHETIC = "with synthetic examples"


def test_a_variant_learns_from_synthetic_shards_too_and_is_another_model(
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
    shard, painted = packed(store, tmp_path, "real", 0), packed(store, tmp_path, "synthetic", 100)
    files = recorded(store, FileRole.SHARD, shard)
    settled(database, run, Kind.PACK, files=files, key="shards/real", shards=[shard], label_counts=counts)
    files = recorded(store, FileRole.SYNTHETIC, painted)
    settled(database, run, Kind.TRAIN, files=files, synthetic_shards=[painted])
    plain = trained(database, store, run, "cnn", None)
    fed, augmented = (trained(database, store, run, "cnn", name) for name in (SYNTHETIC, "with augmentation"))
    assert len({each.key for each in (plain, fed, augmented)}) == 3
    assert plain.label_counts == fed.label_counts == {0: 8, 1: 8}
    assert [round(each.images_per_s * each.epoch_s) for each in (plain, fed)] == [16, 32]
    settings = [read_bundle(store.local(each.key)).facts.settings for each in (plain, fed, augmented)]
    assert settings[0] == settings[1]
    assert settings[2] == replace(settings[0], **ADDED)


def test_a_training_repeated_with_other_libraries_leaves_the_first_model_as_it_was(
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


def test_a_model_of_features_is_not_given_synthetic_examples(
    database: Database, store: FolderStore, tmp_path: Path
) -> None:
    rows = [PlannedJob("train", "gan", 0, -1), PlannedJob("train", "mlp", 0, -1, needs=(0,), variant=SYNTHETIC)]
    run = small_run(database, jobs=rows).run
    painted = packed(store, tmp_path, "synthetic", 100)
    files = recorded(store, FileRole.SYNTHETIC, painted)
    settled(database, run, Kind.TRAIN, files=files, synthetic_shards=[painted])
    with pytest.raises(VariantError, match="mlp reads features"):
        trained(database, store, run, "mlp", SYNTHETIC)


def test_a_model_that_a_part_does_not_suit_is_named_in_the_report(
    database: Database, store: FolderStore, tmp_path: Path
) -> None:
    run = planned(database, tmp_path, "data", Request(("mlp", "cnn"), ablate=("synthetic",)))
    (sentence,) = report_data(database, store, run).run.not_done
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
        keys.append(report_in_store(work(ledger, store, run, Kind.RENDER)).result.key)
    other.close()
    assert [key.rpartition("/")[2] for key in keys] == ["run-1.html", "run-1.html"]
    pages = [store.get_unverified(key).decode() for key in keys]
    assert [name for page in pages for name in ("dawn", "dusk") if f"<bdi>{name}</bdi>" in page] == ["dawn", "dusk"]


@pytest.mark.parametrize(("state", "has_report"), [(State.DONE, True), (State.FAILED, False)])
def test_only_a_render_job_that_is_done_has_a_report(
    state: State, has_report: bool, database: Database, store: FolderStore, tmp_path: Path
) -> None:
    run = planned(database, tmp_path, "dawn")
    settled(database, run, Kind.RENDER, state, key="reports/0123456789abcdef/run-1.html")
    report = summary(database, store, run)["report"]
    assert report == (str(store.local("reports/0123456789abcdef/run-1.html")) if has_report else None)
