"""Shards to a model."""

from __future__ import annotations

import math
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from celery import shared_task

from db.queries.job_inputs import PlannedRun, needed_results, own_result, planned_run
from db.store.keys import checkpoint_of
from domain.digests import content_digest, digest_of
from domain.results import FileRole, JobOutput, JobResult, LeftFile, PackResult, TrainResult
from domain.stored_file import StoredFile
from domain.subsets import Subset
from domain.work import FinishedJob, with_result
from settings import Settings
from tasks.dataset.shards.shard import shards
from tasks.model import variants
from tasks.model.inputs import feature_names
from tasks.model.spec import TrainingSettings, TrainingSpec
from tasks.model.zoo import entry
from tasks.runtime.task import LedgerTask, Work, local

if TYPE_CHECKING:
    from tasks.model.bundle.bundle import BundleFacts
    from tasks.model.training.checkpoint import Checkpoints
    from tasks.model.training.classifier import Trained


@shared_task(name="train", base=LedgerTask, bind=True, acks_late=False)
def train(self: LedgerTask, message: dict[str, Any]) -> None:
    """Shards of the training subset to one model.

    Reads: the shards of the pack jobs it needs, and the `synthetic_shards` that a training it needs has left: keys of
    shards of the same pipeline, only ever learnt from. Writes: metrics of each epoch, the bundle, of a generator such
    shards, then the job row.
    Acknowledged at once, since no broker waits as long as a training takes; exclusive by lease and fence. Safe to
    repeat because the weights follow from shards, settings and seed: whoever comes next goes on after the last epoch
    that was finished.
    """
    self.carry_out_job(message, model_in_store)


def model_in_store(work: Work) -> JobOutput:
    """Trains the job's model and puts its bundle into the store; returns its result and files.

    A training that was done before, from the same shards, is not done again.
    """
    from tasks.model.training.machine import prepare_devices  # noqa: PLC0415  # TensorFlow, which a worker's parent never loads

    run = planned_run(work.database, work.claim.run, work.claim.pipeline_id)
    needed = needed_results(work.database, work.claim.id)
    packs, synthetic = with_result(needed, PackResult), _synthetic_shards(needed)
    spec = _spec(work, run, packs, synthetic)
    name = _model_name(run, spec, packs, synthetic)
    if left := _left_before(work, name):
        return left
    prepare_devices(run.options.get("device", "auto"), require_gpu=Settings().require_gpu)
    work.ledger.forget_metrics(work.claim)
    checkpoint = checkpoint_of(f"{name}.keras")

    def on_epoch(epoch: int, values: dict[str, float]) -> None:
        work.require_claim()
        work.ledger.write_metrics(work.claim, epoch, values)

    result = _trainer(spec.model)(spec, on_epoch, time.perf_counter, _checkpoints(work, checkpoint), work.held.went_on)
    bundle = _bundle(result, _bundle_facts(work, run, spec, result))
    digest = content_digest(bundle)
    key = f"{name}-{digest[:16]}.keras"  # other libraries, or another processor, make another file of it
    work.require_claim()
    work.store.put(key, bundle)
    work.store.remove(checkpoint)
    counts = _label_counts(pack for pack in packs if pack.subset in _learnt_from(spec.settings))
    files = [LeftFile(key, FileRole.MODEL, len(bundle), digest)]
    trained = TrainResult(
        key=key, sha256=digest, label_counts=counts,
        features=spec.settings.features if _reads_features(spec.model) else None, **_figures(result),
    )  # fmt: skip
    if entry(spec.model).is_generator:
        synthetic_files = _synthetic_files(work, run, spec, result.model, counts)
        files += synthetic_files
        trained = replace(
            trained,
            synthetic_shards=tuple(file.key for file in synthetic_files),
            synthetic_sha256=tuple(str(file.sha256) for file in synthetic_files),
        )
    return JobOutput(trained, tuple(files))


def _left_before(work: Work, name: str) -> JobOutput | None:
    """What this job left at an earlier time, if that was made from the same and all of it is whole."""
    left = own_result(work.database, work.claim.id)
    if left is None or not left.result.key.startswith(f"{name}-"):
        return None
    is_whole = bool(left.files) and all(
        file.key in work.store and work.store.digest(file.key) == file.sha256 for file in left.files
    )
    return JobOutput(left.result, left.files) if is_whole else None


def _trainer(model: str) -> Callable[..., Trained]:
    from tasks.model.training import adversarial, classifier  # noqa: PLC0415

    return adversarial.train if entry(model).is_generator else classifier.train


def _synthetic_files(
    work: Work, run: PlannedRun, spec: TrainingSpec, generator: Any, counts: Counter[int]
) -> list[LeftFile]:
    """Writes as many synthetic examples as real ones were trained on; returns their shards."""
    from tasks.model.synthesis import synthetic_examples  # noqa: PLC0415
    from tasks.model.training.stream import surveyed  # noqa: PLC0415

    made = synthetic_examples(generator, counts, surveyed(spec.train_shards).shapes, spec.settings.seed)
    files = []
    for data in shards(made, run.split["digest"], run.pipeline_digest):
        work.require_claim()
        digest = content_digest(data)
        files.append(LeftFile(f"shards/{digest[:32]}/synthetic.parquet", FileRole.SYNTHETIC, len(data), digest))
        work.store.put(files[-1].key, data)
    return files


