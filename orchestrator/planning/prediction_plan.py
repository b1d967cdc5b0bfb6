"""Plans a prediction: recordings and a trained model become an active run of spans and one job."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from db.engine import Database
from db.ledger import planning
from domain.digests import Digest
from domain.errors import Impossible
from domain.plural import counted
from domain.states import Kind, RunKind
from domain.subsets import HOLDOUT, Subset
from domain.work import PlannedItem, PlannedJob
from orchestrator.package_versions import versions
from orchestrator.planning.gather import (
    Progress,
    lookup_in,
    measured_recordings,
    nothing_known,
    reporting,
    trusted_recordings,
)
from orchestrator.planning.model_choice import ChosenModel
from orchestrator.planning.plan import UNKNOWN_DURATION_S, WORK_S_A_FILE, WORK_S_A_SECOND
from orchestrator.planning.submit import bad_row, recording_row
from tasks.audio.chunk import n_spans
from tasks.audio.preset import Preset
from tasks.dataset.layouts import Layout, UnusableRow
from tasks.dataset.manifest import FoundRecording, Lookup, Summary
from tasks.detections.detection_tables import Threshold, warnings_of
from tasks.model.prediction_pipeline import PredictionPipeline

_SPAN_BITS = 24
"""Bits of an item's order key for the span; a recording has fewer spans than that."""
_WORK_S_A_WINDOW = 0.002
"""Estimated seconds of one core that a window takes beside those without overlap."""


@dataclass(frozen=True)
class PredictionRequest:
    """What a user asks for. shown: the path as typed, made absolute, which is kept with the run.

    thresholds: of each class of the model, for tables without `--threshold`.
    """

    model: ChosenModel
    shown: str
    trust_csv: bool = False
    thresholds: tuple[Threshold, ...] = ()


@dataclass(frozen=True)
class PlannedPrediction:
    """A prediction that was planned. run: its number; 0 if nothing was written.  lines: sentences for the user."""

    run: int
    n_recordings: int
    n_items: int
    lines: tuple[str, ...]


def submit_prediction(
    database: Database, layout: Layout, request: PredictionRequest, report: Progress
) -> PlannedPrediction:
    """Plan the recordings and leave an active run in the ledger, or nothing at all.

    Recordings and items are written while they are read, so that memory does not grow with their number.

    Raises: Impossible if no recording is usable; MachineFault if a file cannot be read.
    """
    pipeline = request.model.pipeline
    dataset = planning.ensure_dataset(database, str(layout.root), layout.name, renames=False)
    row = planning.ensure_pipeline(database, pipeline.digest, pipeline.preset.name, pipeline.as_dict())
    run = planning.begin_run(database, dataset, row, _options(request), RunKind.PREDICT)
    try:
        plan = _Reading(layout, request, report, lookup_in(database, dataset))
        n_items = planning.add_items(database, run, row, _written(plan, database, dataset, run))
        plan.require_any()
        facts = {
            "recordings": plan.summary.n_recordings, "items": n_items, "summary": plan.summary.as_dict(),
            "versions": versions(), "layout_notes": [*layout.notes, *layout.findings.lines()],
            "findings": layout.findings.as_dict(), "plan_digest": plan.digest.hex(),
            "thresholds": [threshold._asdict() for threshold in request.thresholds],
        }  # fmt: skip
        labels = list(request.model.labels)
        planning.activate_run(database, run, [PlannedJob(Kind.COLLECT)], [row], labels=labels, facts=facts)
    except BaseException:
        planning.discard_run(database, run)
        raise
    return PlannedPrediction(run, plan.summary.n_recordings, n_items, plan.lines())


def dry_prediction(
    database: Database | None, layout: Layout, request: PredictionRequest, report: Progress
) -> PlannedPrediction:
    """Read the recordings and count the work; nothing is written. Raises: as `submit_prediction`."""
    dataset = planning.find_dataset(database, str(layout.root)) if database else None
    lookup = lookup_in(database, dataset) if database and dataset else nothing_known
    plan = _Reading(layout, request, report, lookup)
    preset = request.model.pipeline.preset
    n_items = sum(_n_spans(found, preset) for good, _ in plan.batches() for found in good)
    plan.require_any()
    return PlannedPrediction(0, plan.summary.n_recordings, n_items, plan.lines())


