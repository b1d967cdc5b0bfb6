"""Scores as values with a JSON form; `classification` computes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, Self

from tasks.report.scoring.calibration import ConfidenceBin

DENSE_CLASSES = 200
"""Up to this number of classes, the JSON form holds the whole confusion matrix. It grows with the square of them."""


class ConfusionCells(NamedTuple):
    """The cells of a confusion matrix that are not 0, by row and column: class numbers, and counts."""

    truth: tuple[int, ...]
    predicted: tuple[int, ...]
    n: tuple[int, ...]


@dataclass(frozen=True)
class ClassScore:
    """One class: precision, recall and F1 in 0..1 (0 if undefined), and the number of test units of the class."""

    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class Confusion:
    """`n` test units of class `truth` were predicted as `predicted`."""

    truth: str
    predicted: str
    n: int


@dataclass(frozen=True)
class Misclassification:
    """A misclassified recording, and the mean probability, 0..1, of the predicted class."""

    recording: str
    truth: str
    predicted: str
    confidence: float


@dataclass(frozen=True)
class Scores:
    """Scores over chunks or over recordings; `classification` defines each number.

    classes: one per label, in label order.  cells: the confusions, of the same class numbers.
    accuracy_interval: 95 % bounds.  majority_accuracy, chance_accuracy: baselines without a model.
    """

    n: int
    accuracy: float
    accuracy_interval: tuple[float, float]
    macro_f1: float
    majority_accuracy: float
    chance_accuracy: float
    classes: tuple[ClassScore, ...]
    cells: ConfusionCells
    top_confusions: tuple[Confusion, ...]

    @property
    def confusion(self) -> tuple[tuple[int, ...], ...]:
        """The whole matrix: (C, C) counts, row = truth, column = predicted, in label order."""
        rows = [[0] * len(self.classes) for _ in self.classes]
        for truth, predicted, n in zip(*self.cells, strict=True):
            rows[truth][predicted] = n
        return tuple(map(tuple, rows))

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """Return the value from its JSON form, with the whole confusion matrix or with its cells.

        Raises: KeyError if a field is missing.
        """
        low, high = fields["accuracy_interval"]
        return cls(
            n=fields["n"],
            accuracy=fields["accuracy"],
            accuracy_interval=(low, high),
            macro_f1=fields["macro_f1"],
            majority_accuracy=fields["majority_accuracy"],
            chance_accuracy=fields["chance_accuracy"],
            classes=tuple(ClassScore(**row) for row in fields["classes"]),
            cells=ConfusionCells(*map(tuple, fields["cells"])) if "cells" in fields else _cells(fields["confusion"]),
            top_confusions=tuple(Confusion(**row) for row in fields["top_confusions"]),
        )


def _cells(confusion: Sequence[Sequence[int]]) -> ConfusionCells:
    found = [(row, column, n) for row, counts in enumerate(confusion) for column, n in enumerate(counts) if n]
    return ConfusionCells(*zip(*found, strict=True)) if found else ConfusionCells((), (), ())


@dataclass(frozen=True)
class Evaluation:
    """One trained model evaluated on one test subset, by chunk and by recording.

    worst: the most confident misclassifications.
    """

    labels: tuple[str, ...]
    by_chunk: Scores
    by_recording: Scores
    worst: tuple[Misclassification, ...]
    calibration: tuple[ConfidenceBin, ...] = ()

    @property
    def untested(self) -> tuple[str, ...]:
        """The labels without test examples."""
        return tuple(label for label, row in zip(self.labels, self.by_chunk.classes, strict=True) if row.support == 0)

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form: up to 200 classes with the whole confusion matrix, above with its cells."""
        fields = asdict(self)
        if len(self.labels) <= DENSE_CLASSES:
            for name, scores in (("by_chunk", self.by_chunk), ("by_recording", self.by_recording)):
                fields[name]["confusion"] = scores.confusion
                del fields[name]["cells"]
        return fields

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """Return the value from its JSON form.

        Raises: KeyError if a field is missing.
        """
        return cls(
            labels=tuple(fields["labels"]),
            by_chunk=Scores.from_dict(fields["by_chunk"]),
            by_recording=Scores.from_dict(fields["by_recording"]),
            worst=tuple(Misclassification(**mistake) for mistake in fields["worst"]),
            calibration=tuple(ConfidenceBin(**each) for each in fields.get("calibration", ())),
        )


@dataclass(frozen=True)
class Spread:
    """A mean over trainings and its sample standard deviation (n - 1), None for a single training."""

    mean: float
    deviation: float | None


@dataclass(frozen=True)
class MeanScores:
    """Scores of one model averaged over its trainings, one per fold and seed; chunks are not pooled."""

    n_trainings: int
    accuracy: Spread
    macro_f1: Spread
    recording_accuracy: Spread
    majority_accuracy: Spread
    chance_accuracy: Spread
    recording_majority_accuracy: Spread
    recording_chance_accuracy: Spread