def _checkpoints(work: Work, key: str) -> Checkpoints:
    """The training's progress in the store, under the name of the model to be: whoever trains it next goes on."""
    from tasks.model.training.checkpoint import Checkpoints  # noqa: PLC0415

    def save(data: bytes) -> None:
        work.require_claim()
        work.store.put(key, data)
        work.ledger.note_step_forward(work.claim)

    return Checkpoints(lambda: work.store.get_unverified(key) if key in work.store else None, save)


def _synthetic_shards(needed: list[FinishedJob[JobResult]]) -> tuple[LeftFile, ...]:
    """The shards that a needed training has left to learn from; beyond packs, only a variant needs one."""
    return tuple(file for job in with_result(needed, TrainResult) for file in job.synthetic_shards)


def _spec(
    work: Work, run: PlannedRun, packs: list[FinishedJob[PackResult]], synthetic: tuple[LeftFile, ...]
) -> TrainingSpec:
    model = entry(str(work.claim.model))
    if synthetic:
        variants.require_pictures_alone(model)
    typed = run.options.get("training", {})
    # Whoever says how many epochs gets so many, however large the training subset is.
    asked = {**model.training, **({"most_examples": 0} if "epochs" in typed else {}), **typed, "seed": work.claim.seed}
    if _reads_features(model.name):
        asked["features"] = run.options.get("features", "audio")
    settings = TrainingSettings(**{**asked, **variants.changed_training(model, work.claim.variant)})
    subsets = _learnt_from(settings)
    return TrainingSpec(
        model=model.name,
        labels=run.labels,
        train_shards=(*_shards(work, packs, subsets), *(local(work, file) for file in synthetic)),
        valid_shards=_shards(work, packs, {Subset.VALID} - subsets),
        settings=settings,
    )


def _reads_features(model: str) -> bool:
    return "features" in entry(model).inputs


def _learnt_from(settings: TrainingSettings) -> set[Subset]:
    return {Subset.TRAIN} if settings.hold_out else {Subset.TRAIN, Subset.VALID}


def _shards(work: Work, packs: list[FinishedJob[PackResult]], subsets: set[Subset]) -> tuple[StoredFile, ...]:
    return tuple(local(work, file) for pack in packs if pack.subset in subsets for file in pack.shards)


def _label_counts(packs: Iterable[FinishedJob[PackResult]]) -> Counter[int]:
    """Real examples of each label, augmented copies not counted."""
    counts: Counter[int] = Counter()
    for pack in packs:
        counts.update(pack.result.label_counts)
    return counts


def _model_name(
    run: PlannedRun, spec: TrainingSpec, packs: list[FinishedJob[PackResult]], synthetic: tuple[LeftFile, ...]
) -> str:
    """Where the model stands in the store, by what it is made from: the beginning of its key and its checkpoint's."""
    made_from: dict[str, Any] = {
        "model": spec.model, "labels": run.labels, "settings": asdict(spec.settings),
        "packs": [(pack.subset, pack.result.key) for pack in packs],
    }  # fmt: skip
    if synthetic:
        made_from["synthetic"] = tuple(file.key for file in synthetic)
    return f"models/{digest_of(made_from)[:32]}/{spec.model}"


def _bundle(result: Trained, facts: BundleFacts) -> bytes:
    from tasks.model.bundle.bundle import write_bundle  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="chorus-") as folder:
        path = Path(folder) / f"{facts.model}.keras"  # Keras chooses its format by the ending
        write_bundle(path, result.model, facts)
        return path.read_bytes()


def _bundle_facts(work: Work, run: PlannedRun, spec: TrainingSpec, result: Trained) -> BundleFacts:
    from tasks.model.bundle.bundle import BundleFacts  # noqa: PLC0415
    from tasks.model.bundle.libraries import library_versions  # noqa: PLC0415

    return BundleFacts(
        model=spec.model, labels=run.labels, preset=run.preset, pipeline_digest=run.pipeline_digest,
        scaling=result.scaling, settings=spec.settings, split_digest=run.split["digest"], fold=work.claim.fold,
        best_epoch=result.best_epoch, versions=library_versions(),
        features=feature_names(spec.settings.features) if _reads_features(spec.model) else (),
    )  # fmt: skip


def _figures(result: Trained) -> dict[str, Any]:
    names = (
        "best_epoch", "device", "images_per_s", "epoch_s", "peak_rss_bytes", "parameters", "trainable_parameters",
    )  # fmt: skip
    known = {name: value for name in names if not _is_nan(value := getattr(result, name))}
    return {**known, "notes": tuple(result.notes)}


def _is_nan(value: object) -> bool:
    """Of a training that had no epoch left to do nobody knows how long one takes, and JSON has no word for that."""
    return isinstance(value, float) and math.isnan(value)
