"""Read and write bundles: .keras files with added facts, which plain Keras can open too."""

from __future__ import annotations

import contextlib
import json
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from domain.errors import Impossible
from domain.stored_file import StoredFile
from tasks.model.bundle import archive
from tasks.model.bundle.archive import BundleError
from tasks.model.bundle.capacity import require_fitting
from tasks.model.inputs import Scaling, feature_names
from tasks.model.spec import TrainingSettings

__all__ = ["Bundle", "BundleError", "BundleFacts", "read_bundle", "write_bundle"]

SCHEMA = "dawn-chorus bundle 1"
_MACHINE_ERRORS = (MemoryError, tf.errors.ResourceExhaustedError, tf.errors.InternalError, tf.errors.UnknownError)


@dataclass(frozen=True)
class BundleFacts:
    """Everything about a network except its weights.

    Times and speeds are excluded, so that equal trainings have equal facts.

    model: its name in the zoo.  labels: the classes in the order of the network's outputs.
    preset: the preprocessing parameters as plain JSON values; with `pipeline_digest` they identify the spectrograms
    that the network can read.  scaling: of its inputs.
    features: the names of the features that it reads, in order; empty if it reads none.
    split_digest, fold: identify the examples that were excluded from the training.
    versions: see `libraries.library_versions`.
    """

    model: str
    labels: tuple[str, ...]
    preset: Mapping[str, Any]
    pipeline_digest: str
    scaling: Scaling
    settings: TrainingSettings
    split_digest: str
    fold: int | None = None
    best_epoch: int | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    features: tuple[str, ...] = ()


@dataclass(frozen=True)
class Bundle:
    """A trained network and its facts.

    model: a keras.Model, not compiled.
    """

    model: Any
    facts: BundleFacts

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of the network's inputs, in order."""
        return tuple(tensor.name for tensor in self.model.inputs)

    @property
    def is_generator(self) -> bool:
        """True if the network generates spectrograms of a given class; False for a classifier."""
        return "class" in self.inputs

    @property
    def n_classes(self) -> int:
        """The number of classes, from the network's shape."""
        classes = self.model.inputs[self.inputs.index("class")] if self.is_generator else self.model.outputs[0]
        return int(classes.shape[-1])


def write_bundle(path: Path, model: Any, facts: BundleFacts) -> None:
    """Write a bundle; equal weights and facts give equal bytes, in any process and at any time.

    path: the file to write or replace.  model: a keras.Model from `train`.
    """
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        plain = Path(folder) / "plain.keras"
        inference_copy(model).save(plain)
        with zipfile.ZipFile(plain) as saved:
            members = {name: saved.read(name) for name in saved.namelist()}
    facts_json = archive.canonical({"schema": SCHEMA, **asdict(facts)})
    path.write_bytes(archive.pack(archive.reproducible({**members, archive.FACTS: facts_json})))


def inference_copy(model: Any) -> Any:
    """Return a copy without the optimizer and without shared objects.

    The moments of the optimizer would triple the size of the file. For shared objects Keras writes memory addresses,
    which differ between processes.
    """
    copy = keras.Model.from_config(model.get_config())
    copy.set_weights(model.get_weights())
    return copy


def read_bundle(source: Path | StoredFile) -> Bundle:
    """Read a bundle from a file without running code stored in it.

    source: a file of the store, which is verified by its digest; or the path of a bundle from elsewhere, which is
    untrusted and checked completely.
    Raises: Damaged if the file of the store is not what was written; BundleError, with the name of the file, if it is
    truncated, damaged, compressed, of another schema, larger than its weights, or not a bundle; MemoryError and device
    errors of TensorFlow if the machine is at fault.
    """
    name = source.key if isinstance(source, StoredFile) else source
    try:
        if isinstance(source, StoredFile):
            return _parse(source.read(), is_ours=True)
        archive.require_size(source.stat().st_size)
        return _parse(source.read_bytes(), is_ours=False)
    except BundleError as error:
        raise BundleError(f"{name}: {error}") from error


def _parse(content: bytes, *, is_ours: bool) -> Bundle:
    members = archive.unpack(content)
    facts = _facts(members.pop(archive.FACTS))
    bundle, n_classes = _network(members, facts, is_ours=is_ours)
    if n_classes != len(facts.labels):
        raise BundleError(
            f"the network has {n_classes} classes, but the bundle names {len(facts.labels)}; train the model again"
        )
    _require_features(facts)
    return bundle


def _require_features(facts: BundleFacts) -> None:
    available = feature_names(facts.scaling.features)
    if facts.features and facts.features != available:
        raise BundleError(
            f"the network reads the features {', '.join(facts.features)}, but this version computes "
            f"{', '.join(available)}; train the model again"
        )


def _facts(content: bytes) -> BundleFacts:
    try:
        values = json.loads(content)
        if (schema := values.pop("schema")) != SCHEMA:
            raise BundleError(
                f"the bundle has the schema {schema!r}, but only {SCHEMA!r} can be read; train the model again"
            )
        values["labels"] = tuple(str(label) for label in values["labels"])
        values["features"] = tuple(str(name) for name in values.get("features", ()))
        values["scaling"] = Scaling(**{name: _frozen(value) for name, value in values["scaling"].items()})
        values["settings"] = TrainingSettings(**values["settings"])
        return BundleFacts(**values)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError, Impossible) as error:
        raise BundleError(f"the bundle's facts cannot be parsed: {error!r}; train the model again") from error


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _network(members: Mapping[str, bytes], facts: BundleFacts, *, is_ours: bool) -> tuple[Bundle, int]:
    """Return the bundle and the number of classes of its network."""
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "plain.keras"
        plain.write_bytes(archive.pack(members))
        with _as_bundle_error():
            if not is_ours:
                require_fitting(members[archive.CONFIG], members[archive.WEIGHTS])
            bundle = Bundle(keras.saving.load_model(plain, compile=False, safe_mode=True), facts)
            return bundle, bundle.n_classes


@contextlib.contextmanager
def _as_bundle_error() -> Iterator[None]:
    """Turn any exception into a BundleError unless the machine is at fault.

    Keras builds objects from the names in the file, so a wrong name can raise any exception.
    """
    try:
        yield
    except (BundleError, *_MACHINE_ERRORS):
        raise
    except Exception as error:
        raise BundleError(f"Keras cannot open the network: {error!s:.1000}; train the model again") from error
