"""Compute classification scores from streamed probabilities, with intervals that account for related chunks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from domain.errors import Impossible
from tasks.report.scoring.calibration import Calibration
from tasks.report.scoring.interval import effective_n, wilson_interval
from tasks.report.scoring.pairing import GroupOutcomes
from tasks.report.scoring.scores import (
    ClassScore,
    Confusion,
    ConfusionCells,
    Evaluation,
    MeanScores,
    Misclassification,
    Scores,
    Spread,
)

__all__ = [
    "ClassScore",
    "Confusion",
    "Evaluation",
    "MeanScores",
    "Misclassification",
    "ScoreAccumulator",
    "Scores",
    "Spread",
    "class_scores",
    "classification_table",
    "confusion_table",
    "mean_over_trainings",
    "most_confused",
    "pooled_confusion",
    "top_confusions",
]

Counts = NDArray[np.int64]

_TOP = 20


def class_scores(confusion: Counts) -> tuple[ClassScore, ...]:
    """Compute precision, recall, F1 and support of each class; ratios with denominator 0 are 0.

    confusion: (C, C) counts, row = truth.  Returns C rows in label order.
    """
    columns = _sklearn_scores(confusion, range(len(confusion)), average=None)
    return tuple(
        ClassScore(float(precision), float(recall), float(f1), int(support))
        for precision, recall, f1, support in zip(*columns, strict=True)
    )


def _sklearn_scores(confusion: Counts, classes: Sequence[int], average: str | None) -> tuple[NDArray[np.float64], ...]:
    # One weighted sample per non-zero cell gives scikit-learn's result at a cost of C x C instead of n.
    truth, predicted = np.nonzero(confusion)
    weights = confusion[truth, predicted]
    scores: tuple[NDArray[np.float64], ...] = precision_recall_fscore_support(
        truth, predicted, labels=list(classes), sample_weight=weights, average=average, zero_division=0
    )
    return scores


def _occurring(confusion: Counts) -> list[int]:
    """Return the classes that occur as truth or prediction, over which scikit-learn computes macro averages."""
    return [int(index) for index in np.flatnonzero(confusion.sum(axis=0) + confusion.sum(axis=1))]


def _scores(confusion: Counts, n_effective: float, train: NDArray[np.float64], labels: Sequence[str]) -> Scores:
    n = int(confusion.sum())
    accuracy = float(np.trace(confusion)) / n
    classes = class_scores(confusion)
    test = confusion.sum(axis=1) / n
    return Scores(
        n=n,
        accuracy=accuracy,
        accuracy_interval=wilson_interval(accuracy, n_effective),
        macro_f1=float(np.mean([classes[index].f1 for index in _occurring(confusion)])),
        majority_accuracy=float(test[int(np.argmax(train))]),
        chance_accuracy=float(test @ (train / train.sum())),
        classes=classes,
        cells=_cells(confusion),
        top_confusions=top_confusions(confusion, labels),
    )


def top_confusions(confusion: Counts, labels: Sequence[str]) -> tuple[Confusion, ...]:
    """Return the twenty largest off-diagonal cells, largest first, ties in label order.

    confusion: (C, C) counts, row = truth.  labels: C names.
    """
    truth, predicted, n = _wrong_cells(confusion)
    return tuple(
        Confusion(labels[truth[cell]], labels[predicted[cell]], int(n[cell])) for cell in range(min(_TOP, len(n)))
    )


def most_confused(confusion: Counts, limit: int) -> list[int]:
    """Return the classes of the largest off-diagonal cells, at most `limit`, in label order.

    confusion: (C, C) counts, row = truth.
    """
    found: dict[int, None] = {}
    for truth, predicted in zip(*_wrong_cells(confusion)[:2], strict=True):
        added = {int(truth), int(predicted)} - found.keys()
        if len(found) + len(added) > limit:
            break
        found |= dict.fromkeys(added)
    return sorted(found)


def _wrong_cells(confusion: Counts) -> tuple[Counts, Counts, Counts]:
    """The cells off the diagonal that are not 0: truth, prediction and count, largest first, ties in label order."""
    truth, predicted = np.nonzero(confusion)
    is_wrong = truth != predicted
    truth, predicted = truth[is_wrong], predicted[is_wrong]
    n = confusion[truth, predicted]
    order = np.lexsort((predicted, truth, -n))
    return truth[order], predicted[order], n[order]


def _cells(confusion: Counts) -> ConfusionCells:
    truth, predicted = np.nonzero(confusion)
    return ConfusionCells(*(tuple(each.tolist()) for each in (truth, predicted, confusion[truth, predicted])))


class ScoreAccumulator:
    """Accumulates predictions batch by batch; memory grows with recordings times classes, not with chunks.

    A recording counts once per label, so a long recording annotated with two species counts twice.
    Its prediction is the class with the highest mean probability over its chunks.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self._labels = tuple(labels)
        n_classes = len(self._labels)
        self._confusion: Counts = np.zeros((n_classes, n_classes), dtype=np.int64)
        self._rows: dict[tuple[str, int], int] = {}
        self._sums = np.zeros((64, n_classes), dtype=np.float32)
        self._chunks: Counts = np.zeros(64, dtype=np.int64)
        self._correct: Counts = np.zeros(64, dtype=np.int64)
        self._groups: dict[str, int] = {}
        self._group_of_row: list[int] = []
        self._calibration = Calibration()

    def add(
        self,
        probabilities: NDArray[np.float32],
        truth: NDArray[np.integer],
        recordings: Sequence[str],
        groups: Sequence[str] | None = None,
    ) -> None:
        """Add a batch.

        probabilities: (n, C) float32, one row per chunk.  truth: (n,) class indices 0..C-1.  recordings: n names.
        groups: n names of the groups of the recordings; each recording is its own group if omitted.
        Raises: Impossible if shapes disagree, a truth is not a class, or a probability is not finite.
        """
        self._check(probabilities, truth, recordings)
        if len(truth) == 0:
            return
        predicted = probabilities.argmax(axis=1)
        np.add.at(self._confusion, (truth, predicted), 1)
        rows = self._rows_of(recordings, truth, recordings if groups is None else groups)
        self._calibration.add(probabilities[np.arange(len(predicted)), predicted], predicted == truth)
        np.add.at(self._sums, rows, probabilities)
        np.add.at(self._chunks, rows, 1)
        np.add.at(self._correct, rows, predicted == truth)

    def evaluation(self, train_label_counts: Mapping[int, int]) -> Evaluation:
        """Compute the scores of all batches.

        train_label_counts: class index -> examples in the training subset.
        `majority_accuracy` is the share of test units of the most frequent training class (the first if tied).
        `chance_accuracy` is the expected accuracy of random predictions with the training frequencies: the sum over
        classes of p_train * p_test.
        `accuracy_interval` is Wilson's at 95 %, with the effective number of chunks or recordings
        (`interval.effective_n`).
        `macro_f1` averages over the classes that occur in the test subset or among the predictions.
        Raises: Impossible if no chunk was added or the training subset is empty.
        """
        if not self._rows:
            raise Impossible("no test example was evaluated; the test subset of this split is empty")
        train = self._train_counts(train_label_counts)
        n_recordings = len(self._rows)
        truth = np.array([label for _, label in self._rows])
        predicted = self._sums[:n_recordings].argmax(axis=1)
        by_recording: Counts = confusion_matrix(truth, predicted, labels=range(len(self._labels)))
        chunks, n_correct = (self._by_group(counts[:n_recordings]) for counts in (self._chunks, self._correct))
        outcomes = self.outcomes()
        return Evaluation(
            labels=self._labels,
            by_chunk=_scores(self._confusion, effective_n(n_correct, chunks), train, self._labels),
            by_recording=_scores(by_recording, effective_n(outcomes.correct, outcomes.recordings), train, self._labels),
            worst=self._worst(truth, predicted),
            calibration=self._calibration.bins(),
        )

    def outcomes(self) -> GroupOutcomes:
        """Return the number of recordings and chunks of each group and how many are correct, for paired comparisons."""
        n_recordings = len(self._rows)
        truth = np.array([label for _, label in self._rows], np.int64)
        is_right = self._sums[:n_recordings].argmax(axis=1) == truth
        names = sorted(self._groups)
        order = np.array([self._groups[name] for name in names], np.int64)
        counted = (np.ones(n_recordings, np.int64), is_right, self._chunks[:n_recordings], self._correct[:n_recordings])
        return GroupOutcomes(tuple(names), *(self._by_group(each)[order] for each in counted))

    def _by_group(self, counts: NDArray[Any]) -> Counts:
        return np.bincount(self._group_of_row, counts, minlength=len(self._groups)).astype(np.int64)

    def _check(self, probabilities: NDArray[np.float32], truth: NDArray[np.integer], recordings: Sequence[str]) -> None:
        n, n_classes = len(truth), len(self._labels)
        if probabilities.shape != (n, n_classes) or len(recordings) != n:
            raise Impossible(
                f"probabilities {probabilities.shape} and {len(recordings)} recording names do not fit "
                f"{n} truths of {n_classes} classes"
            )
        if n and not (truth.min() >= 0 and truth.max() < n_classes):
            raise Impossible(f"truths {truth.min()}..{truth.max()} are not classes 0..{n_classes - 1}")
        if not np.isfinite(probabilities).all():
            raise Impossible("a predicted probability is not a finite number; train the model again")

    def _rows_of(
        self, recordings: Sequence[str], truth: NDArray[np.integer], groups: Sequence[str]
    ) -> NDArray[np.int64]:
        rows = np.empty(len(truth), np.int64)
        for at, (recording, label, group) in enumerate(zip(recordings, truth.tolist(), groups, strict=True)):
            rows[at] = row = self._rows.setdefault((recording, label), len(self._rows))
            if row == len(self._group_of_row):
                self._group_of_row.append(self._groups.setdefault(group, len(self._groups)))
        while len(self._rows) > len(self._chunks):
            self._sums = np.concatenate([self._sums, np.zeros_like(self._sums)])
            self._chunks = np.concatenate([self._chunks, np.zeros_like(self._chunks)])
            self._correct = np.concatenate([self._correct, np.zeros_like(self._correct)])
        return rows

    def _train_counts(self, counts: Mapping[int, int]) -> NDArray[np.float64]:
        train = np.zeros(len(self._labels))
        for index, count in counts.items():
            train[index] = count
        if train.sum() <= 0:
            raise Impossible("the training subset is empty, so the majority baseline cannot be computed")
        return train

    def _worst(self, truth: NDArray[np.int64], predicted: NDArray[np.int64]) -> tuple[Misclassification, ...]:
        rows = np.arange(len(truth))
        confidence = self._sums[rows, predicted] / self._chunks[: len(truth)]
        names = [name for name, _ in self._rows]
        wrong = sorted(np.flatnonzero(truth != predicted), key=lambda row: (-confidence[row], names[row]))
        return tuple(
            Misclassification(
                names[row], self._labels[truth[row]], self._labels[predicted[row]], float(confidence[row])
            )
            for row in wrong[:_TOP]
        )


