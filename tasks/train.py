"""The task that trains a model on shards."""

from __future__ import annotations

import math
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from celery import shared_task

from db.queries.job_inputs import PlannedRun, needed_results, own_result, planned_run
from db.queries.unused import lost_classes
from db.store.keys import checkpoint_of
from domain.digests import content_digest, digest_of
from domain.errors import Impossible
from domain.reasons import words_of
from domain.results import FileRole, JobOutput, OutputFile, PackResult, TrainResult
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
    from tasks.model.bundle.bundle import Bundle, BundleFacts
    from tasks.model.training.checkpoint import Checkpoints
    from tasks.model.training.classifier import TrainedModel

_CLASSES_LISTED = 5
_FROM_BUNDLE = {FileRole.NETWORK, FileRole.VALIDATION}
"""Roles of files that are made from the bundle, without a training."""


@shared_task(name="train", base=LedgerTask, bind=True, acks_late=False)
def train(self: LedgerTask, message: dict[str, Any]) -> None:
    """Train one model on the shards of the training subset.

    Reads: the shards of the pack jobs it needs, and the synthetic shards of a generator's training if it needs one.
    Writes: metrics of each epoch, the bundle, then the job row; of a classifier its network as ONNX and how it scores
    the validation subset, of a generator its synthetic shards.
    Acknowledged early, because a training outlasts the broker's timeout; lease and fence make it exclusive.
    Idempotent: the weights follow from shards, settings and seed. The next worker resumes after the last finished
    epoch.
    """
    self.carry_out_job(message, train_model)


def train_model(work: Work) -> JobOutput:
    """Train the model of the job and store its bundle; return the job result and its files.

    Returns the previous result if the job was finished before with the same inputs and its files are intact; those that
    follow from the bundle are made again without a training.
    Raises: Impossible if a class has lost all its recordings, or if the run or its data cannot be trained on, see
    `classifier.train`; Damaged if a shard is not what was written.
    """
    from tasks.model.bundle.bundle import Bundle  # noqa: PLC0415  # Loads TensorFlow, which only a worker's child may do.
    from tasks.model.training.machine import prepare_devices  # noqa: PLC0415

    run = planned_run(work.database, work.claim.run, work.claim.pipeline_id)
    needed = needed_results(work.database, work.claim.id)
    packs = with_result(needed, PackResult)
    require_every_class(work, run, packs)
    # Only variants need another training: that of the generator, for its synthetic shards.
    synthetic = tuple(file for job in with_result(needed, TrainResult) for file in job.synthetic_shards)
    spec = _spec(work, run, packs, synthetic)
    name = _model_name(run, spec, packs, synthetic)
    previous, is_complete = _previous_result(work, name)
    if previous and is_complete:
        return JobOutput(previous.result, previous.files)
    prepare_devices(run.options.get("device", "auto"), require_gpu=Settings().require_gpu)
    if previous:
        return _with_new_files(work, spec, previous)
    work.ledger.delete_metrics(work.claim)
    checkpoint = checkpoint_of(f"{name}.keras")

    def on_epoch(epoch: int, values: dict[str, float]) -> None:
        work.require_claim()
        work.ledger.write_metrics(work.claim, epoch, values)

    result = _trainer(spec.model)(
        spec, on_epoch, time.perf_counter, _checkpoints(work, checkpoint), work.heartbeat.note_step
    )
    facts = _bundle_facts(work, run, spec, result)
    bundle = _bundle(result, facts)
    digest = content_digest(bundle)
    key = f"{name}-{digest[:16]}.keras"  # Other library versions or processors give other bytes.
    work.require_claim()
    work.store.put(key, bundle)
    counts = _label_counts(pack for pack in packs if pack.subset in _training_subsets(spec.settings))
    files = [OutputFile(key, FileRole.MODEL, len(bundle), digest)]
    trained = TrainResult(
        key=key, sha256=digest, label_counts=counts,
        features=spec.settings.features if _reads_features(spec.model) else None, **_result_fields(result),
    )  # fmt: skip
    if entry(spec.model).is_generator:
        trained, more = _with_synthetic(work, run, spec, trained, result.model)
    else:
        trained, more = _with_files_from_bundle(work, spec, trained, Bundle(result.model, facts))
    files += more
    work.store.remove(checkpoint)
    return JobOutput(trained, tuple(files))


