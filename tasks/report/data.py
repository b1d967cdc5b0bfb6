"""The contents of a report as plain values, read from ledger and store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tasks.report.scoring.pairing import GroupOutcomes
from tasks.report.scoring.scores import Evaluation

if TYPE_CHECKING:  # Importing SciPy takes a second, which commands that only print scores avoid.
    from tasks.report.plots.sample_pairs import SamplePairs
    from tasks.report.scoring.generator_evaluation import GeneratorEvaluation

Plain = str | int | float | bool | None


@dataclass(frozen=True)
class RunFacts:
    """Facts about one run.

    id, state, command: as a user types or reads them.  submitted, finished: dates as text, "" if unknown.
    seeds: of the trainings, in order.
    presets: preset name -> parameter -> value.  versions: package -> version.
    counts: name -> number, shown in this order, such as `strips made` and `attempts`.
    faults: kind of fault during the run -> number; empty if none.
    stage_s: stage -> total seconds of work.  rates: (seconds since the start, `rate_unit` per second).
    not_done: requested work that was omitted, in sentences.
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
    """One class of the dataset.

    chunks: subset or fold -> number of chunks; empty if no recording was preprocessed yet.
    """

    label: str
    recordings: int
    chunks: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class DatasetFacts:
    """The dataset as submitted.

    source: its location.  layout: how its labels were found.  notes: whole sentences.
    """

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
class SubsetFacts:
    """One subset of a split, or one fold."""

    name: str
    groups: int
    recordings: int
    chunks: int


@dataclass(frozen=True)
class CrossingRecording:
    """A tested recording whose group, or an exact copy, is trained on.  part: where it is tested."""

    recording: str
    label: str
    group: str
    part: str


@dataclass(frozen=True)
class SplitFacts:
    """How the recordings were split, and whether any recording or group is in two subsets.

    method: a clause that follows "Recordings were split", such as `by the fold column of the data`.
    grouped_by: the definition of a group, such as `recording` or `author and recording`.  folds: 0 for a single split.
    checks: verified properties, in sentences.  leaks: violations found, in sentences; any of them makes the split
    dishonest.  notes: other facts about the split, in sentences.
    crossing: the first tested recordings that are on both sides.  n_crossing: number of all.  crossing_groups: theirs.
    """

    method: str
    grouped_by: str
    n_groups: int
    seed: int
    subsets: tuple[SubsetFacts, ...]
    folds: int = 0
    checks: tuple[str, ...] = ()
    leaks: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    crossing: tuple[CrossingRecording, ...] = ()
    n_crossing: int = 0
    crossing_groups: frozenset[str] = frozenset()

    @property
    def is_honest(self) -> bool:
        """True if no group or recording is in two subsets, so that scores predict accuracy on unseen recordings."""
        return not self.leaks


@dataclass(frozen=True)
class JobReport:
    """One job of the run.

    kind: pack, train, evaluate or render.  model: "" for jobs without a model.
    fold: number in the data or the plan, None without folds.
    state: done, failed, cancelled, waiting or running.  timings: name -> seconds.
    history: one mapping per epoch with Keras's names: `epoch` (from 1), `loss`, `accuracy`, `val_loss`, `val_accuracy`.
    evaluation, outcomes: of evaluate jobs of a classifier.  generator_evaluation, samples: of those of a generator.
    parameters: settings and figures of the job, such as learning rate and number of weights.
    notes: of a training, in sentences.
    variant: the ablation or leak-meter variant, None for the unchanged model.
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
    generator_evaluation: GeneratorEvaluation | None = None
    samples: SamplePairs | None = None
    variant: str | None = None
    parameters: Mapping[str, Plain] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def training_parameters(jobs: Iterable[JobReport]) -> dict[str, Plain]:
    """Return the parameters of the trainings among the jobs.

    Numbers that differ are averaged; other values that differ are omitted.
    """
    found: dict[str, list[Plain]] = {}
    for job in jobs:
        if job.kind == "train":
            for name, value in job.parameters.items():
                found.setdefault(name, []).append(value)
    return {name: summary for name, values in found.items() if (summary := _summary_value(values)) is not None}


def _summary_value(values: Sequence[Plain]) -> Plain:
    if all(value == values[0] for value in values) and not isinstance(values[0], float):
        return values[0]
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) < len(values):
        return None
    mean = float(f"{fmean(numbers):.4g}")
    return int(mean) if abs(mean) >= 1000 else mean


@dataclass(frozen=True, eq=False)
class GalleryStrip:
    """Some chunks of one recording, as a model reads them.

    spectrograms: (n, mel, frame) uint8, row 0 the lowest band.  start_s: start of the first chunk in seconds.
    chunk_s: duration of a chunk in seconds.  low_hz, high_hz: limits of the mel bands.
    """

    label: str
    recording: str
    spectrograms: NDArray[np.uint8]
    chunk_s: float
    low_hz: float
    high_hz: float
    start_s: float = 0.0


@dataclass(frozen=True)
class UnusedRecording:
    """A recording without examples, or without some of its spans.  kind: short name of its reason, as "too short"."""

    recording: str
    reason: str
    kind: str


@dataclass(frozen=True, eq=False)
class ReportData:
    """The contents of a page.

    quarantined: the first quarantined recordings.  quarantine_counts: kind of reason -> number of all of them.
    used_in_part: the first recordings of which spans are missing.  n_used_in_part: number of all.
    lost_s: seconds missing in all of them.
    failed: the first recordings that failed because of the machine; a retry may succeed.  n_failed: number of all.
    gallery: a strip of each of the first n_gallery_classes classes; None: of all classes.
    error_strips: (model, recording) -> strip of a misclassified recording, as the model reads it.
    """

    run: RunFacts
    dataset: DatasetFacts
    split: SplitFacts | None = None
    jobs: tuple[JobReport, ...] = ()
    gallery: tuple[GalleryStrip, ...] = ()
    n_gallery_classes: int | None = None
    error_strips: Mapping[tuple[str, str], GalleryStrip] = field(default_factory=dict)
    quarantined: tuple[UnusedRecording, ...] = ()
    quarantine_counts: Mapping[str, int] = field(default_factory=dict)
    used_in_part: tuple[UnusedRecording, ...] = ()
    n_used_in_part: int = 0
    lost_s: float = 0.0
    failed: tuple[UnusedRecording, ...] = ()
    n_failed: int = 0
