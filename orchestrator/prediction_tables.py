"""Writes the tables of a prediction from its scores; no inference is run again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

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
from tasks.detections.detection_tables import TableOptions, TablesWritten, Threshold, write_tables
from tasks.detections.publication import require_unused
from tasks.detections.score_file import read_scores

DEFAULT_THRESHOLD = 0.5
_SHOWN = 10


@dataclass(frozen=True)
class TableRequest:
    """The tables that a user asks for; None: the default. thresholds: by class; the others have `threshold`."""

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
    """The tables that were written, and what is in them."""

    folder: Path
    written: TablesWritten

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
    found = _scores(snapshot(session.database, run))
    folder = request.folder or session.settings.home / "predictions" / str(run)
    with session.store.local_files() as local_file:
        file = local_file(found.key, found.sha256)
        file.require_whole()
        facts, recordings = read_scores(file.path)
        written = write_tables(folder, facts, recordings, _options(facts.labels, found.sha256, request))
    return DetectionTables(folder, written)


def _scores(seen: Snapshot) -> CollectResult:
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
    _options(labels, "", request)
    if request.folder:
        require_unused(request.folder)


def _options(labels: Sequence[str], scores_digest: str, request: TableRequest) -> TableOptions:
    own = thresholds_from_file(request.thresholds, labels) if request.thresholds else {}
    other = Threshold(DEFAULT_THRESHOLD, "default")
    if request.threshold is not None:
        other = Threshold(request.threshold, "--threshold")
    return TableOptions(
        scores_digest=scores_digest,
        thresholds=[Threshold(own[label], "--thresholds") if label in own else other for label in labels],
        formats=request.formats,
        top_n=request.top_n,
        merge_gap_s=request.merge_gap_s,
        per_recording=request.per_recording,
        names=names_from_file(request.names) if request.names else {},
        zone=None if request.timezone is None else zone_of(request.timezone),
        sites=_sites(request.sites),
        sites_file=request.sites.name if request.sites else "",
    )


def _sites(path: Path | None) -> Sites:
    """The table that the user gives, else the folders. Raises: UsageError if the table cannot be used."""
    try:
        return read_sites(path) if path else Sites()
    except LayoutError as error:
        raise UsageError(str(error)) from error
