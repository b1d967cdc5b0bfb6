"""A trained network with all that is needed to use it: one .keras file that plain Keras can open too."""

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
_OF_THE_MACHINE = (MemoryError, tf.errors.ResourceExhaustedError, tf.errors.InternalError, tf.errors.UnknownError)


@dataclass(frozen=True)
class BundleFacts:
    """What a network is without its weights. It holds no time and no speed, so equal trainings have equal facts.

    model: its name in the zoo.  labels: the classes in the order of the network's outputs.
    preset: the preprocessing parameters as plain JSON values; with `pipeline_digest` they say which spectrograms
    this network understands.  scaling: how its inputs are made of them.
    features: the names of the numbers it reads beside a spectrogram, in their order; empty where it reads none.
    split_digest, fold: which examples were left out of the training.  versions: see `libraries.library_versions`.
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

    @property
    def seed(self) -> int:
        """The seed it was trained with."""
        return self.settings.seed


@dataclass(frozen=True)
class Bundle:
    """A network ready to predict, and its facts."""

    model: Any
    facts: BundleFacts

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes in the order of the network's outputs."""
        return self.facts.labels

    @property
    def preset(self) -> Mapping[str, Any]:
        """The preprocessing parameters."""
        return self.facts.preset

    @property
    def pipeline_digest(self) -> str:
        """The pipeline whose spectrograms it was trained on."""
        return self.facts.pipeline_digest

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of its inputs, in the network's own order."""
        return tuple(tensor.name for tensor in self.model.inputs)

    @property
    def is_generator(self) -> bool:
        """Whether it makes pictures of a class instead of naming them."""
        return "class" in self.inputs

    @property
    def n_classes(self) -> int:
        """How many classes the network knows, by its own shape."""
        classes = self.model.inputs[self.inputs.index("class")] if self.is_generator else self.model.outputs[0]
        return int(classes.shape[-1])


def write_bundle(path: Path, model: Any, facts: BundleFacts) -> None:
    """Writes a bundle; the same weights and facts give the same bytes, in any process and at any time.

    model: a keras.Model, as `train` returns it.  path: where to; what is there is replaced.
    """
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        plain = Path(folder) / "plain.keras"
        _released(model).save(plain)
        with zipfile.ZipFile(plain) as saved:
            members = {name: saved.read(name) for name in saved.namelist()}
    facts_json = archive.canonical({"schema": SCHEMA, **asdict(facts)})
    path.write_bytes(archive.packed(archive.without_circumstances({**members, archive.FACTS: facts_json})))


def _released(model: Any) -> Any:
    """The same network as it will be when it is read.

    It has no optimizer, whose moments would triple the file, and its objects are not shared: Keras would write down
    their addresses in memory.
    """
    released = keras.Model.from_config(model.get_config())
    released.set_weights(model.get_weights())
    return released


def read_bundle(source: Path | StoredFile) -> Bundle:
    """Return the bundle in a file; no code stored in it is ever run.

    source: a file of the store, which is verified as it is read; or the path of a bundle from elsewhere, of which
    nothing is believed.
    Raises: Damaged, where the store's file is not what was written; BundleError, naming the file, where it is cut
    short, damaged, compressed, of another schema, larger than its weights, or not a bundle at all; MemoryError and
    TensorFlow's errors of a device where the machine is at fault.
    """
    name = source.key if isinstance(source, StoredFile) else source
    try:
        if isinstance(source, StoredFile):
            return _understood(source.read(), is_ours=True)
        archive.require_size(source.stat().st_size)
        return _understood(source.read_bytes(), is_ours=False)
    except BundleError as error:
        raise BundleError(f"{name}: {error}") from error


def _understood(content: bytes, *, is_ours: bool) -> Bundle:
    members = archive.unpacked(content)
    facts = _facts(members.pop(archive.FACTS))
    bundle, n_classes = _network(members, facts, is_ours=is_ours)
    if n_classes != len(facts.labels):
        raise BundleError(f"the network tells {n_classes} classes apart and {len(facts.labels)} are named")
    _require_features(facts)
    return bundle


def _require_features(facts: BundleFacts) -> None:
    made = feature_names(facts.scaling.features)
    if facts.features and facts.features != made:
        raise BundleError(
            f"the network reads the features {', '.join(facts.features)}, and {', '.join(made)} are made here; "
            "train anew"
        )


def _facts(content: bytes) -> BundleFacts:
    try:
        values = json.loads(content)
        if (schema := values.pop("schema")) != SCHEMA:
            raise BundleError(f"the bundle's schema is {schema!r} and only {SCHEMA!r} is read here; train anew")
        values["labels"] = tuple(str(label) for label in values["labels"])
        values["features"] = tuple(str(name) for name in values.get("features", ()))
        values["scaling"] = Scaling(**{name: _frozen(value) for name, value in values["scaling"].items()})
        values["settings"] = TrainingSettings(**values["settings"])
        return BundleFacts(**values)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError, Impossible) as error:
        raise BundleError(f"the bundle's facts cannot be understood: {error!r}; train anew") from error


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _network(members: Mapping[str, bytes], facts: BundleFacts, *, is_ours: bool) -> tuple[Bundle, int]:
    """The bundle, and how many classes its network tells apart."""
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "plain.keras"
        plain.write_bytes(archive.packed(members))
        with _refusing():
            if not is_ours:
                require_fitting(members[archive.CONFIG], members[archive.WEIGHTS])
            bundle = Bundle(keras.saving.load_model(plain, compile=False, safe_mode=True), facts)
            return bundle, bundle.n_classes


@contextlib.contextmanager
def _refusing() -> Iterator[None]:
    """Whatever is raised for a network from elsewhere becomes a BundleError, unless the machine is at fault.

    Keras builds what it finds written down, so a wrong word may raise anything anywhere in it.
    """
    try:
        yield
    except (BundleError, *_OF_THE_MACHINE):
        raise
    except Exception as error:
        raise BundleError(f"Keras cannot open the network: {error!s:.1000}; train anew") from error