def require_every_class(work: Work, run: PlannedRun, packs: list[FinishedJob[PackResult]]) -> None:
    """Check that no class of the run has lost all its recordings, unless the user allows empty classes.

    Otherwise the network's head would have a class that it cannot recognise. A class that the split leaves out of
    training is not lost: notes of the plan and of the training name it.
    Raises: Impossible with the classes and the reasons.
    """
    if run.options.get("allow_empty_classes"):
        return
    packed = _label_counts(packs)
    empty = [label for number, label in enumerate(run.labels) if not packed[number]]
    lost = lost_classes(work.database, run.id, run.pipeline_id, empty) if empty else {}
    if not lost:
        return
    listed = [
        f"class {label} ({', '.join(f'{n:,} x {words_of(code)}' for code, n in reasons.most_common())})"
        for label, reasons in list(lost.items())[:_CLASSES_LISTED]
    ]
    listed += [f"{len(lost) - _CLASSES_LISTED:,} more"] if len(lost) > _CLASSES_LISTED else []
    raise Impossible(
        f"no recording is left of {', '.join(listed)}; nothing is trained. Replace the recordings, or submit without "
        "these classes, or train on the others: --allow-empty-classes"
    )


def _previous_result(work: Work, name: str) -> tuple[FinishedJob[TrainResult] | None, bool]:
    """Return the earlier run of this job if its inputs are the same and its files, except those made from the bundle,
    are intact.

    The flag tells whether those are intact too; older versions left none.
    """
    found = own_result(work.database, work.claim.id)
    previous = next(iter(with_result([found] if found else [], TrainResult)), None)
    if previous is None or not previous.files or not previous.result.key.startswith(f"{name}-"):
        return None, False
    damaged = {
        file.role for file in previous.files if file.key not in work.store or work.store.digest(file.key) != file.sha256
    }
    return (None if damaged - _FROM_BUNDLE else previous), not damaged


def _with_new_files(work: Work, spec: TrainingSpec, previous: FinishedJob[TrainResult]) -> JobOutput:
    """Make the files that follow from the bundle of a finished training again, because one is lost or damaged."""
    from tasks.model.bundle.bundle import read_bundle  # noqa: PLC0415

    trained, made = _with_files_from_bundle(work, spec, previous.result, read_bundle(local(work, previous.bundle)))
    return JobOutput(trained, (*(file for file in previous.files if file.role not in _FROM_BUNDLE), *made))


def _trainer(model: str) -> Callable[..., TrainedModel]:
    from tasks.model.training import adversarial, classifier  # noqa: PLC0415

    return adversarial.train if entry(model).is_generator else classifier.train


def _with_synthetic(
    work: Work, run: PlannedRun, spec: TrainingSpec, trained: TrainResult, generator: Any
) -> tuple[TrainResult, list[OutputFile]]:
    """Write as many synthetic examples as real ones were trained on; return the result that names them, and shards."""
    from tasks.model.synthesis import synthetic_examples  # noqa: PLC0415
    from tasks.model.training.stream import read_shard_set  # noqa: PLC0415

    examples = synthetic_examples(
        generator, trained.label_counts, read_shard_set(spec.train_shards).shapes, spec.settings.seed
    )
    files = []
    for data in shards(examples, run.split["digest"], run.pipeline_digest):
        work.require_claim()
        digest = content_digest(data)
        files.append(OutputFile(f"shards/{digest[:32]}/synthetic.parquet", FileRole.SYNTHETIC, len(data), digest))
        work.store.put(files[-1].key, data)
    keys, digests = tuple(file.key for file in files), tuple(str(file.sha256) for file in files)
    return replace(trained, synthetic_shards=keys, synthetic_sha256=digests), files


def _checkpoints(work: Work, key: str) -> Checkpoints:
    """Return checkpoints in the store, under a key from which any worker can resume the training."""
    from tasks.model.training.checkpoint import Checkpoints  # noqa: PLC0415

    def save(data: bytes) -> None:
        work.require_claim()
        work.store.put(key, data)
        work.ledger.reset_failure_counts(work.claim)

    return Checkpoints(lambda: work.store.get_unverified(key) if key in work.store else None, save)


def _spec(
    work: Work, run: PlannedRun, packs: list[FinishedJob[PackResult]], synthetic: tuple[OutputFile, ...]
) -> TrainingSpec:
    model = entry(str(work.claim.model))
    if synthetic:
        variants.require_spectrograms_only(model)
    user_settings = run.options.get("training", {})
    # A number of epochs from the user is exact; `most_examples` must not reduce it.
    values = {
        **model.training,
        **({"most_examples": 0} if "epochs" in user_settings else {}),
        **user_settings,
        "seed": work.claim.seed,
    }
    if _reads_features(model.name):
        values["features"] = run.options.get("features", "audio")
    settings = TrainingSettings(**{**values, **variants.changed_training(model, work.claim.variant)})
    subsets = _training_subsets(settings)
    return TrainingSpec(
        model=model.name,
        labels=run.labels,
        train_shards=(*_shards(work, packs, subsets), *(local(work, file) for file in synthetic)),
        valid_shards=_shards(work, packs, {Subset.VALID} - subsets),
        settings=settings,
    )


def _reads_features(model: str) -> bool:
    return "features" in entry(model).inputs


def _training_subsets(settings: TrainingSettings) -> set[Subset]:
    return {Subset.TRAIN} if settings.hold_out else {Subset.TRAIN, Subset.VALID}