def _options(request: PredictionRequest) -> dict[str, object]:
    model = request.model
    networks = {Path(network.key).stem: network.sha256 for network in model.pipeline.networks}
    source = None if model.run is None else {"run": model.run, "fold": model.fold}
    prediction = {"model": model.name, "choice": model.choice, "networks": networks, "source": source}
    return {"models": [model.name], "path": request.shown, "trust_csv": request.trust_csv, "prediction": prediction}


@dataclass
class _Reading:
    """One pass over the recordings: what was counted. digest: of the recordings and their order."""

    layout: Layout
    request: PredictionRequest
    report: Progress
    lookup: Lookup
    summary: Summary = field(default_factory=Summary)
    digest: Digest = field(default_factory=lambda: Digest("prediction"))

    def batches(self) -> Iterator[tuple[list[FoundRecording], list[UnusableRow]]]:
        """Yield recordings and unusable rows, a batch at a time."""
        read = trusted_recordings if self.request.trust_csv else measured_recordings
        entries = reporting(read(self.layout, self.lookup), self.report)
        while batch := list(islice(entries, planning.BATCH)):
            for entry in batch:
                self.summary.add(entry)
            good = [entry for entry in batch if isinstance(entry, FoundRecording)]
            for found in good:
                self.digest.add([found.row.uri, found.digest])
            yield good, [entry for entry in batch if isinstance(entry, UnusableRow)]

    def require_any(self) -> None:
        """Raise Impossible if no recording is usable."""
        if not self.summary.n_recordings:
            reasons = "; ".join(f"{counted(n, 'time')} {code.words}" for code, n in self.summary.bad.most_common(3))
            raise Impossible(f"no usable recording in {self.layout.root}: {reasons or 'it holds no audio files'}")

    def lines(self) -> tuple[str, ...]:
        """The plan for people."""
        layout, model = self.layout, self.request.model
        return (
            f"{layout.name} at {layout.root}", *layout.notes, *layout.findings.lines(), *self.summary.lines(),
            f"model: {model.choice}", _windows(model.pipeline),
            *(f"warning: {warning}" for warning in warnings_of(model.labels)),
        )  # fmt: skip


def _written(plan: _Reading, database: Database, dataset: int, run: int) -> Iterator[PlannedItem]:
    """Yield the items of the recordings, after the rows of recordings and unusable rows are written."""
    position = 0
    for good, bad in plan.batches():
        ids = planning.ensure_recordings(database, dataset, map(recording_row, good))
        planning.add_bad_rows(database, run, map(bad_row, bad))
        for found, row_id in zip(good, list(ids), strict=True):
            yield from _items(found, row_id, position, plan.request.model.pipeline)
            position += 1


def _windows(pipeline: PredictionPipeline) -> str:
    """The windows for people."""
    window_s, step_s = pipeline.preset.chunk.duration_s, pipeline.step_samples / pipeline.preset.decode.rate_hz
    return f"windows of {window_s:g} s, one every {step_s:g} s"


def _items(found: FoundRecording, row_id: int, position: int, pipeline: PredictionPipeline) -> Iterator[PlannedItem]:
    preset = pipeline.preset
    more_windows_a_second = preset.decode.rate_hz * (1 / pipeline.step_samples - 1 / preset.chunk_samples)
    work_s_a_second = WORK_S_A_SECOND + _WORK_S_A_WINDOW * more_windows_a_second
    duration_s = found.n_frames / found.rate_hz if found.rate_hz else UNKNOWN_DURATION_S
    for span in range(_n_spans(found, preset)):
        rest_s = max(duration_s - span * preset.decode.span_s, 0.0)
        yield PlannedItem(
            recording_id=row_id, span=span, copy=0, fold=HOLDOUT, subset=Subset.TEST, group_name="",
            order_key=(position << _SPAN_BITS) + span,
            work_s=WORK_S_A_FILE + work_s_a_second * min(rest_s, preset.decode.span_s),
        )  # fmt: skip


def _n_spans(found: FoundRecording, preset: Preset) -> int:
    return n_spans(found.n_frames, found.rate_hz, found.size_bytes, preset)
