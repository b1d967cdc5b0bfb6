"""Small reports with known scores, for the tests of this folder."""

import numpy as np

from tasks.report.html.page import (
    ClassFacts,
    DatasetFacts,
    GalleryStrip,
    JobReport,
    NotUsed,
    ReportData,
    RunFacts,
    SideFacts,
    SplitFacts,
)
from tasks.report.scoring.classification import Evaluation, Judge

LABELS = ("blackcap", "robin", "wren")
HISTORY = tuple(
    {"loss": 3 / n, "accuracy": 1 - 1 / n, "val_loss": 3 / n + 0.02 * n * n, "val_accuracy": 0.8 - 0.7 / n}
    for n in range(1, 9)
)


def evaluation_of(labels=LABELS, right: float = 0.75, n: int = 120) -> Evaluation:
    """An evaluation in which a known share of one-chunk recordings is right, the others called the next class."""
    return judge_of(labels, right, n).evaluation(dict.fromkeys(range(len(labels)), 10))


def judge_of(labels=LABELS, right: float = 0.75, n: int = 120) -> Judge:
    """What that evaluation is made from."""
    truth = np.arange(n) % len(labels)
    said = np.where(np.arange(n) < right * n, truth, (truth + 1) % len(labels))
    judge = Judge(labels)
    judge.add(np.eye(len(labels), dtype=np.float32)[said], truth, [f"{number}.ogg" for number in range(n)])
    return judge


def jobs_of(model: str, labels=LABELS, fold: int | None = None, right: float = 0.75, seed: int = 42) -> list[JobReport]:
    return [
        JobReport("train", "done", model, fold, seed, device="CPU", timings={"epochs": 80.0}, history=HISTORY),
        JobReport(
            "evaluate", "done", model, fold, seed, evaluation=evaluation_of(labels, right),
            outcomes=judge_of(labels, right).outcomes(),
        ),
    ]  # fmt: skip


def report_of(jobs=(), labels=LABELS, **changes) -> ReportData:
    classes = tuple(ClassFacts(label, 30, {"train": 50, "validation": 10, "test": 20}) for label in labels)
    facts = {
        "run": RunFacts("7f3a", "done", (42,), presets={"birdclef2021": {"chunk_s": 5.0, "range_hz": [500, 12500]}}),
        "dataset": DatasetFacts("dawn", "/birds", "one folder a class", 60, 160, 800.0, 10**7, classes),
        "split": SplitFacts(
            "by group", "recording", 60, 42, (SideFacts("train", 40, 40, 100),), checks=("No group is torn.",)
        ),
        "jobs": tuple(jobs),
        "gallery": (GalleryStrip(labels[0], "a.ogg", np.zeros((2, 48, 128), np.uint8), 5.0, 500.0, 12500.0),),
        "quarantined": (NotUsed("bad.ogg", "too short: 0.04 s", "too short"),),
    }
    return ReportData(**(facts | changes))
