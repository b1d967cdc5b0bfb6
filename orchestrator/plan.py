"""What is there, what is asked -> what is to do. Pure: values in, values out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from tasks.dataset import leaky

WORK_S_A_SECOND = 0.0012
"""Estimated seconds of one core a second of audio takes."""
WORK_S_A_FILE = 0.003
UNKNOWN_DURATION_S = 30.0
"""Taken for a recording whose length is not known."""
TRAIN, VALID, TEST = 0, 1, 2
HOLDOUT = -1
"""The fold of everything when there are no folds."""


@dataclass(frozen=True)
class Request:
    """What a person asks for."""

    models: tuple[str, ...] = ("cnn",)
    seeds: tuple[int, ...] = (0,)
    n_folds: int | None = None
    split_seed: int = 0
    until: str = "all"
    preset: str | None = None
    training: dict[str, Any] = field(default_factory=dict)
    trust_csv: bool = False
    leak_meter: bool = False

    def as_dict(self) -> dict[str, Any]:
        """The JSON form, kept with the run."""
        return {**self.__dict__, "models": list(self.models), "seeds": list(self.seeds)}


class Placed(NamedTuple):
    """One recording and where the split put it.

    identity: what copies have in common.  order: 64 bits that are its own.  duration_s: 0 where it is not known.
    """

    id: int
    identity: str
    order: int
    label: str
    group: str
    fold: int
    side: int
    n_spans: int
    duration_s: float


class PlannedItem(NamedTuple):
    """One span to preprocess."""

    recording_id: int
    span: int
    copy: int
    fold: int
    side: int
    group_name: str
    order_key: int
    work_s: float


@dataclass(frozen=True)
class PlannedJob:
    """One job; `needs` are positions in the list of jobs, `preset` is one among the presets of the run."""

    kind: str
    model: str | None = None
    seed: int | None = None
    fold: int | None = None
    side: int | None = None
    needs: tuple[int, ...] = ()
    even_failed: bool = False
    preset: int = 0


def split_digest(method: str, seed: int, placed: Iterable[Placed]) -> str:
    """What names a split: how it was made, and where every recording stands."""
    digest = hashlib.sha256(f"{method}|{seed}".encode())
    for recording in placed:
        digest.update(f"\n{recording.identity}|{recording.label}|{recording.fold}|{recording.side}".encode())
    return digest.hexdigest()


def items(placed: Iterable[Placed], split: str, copies: int, span_s: float) -> Iterator[PlannedItem]:
    """Every span once, and `copies` augmented times where the recording may be trained on."""
    for recording in placed:
        n_copies = 1 + (copies if recording.side == TRAIN else 0)
        for span in range(recording.n_spans):
            rest_s = max((recording.duration_s or UNKNOWN_DURATION_S) - span * span_s, 0.0)
            work_s = WORK_S_A_FILE + WORK_S_A_SECOND * min(rest_s, span_s)
            for copy in range(n_copies):
                yield PlannedItem(
                    recording.id, span, copy, recording.fold, recording.side, recording.group,
                    _order_key(split, recording, span, copy), work_s,
                )  # fmt: skip


def _order_key(split: str, recording: Placed, span: int, copy: int) -> int:
    """A place in the packed order that follows from the split and the recording, not from who came first."""
    named = f"{split}|{recording.order}|{span}|{copy}".encode()
    return int.from_bytes(hashlib.sha256(named).digest()[:8], "big", signed=True)


def jobs(request: Request, parts: Iterable[tuple[int, int]], presets: Mapping[str, int]) -> list[PlannedJob]:
    """The jobs of a run, each after those it needs.

    parts: the (fold, side) pairs that hold recordings. For every preset every part is packed once; each fold's
    training takes the parts of the other folds, its judging its own.
    presets: model -> number of its preset.
    """
    if request.until == "preprocess":
        return []
    ordered = sorted(set(parts))
    numbers = sorted(set(presets.values()))
    planned = [PlannedJob("pack", fold=fold, side=side, preset=preset) for preset in numbers for fold, side in ordered]
    if request.until == "pack":
        return planned
    first = {preset: at * len(ordered) for at, preset in enumerate(numbers)}
    for fold in sorted({fold for fold, _ in ordered}):
        seen, unseen = _sides_of(ordered, fold)
        for model in request.models:
            start = first[presets[model]]
            needs = [start + at for at in seen], [start + at for at in unseen]
            for seed in request.seeds:
                training = PlannedJob("train", model, seed, fold, preset=presets[model])
                planned += _judged(request, training, needs, len(planned))
    if request.until == "all":
        planned += _leaky_jobs(request, presets, len(planned)) if request.leak_meter else []
        planned.append(PlannedJob("render", needs=tuple(range(len(planned))), even_failed=True))
    return planned


def _judged(
    request: Request, training: PlannedJob, needs: tuple[Sequence[int], Sequence[int]], at: int
) -> list[PlannedJob]:
    """A training, and its judging where that is wanted.

    needs: the packs it learns from, and those it is judged on.  at: jobs planned before these.
    """
    trained = replace(training, needs=tuple(needs[0]))
    return [trained, replace(training, kind="evaluate", needs=(at, *needs[1]))] if request.until == "all" else [trained]


def _leaky_jobs(request: Request, presets: Mapping[str, int], at: int) -> list[PlannedJob]:
    """Every model once more, with its first seed, on chunks shuffled over the sides; at: jobs planned before these."""
    numbers, sides = sorted(set(presets.values())), (TRAIN, VALID, TEST)
    planned = [PlannedJob("pack", fold=leaky.FOLD, side=side, preset=preset) for preset in numbers for side in sides]
    for model in request.models:
        start = at + numbers.index(presets[model]) * len(sides)
        training = PlannedJob("train", model, request.seeds[0], leaky.FOLD, preset=presets[model])
        needs = (start + TRAIN, start + VALID), (start + TEST,)
        planned += _judged(request, training, needs, at + len(planned))
    return planned


def _sides_of(parts: Sequence[tuple[int, int]], fold: int) -> tuple[list[int], list[int]]:
    """The places of the parts that this fold's training may see, and of those its judging is done on."""
    is_unseen = [side == TEST if fold == HOLDOUT else other == fold for other, side in parts]
    return [at for at, is_it in enumerate(is_unseen) if not is_it], [at for at, is_it in enumerate(is_unseen) if is_it]