def classification_table(scores: Scores, labels: Sequence[str]) -> str:
    """Format the scores exactly as scikit-learn's `classification_report` does; see `confusion_table`."""
    return confusion_table(np.array(scores.confusion, dtype=np.int64), labels)


def confusion_table(confusion: Counts, labels: Sequence[str]) -> str:
    """Format a confusion matrix exactly as scikit-learn's `classification_report` does, with two decimals.

    confusion: (C, C) counts, row = truth, with at least one count.  labels: C names.
    As in scikit-learn, classes that occur neither as truth nor as prediction are omitted.
    Returns lines ending in a newline.
    """
    occurring, n, classes = _occurring(confusion), int(confusion.sum()), class_scores(confusion)
    width = max(len("weighted avg"), *(len(labels[index]) for index in occurring))
    lines = [f"{'':>{width}s} " + "".join(f" {head:>9}" for head in ("precision", "recall", "f1-score", "support")), ""]
    for index in occurring:
        row = classes[index]
        lines.append(_table_line(labels[index], width, (row.precision, row.recall, row.f1), row.support))
    lines += ["", f"{'accuracy':>{width}s} " + " " * 20 + f" {np.trace(confusion) / n:>9.2f} {n:>9}"]
    for average in ("macro", "weighted"):
        lines.append(_table_line(f"{average} avg", width, _sklearn_scores(confusion, occurring, average)[:3], n))
    return "\n".join(lines) + "\n"


