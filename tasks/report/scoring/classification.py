"""Probabilities to honest scores: sums that stream, an interval that knows chunks of one recording are related."""

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
from tasks.report.scoring.scores import ClassScore, Confusion, Evaluation, MeanScores, Mistake, Scores, Spread

__all__ = [
    "ClassScore",
    "Confusion",
    "Evaluation",
    "Judge",
    "MeanScores",
    "Mistake",
    "Scores",
    "Spread",
    "class_scores",
    "classification_table",
    "confusion_table",
    "mean_over_trainings",
    "pooled_confusion",
    "top_confusions",
]

Counts = NDArray[np.int64]

_TOP = 20


def class_scores(confusion: Counts) -> tuple[ClassScore, ...]:
    """Precision, recall, F1 and support of each class; an undefined ratio (nothing to divide by) is 0.

    confusion: (C, C) counts, row = truth.  Returns C rows in label order.  Raises nothing.
    """
    columns = _sklearn_scores(confusion, range(len(confusion)), average=None)
    return tuple(
        ClassScore(float(precision), float(recall), float(f1), int(support))
        for precision, recall, f1, support in zip(*columns, strict=True)
    )


def _sklearn_scores(confusion: Counts, classes: Sequence[int], average: str | None) -> tuple[NDArray[np.float64], ...]:
    # one weighted sample a filled cell: scikit-learn's own arithmetic, at a cost of C x C instead of n
    truth, predicted = np.nonzero(confusion)
    weights = confusion[truth, predicted]
    scores: tuple[NDArray[np.float64], ...] = precision_recall_fscore_support(
        truth, predicted, labels=list(classes), sample_weight=weights, average=average, zero_division=0
    )
    return scores


def _met(confusion: Counts) -> list[int]:
    """The classes that occur, as truth or as answer: scikit-learn's own choice of what a macro average is over."""
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
        macro_f1=float(np.mean([classes[index].f1 for index in _met(confusion)])),
        majority_accuracy=float(test[int(np.argmax(train))]),
        chance_accuracy=float(test @ (train / train.sum())),
        classes=classes,
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
        top_confusions=top_confusions(confusion, labels),
    )


def top_confusions(confusion: Counts, labels: Sequence[str]) -> tuple[Confusion, ...]:
    """The twenty fullest cells off the diagonal, fullest first, equals in label order. Raises nothing."""
    wrong = confusion - np.diag(np.diag(confusion))
    cells = sorted(zip(*np.nonzero(wrong), strict=True), key=lambda cell: (-wrong[cell], cell))
    return tuple(Confusion(labels[truth], labels[said], int(wrong[truth, said])) for truth, said in cells[:_TOP])


