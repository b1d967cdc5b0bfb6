"""Writes the tables of a prediction from its scores; no inference is run again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from db.engine import Database
from db.queries.job_inputs import PlannedRun
from db.queries.trained_recordings import n_trained_on
from domain.errors import UsageError
from domain.plural import counted
from domain.results import CollectResult
from domain.states import RunKind, State
from orchestrator.progress import Snapshot, snapshot
from orchestrator.session import Session
from tasks.dataset.layouts.layout import LayoutError
from tasks.dataset.recorders.recorded_at import zone_of
from tasks.dataset.recorders.sites import Sites, read_sites
from tasks.detections.class_tables import names_from_file, thresholds_from_file
from tasks.detections.default_thresholds import default_thresholds, sources_line
from tasks.detections.detection_tables import (
    NO_NEGATIVE_CLASS,
    TableOptions,
    TablesWritten,
    Threshold,
    ThresholdSource,
    write_tables,
)
from tasks.detections.publication import require_unused
from tasks.detections.score_file import read_scores

_SHOWN = 10


@dataclass(frozen=True)
class TableRequest:
    """The tables that a user asks for; None: the default.

    thresholds: by class.  threshold: of the others; None: those that were planned with the run.
    """

    folder: Path | None = None
    formats: tuple[str, ...] = ("csv",)
    threshold: float | None = None
    thresholds: Path | None = None
    top_n: int | None = None
    merge_gap_s: float | None = None
    per_recording: bool = False
    names: Path | None = None
    sites: Path | None = None
    timezone: str | None = None


@dataclass(frozen=True)
class DetectionTables:
    """The tables that were written, and what is in them. thresholds: where they come from, as a line."""

    folder: Path
    written: TablesWritten
    thresholds: str

    def lines(self) -> list[str]:
        """For people."""
        written = self.written
        n_lost = written.n_quarantined
        most = sorted(written.by_label.items(), key=lambda pair: (-pair[1], pair[0]))[:_SHOWN]
        shown = ", ".join(f"{label} {n:,}" for label, n in most if n)
        return [
            *([f"not predicted, or only in part: {counted(n_lost, 'recording')}, in quarantine.csv"] if n_lost else []),
            f"{counted(written.n_detections, 'detection')} in {counted(written.n_recordings, 'recording')}"
            + (f": {shown}" if shown else ""),
            *(f"warning: {warning}" for warning in written.warnings if warning != NO_NEGATIVE_CLASS),
            self.thresholds,
            *(f"warning: {sentence}" for sentence in written.time_warnings),
            f"tables: {self.folder}",
        ]

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {"folder": str(self.folder), **asdict(self.written)}


def write_detections(session: Session, run: int, request: TableRequest) -> DetectionTables:
    """Write the tables of a finished prediction.

    Raises: UsageError if the run is no prediction, is not finished, or an option is wrong; FolderInUse if the folder
    holds other tables; Damaged if the scores are not what was written; OSError.
    """
    seen = snapshot(session.database, run)
    found = collected_scores(seen)
    folder = request.folder or session.settings.home / "predictions" / str(run)
    with session.store.local_files() as local_file:
        file = local_file(found.key, found.sha256)
        file.require_whole()
        facts, recordings = read_scores(file.path)
        options = table_options(facts.labels, found.sha256, request, planned_thresholds(seen.run))
        options = replace(options, warnings=training_data_warnings(session.database, run))
        written = write_tables(folder, facts, recordings, options)
    return DetectionTables(folder, written, sources_line(facts.labels, options.thresholds))


def planned_thresholds(run: PlannedRun) -> Sequence[Threshold]:
    """The thresholds that a prediction was planned with, one for each label; those of no validation if it has none."""
    planned = [
        Threshold(each["value"], each["why"], ThresholdSource(each["source"]))
        for each in run.facts.get("thresholds", ())
    ]
    return planned or default_thresholds(run.labels, None)


def training_data_warnings(database: Database, run: int) -> tuple[str, ...]:
    """Say how many recordings of a prediction the model was trained on, if it was trained in this ledger."""
    n_trained = n_trained_on(database, run)
    if not n_trained:
        return ()
    return (
        f"The model was trained on {counted(n_trained, 'recording')} of this prediction. Scores on training recordings "
        "are not evidence; the report of the training run has its scores on others.",
    )


def collected_scores(seen: Snapshot) -> CollectResult:
    """Return the file of a prediction's scores. Raises: UsageError if the run predicts nothing, or is not finished."""
    run = seen.run
    if run.kind != RunKind.PREDICT:
        raise UsageError(f"run {run.id} trains models; `orchestrator predict PATH --model {run.id}` predicts with them")
    for job in seen.jobs:
        if isinstance(job.result, CollectResult) and job.state == State.DONE:
            return job.result
    raise UsageError(f"run {run.id} is {run.state} and has no scores yet; `orchestrator watch {run.id}` follows it")


def require_writable(labels: Sequence[str], request: TableRequest) -> None:
    """Check, before a prediction, that its tables can be written at its end.

    Raises: UsageError if an option is wrong; FolderInUse if the folder holds tables.
    """
    table_options(labels, "", request, default_thresholds(labels, None))
    if request.folder:
        require_unused(request.folder)


def table_options(
    labels: Sequence[str], scores_digest: str, request: TableRequest, planned: Sequence[Threshold]
) -> TableOptions:
    """Return the options of tables, with the threshold of each label. Raises: UsageError if one is wrong.

    planned: a threshold for each label that the user sets none for.
    """
    thresholds = list(planned)
    if request.threshold is not None:
        thresholds = [_asked(request.threshold, ThresholdSource.OPTION)] * len(labels)
    own = thresholds_from_file(request.thresholds, labels) if request.thresholds else {}
    for at, label in enumerate(labels):
        if label in own:
            thresholds[at] = _asked(own[label], ThresholdSource.TABLE)
    return TableOptions(
        scores_digest=scores_digest,
        thresholds=thresholds,
        formats=request.formats,
        top_n=request.top_n,
        merge_gap_s=request.merge_gap_s,
        per_recording=request.per_recording,
        names=names_from_file(request.names) if request.names else {},
        zone=None if request.timezone is None else zone_of(request.timezone),
        sites=_sites(request.sites),
        sites_file=request.sites.name if request.sites else "",
    )


def _asked(value: float, source: ThresholdSource) -> Threshold:
    return Threshold(value, source.value, source)


def _sites(path: Path | None) -> Sites:
    """The table that the user gives, else the folders. Raises: UsageError if the table cannot be used."""
    try:
        return read_sites(path) if path else Sites()
    except LayoutError as error:
        raise UsageError(str(error)) from error
