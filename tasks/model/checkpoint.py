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

Arrays = list[NDArray[Any]]

SCHEMA = "dawn-chorus checkpoint 1"


@dataclass
class Progress:
    """All that the rest of a training depends on, beside its specification.

    history: see `tasks.model.course.History`.  variables: of the network, its random states among them, then of the
    optimizer.  best: the network's weights after the best epoch; empty while that is the last one.
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


def taken(model: Any) -> Arrays:
    """The variables of a compiled keras.Model and of its optimizer, as they are."""
    return [np.array(variable) for variable in _variables(model)]


def put_back(model: Any, variables: Sequence[NDArray[Any]]) -> None:
    """What `taken` gave, into a model compiled in the same way."""
    for variable, value in zip(_variables(model), variables, strict=True):
        variable.assign(value)


def _variables(model: Any) -> list[Any]:
    if not model.optimizer.built:  # one that scales the loss for 16 bits would make its variables anew
        model.optimizer.build(model.trainable_variables)
    return [*model.variables, *model.optimizer.variables]


def packed(progress: Progress) -> bytes:
    """The progress as an .npz without pickle."""
    held = io.BytesIO()
    named = {
        f"{name}-{at}": array for name in ("variables", "best") for at, array in enumerate(getattr(progress, name))
    }
    facts = json.dumps({"schema": SCHEMA, "history": progress.history})
    np.savez(held, allow_pickle=False, facts=np.array(facts), **named)
    return held.getvalue()


def unpacked(data: bytes) -> Progress | None:
    """The progress in these bytes; None where they are cut short, damaged or of another schema.

    Nothing is lost with a checkpoint but time: the training begins again.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as held:
            facts = json.loads(str(held["facts"]))
            if facts["schema"] != SCHEMA:
                return None
            return Progress(facts["history"], *(_numbered(held, name) for name in ("variables", "best")))
    except (ValueError, KeyError, TypeError, OSError, EOFError, zipfile.BadZipFile):
        return None


def _numbered(held: Any, name: str) -> Arrays:
    n = sum(key.startswith(f"{name}-") for key in held.files)
    return [held[f"{name}-{at}"] for at in range(n)]