class Judge:
    """Adds up a test side batch by batch; what it keeps grows with recordings times classes, never with chunks.

    The unit beside the chunk is a recording under one label: a long recording with marks of two species counts once
    for each.  Its answer is the class with the highest mean probability over its chunks.
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
        """Count one batch.

        probabilities: (n, C) float32, one row a chunk.  truth: (n,) class indices 0..C-1.  recordings: n names.
        groups: what each recording belongs to, n names; the recordings themselves where it is left out.
        Raises Impossible where shapes disagree, a truth is no class, or a probability is not a finite number.
        """
        self._check(probabilities, truth, recordings)
        if len(truth) == 0:
            return
        said = probabilities.argmax(axis=1)
        self._confusion += confusion_matrix(truth, said, labels=range(len(self._labels)))
        rows = self._rows_of(recordings, truth, recordings if groups is None else groups)
        self._calibration.add(probabilities[np.arange(len(said)), said], said == truth)
        np.add.at(self._sums, rows, probabilities)
        np.add.at(self._chunks, rows, 1)
        np.add.at(self._correct, rows, said == truth)

    def evaluation(self, train_label_counts: Mapping[int, int]) -> Evaluation:
        """The scores of everything added so far.

        train_label_counts: class index -> examples on the training side.  From it come `majority_accuracy`, the share
        of the test side that is of the training side's commonest class (the first of equals), and
        `chance_accuracy`, the expected share right when names are drawn with the training side's frequencies:
        sum over classes of p_train * p_test.
        `accuracy_interval` is Wilson's at 95 %, with n the effective number of chunks, or of recordings, that
        come group by group (`interval.effective_n`).
        `macro_f1` averages over the classes that occur in the test side or among the answers.
        Raises Impossible when no chunk was added or the training side is empty.
        """
        if not self._rows:
            raise Impossible("no test example was judged; the test side of this split is empty")
        train = self._train_counts(train_label_counts)
        n_recordings = len(self._rows)
        truth = np.array([label for _, label in self._rows])
        said = self._sums[:n_recordings].argmax(axis=1)
        by_recording: Counts = confusion_matrix(truth, said, labels=range(len(self._labels)))
        chunks, right = (self._by_group(counts[:n_recordings]) for counts in (self._chunks, self._correct))
        outcomes = self.outcomes()
        return Evaluation(
            labels=self._labels,
            by_chunk=_scores(self._confusion, effective_n(right, chunks), train, self._labels),
            by_recording=_scores(by_recording, effective_n(outcomes.correct, outcomes.recordings), train, self._labels),
            worst=self._worst(truth, said),
            calibration=self._calibration.bins(),
        )

    def outcomes(self) -> GroupOutcomes:
        """How many recordings and chunks of each group were named correctly: models are compared in pairs by it."""
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
            raise Impossible("a predicted probability is not a number; the model's training went astray")

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
            raise Impossible("the training side holds no example, so there is no commonest class to compare with")
        return train

    def _worst(self, truth: NDArray[np.int64], said: NDArray[np.int64]) -> tuple[Mistake, ...]:
        rows = np.arange(len(truth))
        confidence = self._sums[rows, said] / self._chunks[: len(truth)]
        names = [name for name, _ in self._rows]
        wrong = sorted(np.flatnonzero(truth != said), key=lambda row: (-confidence[row], names[row]))
        return tuple(
            Mistake(names[row], self._labels[truth[row]], self._labels[said[row]], float(confidence[row]))
            for row in wrong[:_TOP]
        )


def classification_table(scores: Scores, labels: Sequence[str]) -> str:
    """The scores as scikit-learn's `classification_report` prints them, to the letter; see `confusion_table`."""
    return confusion_table(np.array(scores.confusion, dtype=np.int64), labels)


def confusion_table(confusion: Counts, labels: Sequence[str]) -> str:
    """A confusion matrix as the table scikit-learn's `classification_report` prints, two decimals, to the letter.

    confusion: (C, C) counts, row = truth, with at least one count.  labels: C names.  As in scikit-learn, a class
    that occurs neither as truth nor as answer has no line.
    Returns lines ending in a newline.  Raises nothing.
    """
    met, n, classes = _met(confusion), int(confusion.sum()), class_scores(confusion)
    width = max(len("weighted avg"), *(len(labels[index]) for index in met))
    lines = [f"{'':>{width}s} " + "".join(f" {head:>9}" for head in ("precision", "recall", "f1-score", "support")), ""]
    for index in met:
        row = classes[index]
        lines.append(_table_line(labels[index], width, (row.precision, row.recall, row.f1), row.support))
    lines += ["", f"{'accuracy':>{width}s} " + " " * 20 + f" {np.trace(confusion) / n:>9.2f} {n:>9}"]
    for average in ("macro", "weighted"):
        lines.append(_table_line(f"{average} avg", width, _sklearn_scores(confusion, met, average)[:3], n))
    return "\n".join(lines) + "\n"


def _table_line(name: str, width: int, ratios: Sequence[object], support: int) -> str:
    return f"{name:>{width}s} " + "".join(f" {ratio:>9.2f}" for ratio in ratios) + f" {support:>9}"


def pooled_confusion(evaluations: Sequence[Evaluation]) -> Counts:
    """The chunk confusions of several folds added up, (C, C): each fold tests what no other fold does.

    evaluations: of one seed, since another seed tests the same chunks again.
    Raises Impossible where the folds do not know the same labels.
    """
    if len({evaluation.labels for evaluation in evaluations}) != 1:
        raise Impossible(f"{len(evaluations)} folds do not share one list of labels; judge them with the same labels")
    total: Counts = np.sum([evaluation.by_chunk.confusion for evaluation in evaluations], axis=0, dtype=np.int64)
    return total


def mean_over_trainings(evaluations: Sequence[Evaluation]) -> MeanScores:
    """Mean and sample standard deviation (n - 1) of the scores of trainings, one a fold and seed.

    The deviation describes trainings, not the error of the mean: training sides of folds overlap, and seeds share
    theirs, so it understates that.
    Raises Impossible for no evaluation at all.
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