def _table_line(name: str, width: int, ratios: Sequence[object], support: int) -> str:
    return f"{name:>{width}s} " + "".join(f" {ratio:>9.2f}" for ratio in ratios) + f" {support:>9}"


def pooled_confusion(evaluations: Sequence[Evaluation]) -> Counts:
    """Add up the chunk confusions of several folds, (C, C); each fold tests other chunks.

    evaluations: of one seed, because other seeds test the same chunks again.
    Raises: Impossible if the folds have different labels.
    """
    if len({evaluation.labels for evaluation in evaluations}) != 1:
        raise Impossible(f"{len(evaluations)} folds have different labels; evaluate them with the same labels")
    total: Counts = np.zeros((len(evaluations[0].labels),) * 2, np.int64)
    for evaluation in evaluations:
        cells = evaluation.by_chunk.cells
        np.add.at(total, (np.array(cells.truth, np.intp), np.array(cells.predicted, np.intp)), cells.n)
    return total


def mean_over_trainings(evaluations: Sequence[Evaluation]) -> MeanScores:
    """Compute mean and sample standard deviation (n - 1) of the scores over trainings, one per fold and seed.

    The deviation describes single trainings. It understates the error of the mean, because the training subsets of
    folds overlap and seeds share theirs.
    Raises: Impossible without evaluations.
    """
    if not evaluations:
        raise Impossible("no training was evaluated, so there is nothing to average")

    def spread(score: Callable[[Evaluation], float]) -> Spread:
        values = np.array([score(evaluation) for evaluation in evaluations])
        return Spread(float(values.mean()), float(values.std(ddof=1)) if len(values) > 1 else None)

    return MeanScores(
        n_trainings=len(evaluations),
        accuracy=spread(lambda each: each.by_chunk.accuracy),
        macro_f1=spread(lambda each: each.by_chunk.macro_f1),
        recording_accuracy=spread(lambda each: each.by_recording.accuracy),
        majority_accuracy=spread(lambda each: each.by_chunk.majority_accuracy),
        chance_accuracy=spread(lambda each: each.by_chunk.chance_accuracy),
        recording_majority_accuracy=spread(lambda each: each.by_recording.majority_accuracy),
        recording_chance_accuracy=spread(lambda each: each.by_recording.chance_accuracy),
    )
