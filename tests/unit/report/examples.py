"""Small reports with known scores, for the tests of this folder."""

import numpy as np

from tasks.report.html.page import (
    ClassFacts,
    DatasetFacts,
    GalleryStrip,
    JobReport,
    ReportData,
    RunFacts,
    SplitFacts,
    SubsetFacts,
    UnusedRecording,
)
from tasks.report.scoring.classification import Evaluation, ScoreAccumulator

LABELS = ("blackcap", "robin", "wren")
HISTORY = tuple(
    {"loss": 3 / n, "accuracy": 1 - 1 / n, "val_loss": 3 / n + 0.02 * n * n, "val_accuracy": 0.8 - 0.7 / n}
    for n in range(1, 9)
)


def evaluation_of(labels=LABELS, right: float = 0.75, n: int = 120) -> Evaluation:
    """An evaluation of one-chunk recordings with a known share correct; the others are predicted as the next class."""
    return accumulator_of(labels, right, n).evaluation(dict.fromkeys(range(len(labels)), 10))


def accumulator_of(labels=LABELS, right: float = 0.75, n: int = 120) -> ScoreAccumulator:
    """The accumulator of that evaluation."""
    truth = np.arange(n) % len(labels)
    predicted = np.where(np.arange(n) < right * n, truth, (truth + 1) % len(labels))
    accumulator = ScoreAccumulator(labels)
    accumulator.add(np.eye(len(labels), dtype=np.float32)[predicted], truth, [f"{number}.ogg" for number in range(n)])
    return accumulator


def jobs_of(model: str, labels=LABELS, fold: int | None = None, right: float = 0.75, seed: int = 42) -> list[JobReport]:
    return [
        JobReport("train", "done", model, fold, seed, device="CPU", timings={"epochs": 80.0}, history=HISTORY),
        JobReport(
            "evaluate", "done", model, fold, seed, evaluation=evaluation_of(labels, right),
            outcomes=accumulator_of(labels, right).outcomes(),
        ),
    ]  # fmt: skip


def report_of(jobs=(), labels=LABELS, **changes) -> ReportData:
    classes = tuple(ClassFacts(label, 30, {"train": 50, "validation": 10, "test": 20}) for label in labels)
    facts = {
        "run": RunFacts("7f3a", "done", (42,), presets={"birdclef2021": {"chunk_s": 5.0, "range_hz": [500, 12500]}}),
        "dataset": DatasetFacts("dawn", "/birds", "one folder a class", 60, 160, 800.0, 10**7, classes),
        "split": SplitFacts(
            "by group",
            "recording",
            60,
            42,
            (SubsetFacts("train", 40, 40, 100),),
            checks=("No group is in two subsets.",),
        ),
        "jobs": tuple(jobs),
        "gallery": (GalleryStrip(labels[0], "a.ogg", np.zeros((2, 48, 128), np.uint8), 5.0, 500.0, 12500.0),),
        "quarantined": (UnusedRecording("bad.ogg", "too short: 0.04 s", "too short"),),
    }
    return ReportData(**(facts | changes))
