"""How good a model was: values that survive JSON, and nothing that computes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from tasks.report.scoring.calibration import ConfidenceBin


@dataclass(frozen=True)
class ClassScore:
    """One class: precision, recall and F1 in 0..1 (0 where undefined), and how many test units truly are of it."""

    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class Confusion:
    """`n` test units of class `truth` were called `predicted`."""

    truth: str
    predicted: str
    n: int


@dataclass(frozen=True)
class Mistake:
    """A recording that was named wrongly, and the mean probability 0..1 its wrong name was given."""

    recording: str
    truth: str
    predicted: str
    confidence: float


@dataclass(frozen=True)
class Scores:
    """The result over units of one kind, chunks or recordings; `metrics` says how each number is made.

    confusion: C x C counts, row = truth, column = predicted, in label order.  classes: one per label, same order.
    accuracy_interval: 95 % bounds.  majority_accuracy and chance_accuracy: what knowing nothing would reach.
    """

    n: int
    accuracy: float
    accuracy_interval: tuple[float, float]
    macro_f1: float
    majority_accuracy: float
    chance_accuracy: float
    classes: tuple[ClassScore, ...]
    confusion: tuple[tuple[int, ...], ...]
    top_confusions: tuple[Confusion, ...]

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """The value whose `asdict` went through JSON. Raises KeyError naming a field that is missing."""
        low, high = fields["accuracy_interval"]
        return cls(
            n=fields["n"],
            accuracy=fields["accuracy"],
            accuracy_interval=(low, high),
            macro_f1=fields["macro_f1"],
            majority_accuracy=fields["majority_accuracy"],
            chance_accuracy=fields["chance_accuracy"],
            classes=tuple(ClassScore(**row) for row in fields["classes"]),
            confusion=tuple(tuple(row) for row in fields["confusion"]),
            top_confusions=tuple(Confusion(**row) for row in fields["top_confusions"]),
        )


@dataclass(frozen=True)
class Evaluation:
    """One trained model judged on one test side, chunk by chunk and recording by recording."""

    labels: tuple[str, ...]
    by_chunk: Scores
    by_recording: Scores
    worst: tuple[Mistake, ...]
    calibration: tuple[ConfidenceBin, ...] = ()

    @property
    def untested(self) -> tuple[str, ...]:
        """The labels without a single test example: nothing is known about them."""
        return tuple(label for label, row in zip(self.labels, self.by_chunk.classes, strict=True) if row.support == 0)

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """The value whose `as_dict` went through JSON. Raises KeyError naming a field that is missing."""
        return cls(
            labels=tuple(fields["labels"]),
            by_chunk=Scores.from_dict(fields["by_chunk"]),
            by_recording=Scores.from_dict(fields["by_recording"]),
            worst=tuple(Mistake(**mistake) for mistake in fields["worst"]),
            calibration=tuple(ConfidenceBin(**each) for each in fields.get("calibration", ())),
        )


@dataclass(frozen=True)
class Spread:
    """A mean over trainings and its sample standard deviation (n - 1), None where one training gives no spread."""

    mean: float
    deviation: float | None


@dataclass(frozen=True)
class MeanScores:
    """One model over its trainings, one a fold and seed: each number is a mean of theirs, never of pooled chunks."""

    n_trainings: int
    accuracy: Spread
    macro_f1: Spread
    recording_accuracy: Spread
    majority_accuracy: Spread
    chance_accuracy: Spread
    recording_majority_accuracy: Spread
    recording_chance_accuracy: Spread
