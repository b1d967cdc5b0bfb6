"""Everything a report shows, as plain values: what the ledger knows about one run, with nothing left to look up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tasks.report.scoring.pairing import GroupOutcomes
from tasks.report.scoring.scores import Evaluation

if TYPE_CHECKING:  # a second of SciPy, which a command that only tells scores need not wait for
    from tasks.report.plots.pictures import PicturePairs
    from tasks.report.scoring.likeness import Likeness

Plain = str | int | float | bool | None


@dataclass(frozen=True)
class RunFacts:
    """One submission: when, with what, how long.

    id, state, command: as a person would type or read them.  submitted, finished: dates as text, "" when unknown.
    seeds: of the trainings, in order.
    presets: preset name -> parameter -> value.  versions: package -> version.  counts: what is counted -> how many,
    shown in this order (such as `strips made`, `strips found done`, `attempts`).  stage_s: stage -> seconds of work.
    faults: what was met and survived -> how often; empty when nothing was.
    rates: (seconds since the start, `rate_unit` a second).  not_done: what was asked for and left out, in sentences.
    """

    id: str
    state: str
    seeds: tuple[int, ...]
    command: str = ""
    submitted: str = ""
    finished: str = ""
    duration_s: float | None = None
    presets: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    faults: Mapping[str, int] = field(default_factory=dict)
    stage_s: Mapping[str, float] = field(default_factory=dict)
    rates: tuple[tuple[float, float], ...] = ()
    rate_unit: str = "chunks"
    not_done: tuple[str, ...] = ()


@dataclass(frozen=True)
class ClassFacts:
    """One class of the dataset. chunks: side of the split -> how many; empty when nothing was chunked yet."""

    label: str
    recordings: int
    chunks: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class DatasetFacts:
    """What was submitted. source: where it lies, as text; layout: how its labels were found; notes: whole sentences."""

    name: str
    source: str
    layout: str
    n_recordings: int
    n_chunks: int
    duration_s: float
    size_bytes: int
    classes: tuple[ClassFacts, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class SideFacts:
    """One side of a split, or one fold."""

    name: str
    groups: int
    recordings: int
    chunks: int


@dataclass(frozen=True)
class SplitFacts:
    """How the sides were made, and whether anything stands on two of them.

    method: a clause that follows "Sides were made", such as `by the fold column of the data`.  grouped_by: what is
    never torn apart, such as `recording` or `author and recording`.  folds: 0 for a single split.
    checks: what was verified, whole sentences.  leaks: what was found on two sides, whole sentences; any makes the
    split dishonest.
    """

    method: str
    grouped_by: str
    n_groups: int
    seed: int
    sides: tuple[SideFacts, ...]
    folds: int = 0
    checks: tuple[str, ...] = ()
    leaks: tuple[str, ...] = ()

    @property
    def is_honest(self) -> bool:
        """Whether a score on these sides says anything about recordings never heard."""
        return not self.leaks


@dataclass(frozen=True)
class JobReport:
    """One job of the run.

    kind: pack, train, evaluate or render.  model: "" for jobs of no model.
    fold: as the data or the plan numbers it, None without folds.
    state: done, failed, cancelled, waiting, running.  timings: what -> seconds.  history: one mapping an epoch with
    Keras's names (`loss`, `accuracy`, `val_loss`, `val_accuracy`, `epoch` from 1).
    evaluation, outcomes: of a classifier's evaluate jobs.  likeness, pictures: of a generator's.
    parameters: whatever configured it, learning rate and number of weights among it.
    variant: the one change it was trained under, None for the model as it is.
    """

    kind: str
    state: str
    model: str = ""
    fold: int | None = None
    seed: int | None = None
    reason: str = ""
    device: str = ""
    worker: str = ""
    attempts: int = 1
    timings: Mapping[str, float] = field(default_factory=dict)
    history: tuple[Mapping[str, float], ...] = ()
    evaluation: Evaluation | None = None
    outcomes: GroupOutcomes | None = None
    likeness: Likeness | None = None
    pictures: PicturePairs | None = None
    variant: str | None = None
    parameters: Mapping[str, Plain] = field(default_factory=dict)


def trained_with(jobs: Iterable[JobReport]) -> dict[str, Plain]:
    """The parameters of the trainings among the jobs; numbers in which they differ as their mean, words not at all."""
    found: dict[str, list[Plain]] = {}
    for job in jobs:
        if job.kind == "train":
            for name, value in job.parameters.items():
                found.setdefault(name, []).append(value)
    return {name: told for name, values in found.items() if (told := _told(values)) is not None}


def _told(values: Sequence[Plain]) -> Plain:
    if all(value == values[0] for value in values) and not isinstance(values[0], float):
        return values[0]
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) < len(values):
        return None
    mean = float(f"{fmean(numbers):.4g}")
    return int(mean) if abs(mean) >= 1000 else mean


@dataclass(frozen=True, eq=False)
class GalleryStrip:
    """Some chunks of one recording as the models see them.

    spectrograms: (n, mel, frame) uint8, row 0 the lowest band.  start_s: where the first one begins.
    chunk_s: how long each is.  low_hz, high_hz: the ends of the mel bands.
    """

    label: str
    recording: str
    spectrograms: NDArray[np.uint8]
    chunk_s: float
    low_hz: float
    high_hz: float
    start_s: float = 0.0


@dataclass(frozen=True)
class NotUsed:
    """A recording that is not among the examples; kind: the short name of its reason, such as "too short"."""

    recording: str
    reason: str
    kind: str


@dataclass(frozen=True, eq=False)
class ReportData:
    """All a page shows. quarantined may be only the first of many; quarantine_counts (kind -> how many) has all.

    failed: the first of those that the machine failed with, and trying again may yet help; n_failed: of all of them.
    mistakes: (model, recording) -> the strip of a recording that the model named wrongly, as the model saw it.
    """

    run: RunFacts
    dataset: DatasetFacts
    split: SplitFacts | None = None
    jobs: tuple[JobReport, ...] = ()
    gallery: tuple[GalleryStrip, ...] = ()
    mistakes: Mapping[tuple[str, str], GalleryStrip] = field(default_factory=dict)
    quarantined: tuple[NotUsed, ...] = ()
    quarantine_counts: Mapping[str, int] = field(default_factory=dict)
    failed: tuple[NotUsed, ...] = ()
    n_failed: int = 0
