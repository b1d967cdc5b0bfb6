"""A training between two epochs, as bytes: another process goes on from them as if nothing had happened."""

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
    """All that the rest of a training depends on, beside its specification.

    history: see `tasks.model.training.schedule.History`.  variables: of the network, its random states
    among them, then of the optimizer.  best: the network's weights after the best epoch; empty while
    that is the last one.
    """

    history: list[dict[str, float]] = field(default_factory=list)
    variables: Arrays = field(default_factory=list)
    best: Arrays = field(default_factory=list)


@dataclass(frozen=True)
class Checkpoints:
    """Where a training's progress is kept. load: the bytes kept last, or None.  save: keeps these in their place."""

    load: Callable[[], bytes | None]
    save: Callable[[bytes], None]


NOWHERE = Checkpoints(lambda: None, lambda _data: None)


def variables_of(model: Any) -> list[Any]:
    """The variables of a compiled keras.Model, its random states among them, then of its optimizer."""
    if not model.optimizer.built:  # one that scales the loss for 16 bits would make its variables anew
        model.optimizer.build(model.trainable_variables)
    return [*model.variables, *model.optimizer.variables]


def restored(checkpoints: Checkpoints, variables: Sequence[Any]) -> Progress | None:
    """The progress that was kept, put back into these variables; None, and nothing is put, where it does not fit them.

    variables: Keras' own, in the order in which the values were taken.  A machine that computes in 16 bits has others,
    and so may the networks of another version: then, as with damaged bytes, the training begins again.
    """
    data = checkpoints.load()
    found = unpacked(data) if data else None
    if found is None or [value.shape for value in found.variables] != [tuple(each.shape) for each in variables]:
        return None
    for variable, value in zip(variables, found.variables, strict=True):
        variable.assign(value)
    return found


def packed(progress: Progress) -> bytes:
    """Return the progress as an .npz without pickle, sealed: see `_sealed`."""
    held = io.BytesIO()
    named = {
        f"{name}-{at}": array for name in ("variables", "best") for at, array in enumerate(getattr(progress, name))
    }
    facts = json.dumps({"schema": SCHEMA, "versions": library_versions(), "history": progress.history})
    np.savez(held, allow_pickle=False, facts=np.array(facts), **named)
    return _sealed(held.getvalue())


def _sealed(archive: bytes) -> bytes:
    """Return the zip archive with the SHA-256 of all that stands before it as its comment.

    No ledger row records a checkpoint, so it carries its own digest; it is a zip archive still.
    """
    content = archive[: -len(_NO_COMMENT)] + _DIGEST_BYTES.to_bytes(len(_NO_COMMENT), "little")
    return content + content_digest(content).encode()


def _is_whole(data: bytes) -> bool:
    """Whether the digest at the end fits; checkpoints of older versions have none, and only a zip's own checksums."""
    content, digest = data[:-_DIGEST_BYTES], data[-_DIGEST_BYTES:]
    is_older = data[-_ZIP_END_BYTES:].startswith(b"PK\5\6") and data.endswith(_NO_COMMENT)
    return is_older or content_digest(content).encode() == digest


def unpacked(data: bytes) -> Progress | None:
    """Return the progress in these bytes; None where they changed, or are of another schema or of other libraries.

    Nothing is lost with a checkpoint but time: the training begins again. Weights that two versions of TensorFlow made
    between them would be those of no undisturbed training.
    """
    if not _is_whole(data):
        return None
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as held:
            facts = json.loads(str(held["facts"]))
            if (facts["schema"], facts["versions"]) != (SCHEMA, library_versions()):
                return None
            return Progress(facts["history"], *(_numbered(held, name) for name in ("variables", "best")))
    except (ValueError, KeyError, TypeError, OSError, EOFError, zipfile.BadZipFile):
        return None


def _numbered(held: Any, name: str) -> Arrays:
    n = sum(key.startswith(f"{name}-") for key in held.files)
    return [held[f"{name}-{at}"] for at in range(n)]
