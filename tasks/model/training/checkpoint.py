"""Serialise the state of a training after an epoch, so that another process can resume it without any difference."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from domain.digests import content_digest
from tasks.model.bundle.libraries import library_versions

Arrays = list[NDArray[Any]]

SCHEMA = "dawn-chorus checkpoint 2"
_DIGEST_BYTES = 64
_ZIP_END_BYTES, _NO_COMMENT = 22, b"\0\0"


@dataclass
class Progress:
    """The state that the rest of a training depends on, besides its specification.

    history: see `tasks.model.training.schedule.History`.  variables: those of the network, including its random states,
    then those of the optimizer.  best: the weights of the network after the best epoch; empty for generators and before
    the first epoch.
    """

    history: list[dict[str, float]] = field(default_factory=list)
    variables: Arrays = field(default_factory=list)
    best: Arrays = field(default_factory=list)


@dataclass(frozen=True)
class Checkpoints:
    """Storage for the progress of one training.

    load: returns the latest checkpoint, or None.  save: replaces it.
    """

    load: Callable[[], bytes | None]
    save: Callable[[bytes], None]


NO_CHECKPOINTS = Checkpoints(lambda: None, lambda _data: None)


def variables_of(model: Any) -> list[Any]:
    """Return the variables of a compiled keras.Model, including its random states, then those of its optimizer."""
    if not model.optimizer.built:  # Building a loss-scaling optimizer twice would recreate its variables.
        model.optimizer.build(model.trainable_variables)
    return [*model.variables, *model.optimizer.variables]


def restore_progress(checkpoints: Checkpoints, variables: Sequence[Any]) -> Progress | None:
    """Load the checkpoint and assign its values to these Keras variables.

    variables: in the order in which they were saved.
    Returns None and assigns nothing if there is no usable checkpoint or its shapes differ; the training then starts
    from the beginning. Shapes differ after mixed-precision training on another machine, or in another version.
    """
    data = checkpoints.load()
    progress = decode_progress(data) if data else None
    if progress is None or [value.shape for value in progress.variables] != [tuple(each.shape) for each in variables]:
        return None
    for variable, value in zip(variables, progress.variables, strict=True):
        variable.assign(value)
    return progress


def encode_progress(progress: Progress) -> bytes:
    """Serialise the progress as .npz, without pickle, with its digest (see `_with_digest`)."""
    buffer = io.BytesIO()
    arrays = {
        f"{name}-{at}": array for name in ("variables", "best") for at, array in enumerate(getattr(progress, name))
    }
    facts = json.dumps({"schema": SCHEMA, "versions": library_versions(), "history": progress.history})
    np.savez(buffer, allow_pickle=False, facts=np.array(facts), **arrays)
    return _with_digest(buffer.getvalue())


def _with_digest(archive: bytes) -> bytes:
    """Return the zip archive with the SHA-256 of its content as its comment; it remains a zip archive.

    A checkpoint carries its own digest because no ledger row records it.
    """
    content = archive[: -len(_NO_COMMENT)] + _DIGEST_BYTES.to_bytes(len(_NO_COMMENT), "little")
    return content + content_digest(content).encode()


def _is_whole(data: bytes) -> bool:
    """Return True if the digest at the end matches; checkpoints of older versions have only the zip's own checksums."""
    content, digest = data[:-_DIGEST_BYTES], data[-_DIGEST_BYTES:]
    is_older = data[-_ZIP_END_BYTES:].startswith(b"PK\5\6") and data.endswith(_NO_COMMENT)
    return is_older or content_digest(content).encode() == digest


def decode_progress(data: bytes) -> Progress | None:
    """Deserialise a checkpoint.

    Returns None if the data are damaged, of another schema, or of other library versions. The training then
    starts from the beginning: weights trained partly with another TensorFlow version would not be reproducible.
    """
    if not _is_whole(data):
        return None
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            facts = json.loads(str(archive["facts"]))
            if (facts["schema"], facts["versions"]) != (SCHEMA, library_versions()):
                return None
            return Progress(facts["history"], *(_numbered_arrays(archive, name) for name in ("variables", "best")))
    except (ValueError, KeyError, TypeError, OSError, EOFError, zipfile.BadZipFile):
        return None


def _numbered_arrays(archive: Any, name: str) -> Arrays:
    n = sum(key.startswith(f"{name}-") for key in archive.files)
    return [archive[f"{name}-{at}"] for at in range(n)]
