"""What is there, what is asked -> what is to do. Pure: values in, values out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from domain.digests import Digest, number_of
from domain.subsets import Subset
from domain.work import PlannedItem

WORK_S_A_SECOND = 0.0012
"""Estimated seconds of one core a second of audio takes."""
WORK_S_A_FILE = 0.003
UNKNOWN_DURATION_S = 30.0
"""Taken for a recording whose length is not known."""


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
    ablate: tuple[str, ...] = ()
    device: str = "auto"
    features: str = "audio"

    def as_dict(self) -> dict[str, Any]:
        """The JSON form, kept with the run."""
        return {
            **self.__dict__, "models": list(self.models), "seeds": list(self.seeds), "ablate": list(self.ablate),
        }  # fmt: skip


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


def split_digest(method: str, seed: int, placed: Iterable[Placed]) -> str:
    """What names a split: how it was made, and where every recording stands."""
    named = Digest([method, seed])
    for recording in placed:
        named.add([recording.identity, recording.label, recording.fold, recording.side])
    return named.hex()


def items(placed: Iterable[Placed], split: str, copies: int, span_s: float) -> Iterator[PlannedItem]:
    """Every span once, and `copies` augmented times where the recording may be trained on."""
    for recording in placed:
        n_copies = 1 + (copies if recording.side == Subset.TRAIN else 0)
        for span in range(recording.n_spans):
            rest_s = max((recording.duration_s or UNKNOWN_DURATION_S) - span * span_s, 0.0)
            work_s = WORK_S_A_FILE + WORK_S_A_SECOND * min(rest_s, span_s)
            for copy in range(n_copies):
                yield PlannedItem(
                    recording_id=recording.id, span=span, copy=copy, fold=recording.fold, side=recording.side,
                    group_name=recording.group, order_key=_order_key(split, recording, span, copy), work_s=work_s,
                )  # fmt: skip


def _order_key(split: str, recording: Placed, span: int, copy: int) -> int:
    """A place in the packed order that follows from the split and the recording, not from who came first."""
    return number_of([split, recording.order, span, copy])
