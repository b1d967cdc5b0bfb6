"""Results of finished jobs, one class for each kind, and the files that a job wrote to the store.

`to_json` and `from_json` are the only code that knows the JSON of the column `job.result`. Its keys never change, so
that results of older homes are read the same way; a key that an older home does not have is None or empty here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any

from domain.states import Kind


class FileRole(StrEnum):
    """The role of a file in the output of a job."""

    SHARD = "shard"
    INDEX = "index"
    MODEL = "model"
    SYNTHETIC = "synthetic"
    EVALUATION = "evaluation"
    OUTCOMES = "outcomes"
    PICTURES = "pictures"
    REPORT = "report"
    CROSSING = "crossing"
    SCORES = "scores"
    NETWORK = "network"
    VALIDATION = "validation"


@dataclass(frozen=True, slots=True)
class OutputFile:
    """A file that a job wrote to the store. Size and digest are None if an older version did not record them."""

    key: str
    role: str
    size_bytes: int | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class PackResult:
    """The shards of one part.

    key: prefix of the keys of shards and index.  sha256: of each shard.
    label_counts: number of the label -> examples that are no augmented copies.  index_sha256: of the index's file.
    revision: of the shards' format; 0 for those of versions that did not record it.
    """

    key: str
    shards: tuple[str, ...] = ()
    sha256: tuple[str, ...] = ()
    n_examples: int = 0
    label_counts: Mapping[int, int] = field(default_factory=dict)
    index_sha256: str | None = None
    revision: int = 0


@dataclass(frozen=True)
class TrainResult:
    """One trained model.

    key, sha256: of its bundle.  synthetic_shards: a generator's examples; None for a classifier.
    label_counts: number of the label -> real examples trained on.  features: the set the model reads, if it reads any.
    images_per_s, epoch_s: None if no epoch was left to train.
    """

    key: str
    sha256: str | None = None
    synthetic_shards: tuple[str, ...] | None = None
    synthetic_sha256: tuple[str, ...] | None = None
    label_counts: Mapping[int, int] = field(default_factory=dict)
    features: str | None = None
    best_epoch: int | None = None
    device: str | None = None
    images_per_s: float | None = None
    epoch_s: float | None = None
    peak_rss_bytes: int | None = None
    parameters: int | None = None
    trainable_parameters: int | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class EvaluateResult:
    """One evaluation. outcomes_key: a classifier's, group by group; pictures_key: a generator's; figures by name."""

    key: str
    outcomes_key: str | None = None
    pictures_key: str | None = None
    device: str | None = None
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class RenderResult:
    """One report. crossing_key: the csv of the recordings that cross the split; None if none does."""

    key: str
    crossing_key: str | None = None


@dataclass(frozen=True)
class CollectResult:
    """The scores of a prediction. key: of the file that holds them all.  sha256: of that file."""

    key: str
    sha256: str
    n_recordings: int = 0
    n_windows: int = 0


JobResult = PackResult | TrainResult | EvaluateResult | RenderResult | CollectResult


@dataclass(frozen=True)
class JobOutput:
    """The output of a finished job: its result, and its files in the store."""

    result: JobResult
    files: tuple[OutputFile, ...]

    @property
    def device(self) -> str | None:
        """The device that the job used; None for jobs that use none."""
        return getattr(self.result, "device", None)


_CLASSES: dict[str, type[JobResult]] = {
    Kind.PACK: PackResult,
    Kind.TRAIN: TrainResult,
    Kind.EVALUATE: EvaluateResult,
    Kind.RENDER: RenderResult,
    Kind.COLLECT: CollectResult,
}


def to_json(result: JobResult) -> dict[str, Any]:
    """Return the JSON form of a result, for the ledger; values that are None have no key.

    >>> to_json(EvaluateResult("evaluations/1.json", device="CPU", figures={"accuracy": 0.5}))
    {'key': 'evaluations/1.json', 'device': 'CPU', 'accuracy': 0.5}
    """
    values: dict[str, Any] = {each.name: getattr(result, each.name) for each in fields(result)}
    figures = values.pop("figures", {})
    return {name: _written(value) for name, value in values.items() if value is not None} | dict(figures)


def from_json(kind: str, values: Mapping[str, Any]) -> JobResult | None:
    """Return the result that `to_json` wrote, in this or an older version; None if the job was never done.

    >>> from_json("pack", {"key": "shards/1", "shards": ["shards/1/0"], "label_counts": {"0": 4}}).label_counts
    {0: 4}
    """
    if not values:
        return None
    made = _CLASSES[kind]
    names = {each.name for each in fields(made)}
    known = {name: _read(value) for name, value in values.items() if name in names}
    if made is EvaluateResult:
        known["figures"] = {name: value for name, value in values.items() if name not in names}
    return made(**known)


def _written(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    return {str(number): n for number, n in sorted(value.items())} if isinstance(value, Mapping) else value


def _read(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(value)
    return {int(number): n for number, n in value.items()} if isinstance(value, dict) else value