def _shards(work: Work, packs: list[FinishedJob[PackResult]], subsets: set[Subset]) -> tuple[StoredFile, ...]:
    return tuple(local(work, file) for pack in packs if pack.subset in subsets for file in pack.shards)


def _label_counts(packs: Iterable[FinishedJob[PackResult]]) -> Counter[int]:
    """Count the real examples of each label, without augmented copies."""
    counts: Counter[int] = Counter()
    for pack in packs:
        counts.update(pack.result.label_counts)
    return counts


def _model_name(
    run: PlannedRun, spec: TrainingSpec, packs: list[FinishedJob[PackResult]], synthetic: tuple[OutputFile, ...]
) -> str:
    """Return the prefix of the keys of the model and its checkpoint, derived from the inputs of the training."""
    made_from: dict[str, Any] = {
        "model": spec.model, "labels": run.labels, "settings": asdict(spec.settings),
        "packs": [(pack.subset, pack.result.key) for pack in packs],
    }  # fmt: skip
    if synthetic:
        made_from["synthetic"] = tuple(file.key for file in synthetic)
    return f"models/{digest_of(made_from)[:32]}/{spec.model}"


def _bundle(result: TrainedModel, facts: BundleFacts) -> bytes:
    from tasks.model.bundle.bundle import write_bundle  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="chorus-") as folder:
        path = Path(folder) / f"{facts.model}.keras"  # Keras selects the format by the suffix.
        write_bundle(path, result.model, facts)
        return path.read_bytes()


def _with_files_from_bundle(
    work: Work, spec: TrainingSpec, trained: TrainResult, bundle: Bundle
) -> tuple[TrainResult, list[OutputFile]]:
    """Store the network that cpu workers predict with, and its validation counts; return the result and both files.

    The bundle is complete without the network, so no error of the conversion ends the training; a note tells it.
    """
    validation = _validation_counts(work, spec, bundle)
    try:
        from tasks.model.export import export_network  # noqa: PLC0415  # Fails if onnx is missing.

        data = export_network(bundle, str(trained.sha256))
    except MemoryError:  # Ends the process; the next attempt continues from the checkpoint.
        raise
    except Exception as error:  # The converter raises errors of any class.
        note = f"the network could not be converted to ONNX, so cpu workers cannot predict with it: {error!s:.500}"
        return replace(trained, notes=(*trained.notes, note)), [validation]
    return trained, [_stored(work, data, FileRole.NETWORK, "networks/{}.onnx"), validation]


def _validation_counts(work: Work, spec: TrainingSpec, bundle: Bundle) -> OutputFile:
    """Store how the network scores the validation subset, from which predictions take their thresholds.

    Without a validation subset it holds no windows.
    """
    from tasks.model.prediction import predictions  # noqa: PLC0415
    from tasks.model.validation_counts import Scored, ValidationCounts  # noqa: PLC0415

    def scored() -> Iterator[Scored]:
        for batch in work.heartbeat.steps(predictions(bundle, spec.valid_shards)):
            work.require_claim()
            yield batch.probabilities, batch.truth

    data = ValidationCounts.of(len(spec.labels), scored()).to_bytes()
    return _stored(work, data, FileRole.VALIDATION, "validation/{}.npz")


def _stored(work: Work, data: bytes, role: FileRole, key: str) -> OutputFile:
    """Store a file under its digest. key: with a place for the digest."""
    digest = content_digest(data)
    file = OutputFile(key.format(digest[:32]), role, len(data), digest)
    work.require_claim()
    work.store.put(file.key, data)
    return file


def _bundle_facts(work: Work, run: PlannedRun, spec: TrainingSpec, result: TrainedModel) -> BundleFacts:
    from tasks.model.bundle.bundle import BundleFacts  # noqa: PLC0415
    from tasks.model.bundle.libraries import library_versions  # noqa: PLC0415

    return BundleFacts(
        model=spec.model, labels=run.labels, preset=run.preset, pipeline_digest=run.pipeline_digest,
        scaling=result.scaling, settings=spec.settings, split_digest=run.split["digest"], fold=work.claim.fold,
        best_epoch=result.best_epoch, versions=library_versions(),
        features=feature_names(spec.settings.features) if _reads_features(spec.model) else (),
    )  # fmt: skip


def _result_fields(result: TrainedModel) -> dict[str, Any]:
    names = (
        "best_epoch", "device", "images_per_s", "epoch_s", "peak_rss_bytes", "parameters", "trainable_parameters",
    )  # fmt: skip
    values = {name: getattr(result, name) for name in names}
    # A training resumed after its last epoch has no times; they are NaN, which JSON lacks.
    known = {name: value for name, value in values.items() if not (isinstance(value, float) and math.isnan(value))}
    return {**known, "notes": tuple(result.notes)}
