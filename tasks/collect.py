"""The task `collect`: joins the scores of a prediction's spans into one file."""

from __future__ import annotations

import itertools
import json
import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import chain, groupby
from typing import Any, NamedTuple

import numpy as np
from celery import shared_task
from numpy.typing import NDArray

from db.queries.job_inputs import PlannedRun, has_open_items, planned_run
from db.queries.scored_spans import ScoredSpan, scored_spans
from db.queries.status import unusable_rows
from domain.digests import Digest, digest_of, pieces_digest
from domain.errors import MachineFault
from domain.plural import counted
from domain.results import CollectResult, FileRole, JobOutput, OutputFile
from tasks.audio.containers.header_texts import NO_TEXTS, HeaderTexts
from tasks.audio.preset import Preset
from tasks.audio.source import pieces
from tasks.audio.window import window_starts_s
from tasks.dataset.recorders.clocks import clock_of
from tasks.detections.score_file import ScoredRecording, ScoreFacts, write_scores
from tasks.model.prediction_pipeline import PredictionPipeline
from tasks.model.span_scores import SpanScores
from tasks.runtime.span_files import SpanFileMissing, fetched, made_again
from tasks.runtime.task import LedgerTask, Work

_LISTED = 5


@shared_task(name="collect", base=LedgerTask, bind=True)
def collect(self: LedgerTask, message: dict[str, Any]) -> None:
    """Join the scores of a prediction into one file.

    Reads: the scores of the run's spans, in the order of the plan. Writes: the file of all scores, then the job row.
    Idempotent: name and bytes of the file follow from the scores and from the run's plan.
    """
    self.carry_out_job(message, scores_in_store)


def scores_in_store(work: Work) -> JobOutput:
    """Write the scores of the run's recordings, also of those without any, with the reason; return the file.

    Raises: Damaged if the scores of a span are not what was written; MachineFault if some are missing, which the run
    then makes again, or if the ledger changes meanwhile; OSError if the store cannot be read.
    """
    run = planned_run(work.database, work.claim.run, work.claim.pipeline_id)
    facts = score_facts(run)
    name = _named(run, facts)
    deque(_added(scored_spans(work.database, run.id), name), maxlen=0)
    if has_open_items(work.database, run.id):  # asked after the rows were read: none of them may be left out
        raise MachineFault("items of the run are being made again; collecting waits for them")
    key = f"predictions/{name.hex()[:32]}/scores.parquet"
    counts = {"n_recordings": 0, "n_windows": 0}

    def counted_recordings() -> Iterator[ScoredRecording]:
        again, numbers = _named(run, facts), itertools.count()
        spans = _added(scored_spans(work.database, run.id), again)
        for recording in chain(_recordings(work, run, spans, numbers), _unusable_rows(work, run, numbers)):
            counts["n_recordings"] += 1
            counts["n_windows"] += len(recording.starts_s)
            yield recording
        if again.hex() != name.hex():
            raise MachineFault("the ledger's spans changed during collecting; the job starts again")

    try:
        with work.store.writing(key) as path:
            write_scores(path, facts, counted_recordings())
            size_bytes, sha256 = path.stat().st_size, pieces_digest(pieces(path))
    except SpanFileMissing as missing:
        raise made_again(work, _predicted(scored_spans(work.database, run.id))) from missing
    return JobOutput(CollectResult(key, sha256, **counts), (OutputFile(key, FileRole.SCORES, size_bytes, sha256),))


def _named(run: PlannedRun, facts: ScoreFacts) -> Digest:
    """The name of the file, to which its spans are added: a digest of everything that determines its bytes."""
    return Digest([json.dumps(asdict(facts), sort_keys=True), run.dataset])


def _added(spans: Iterator[ScoredSpan], name: Digest) -> Iterator[ScoredSpan]:
    for span in spans:
        length = [span.n_frames, span.rate_hz]
        name.add([span.recording, *length, span.span, span.state, span.reason or "", span.sha256])
        yield span


def score_facts(run: PlannedRun) -> ScoreFacts:
    """What the file of scores says about the whole run."""
    pipeline = PredictionPipeline.from_dict(run.preset)
    prediction = run.options["prediction"]
    return ScoreFacts(
        labels=run.labels,
        window_s=pipeline.preset.chunk.duration_s,
        overlap_s=pipeline.overlap_s,
        run=run.id,
        run_digest=digest_of([run.pipeline_digest, run.facts["plan_digest"]]),
        model=prediction["model"],
        model_choice=prediction["choice"],
        networks=prediction["networks"],
        pipeline_digest=run.pipeline_digest,
        low_hz=pipeline.preset.mel.fmin_hz,
        high_hz=pipeline.preset.mel.fmax_hz,
        versions=run.facts["versions"],
    )


def _predicted(spans: Iterable[ScoredSpan]) -> Iterator[ScoredSpan]:
    return (span for span in spans if span.is_predicted)


def _recordings(
    work: Work, run: PlannedRun, spans: Iterator[ScoredSpan], numbers: Iterator[int]
) -> Iterator[ScoredRecording]:
    """Yield the recordings in the order of the plan; scores are read ahead in the order of the spans."""
    pipeline = PredictionPipeline.from_dict(run.preset)
    preset = pipeline.preset
    scores = fetched(work.store, _predicted(scored_spans(work.database, run.id)))
    for _, group in groupby(spans, lambda span: span.recording_id):
        of_recording = list(group)
        parts = [_scores(work, span, scores, pipeline) for span in _predicted(of_recording)]
        starts_s = np.concatenate([np.zeros(0), *(part.starts_s for part in parts)])
        values = np.concatenate([np.zeros((0, len(run.labels)), np.float32), *(part.scores for part in parts)])
        duration_s = _duration_s(of_recording[0], starts_s, preset)
        uri = of_recording[0].recording
        header = next((part.header for part in parts if part.header != NO_TEXTS), NO_TEXTS)
        # A decoder may find up to 0.1 s more than the header states: the recording has its stated length.
        is_inside = starts_s < duration_s if len(starts_s) else np.zeros(0, bool)
        yield ScoredRecording(
            number=next(numbers),
            uri=uri,
            path=_path(run, uri),
            duration_s=duration_s,
            starts_s=starts_s[is_inside],
            scores=values[is_inside],
            clock=clock_of(uri, header),
            unusable=_unusable(of_recording, duration_s, pipeline),
            is_quarantined=not all(span.is_predicted for span in of_recording),
            reason=_reason(of_recording, preset),
        )


class _SpanWindows(NamedTuple):
    """starts_s: (n,) float64, within the recording.  scores: (n, classes) float32.  header: texts with the time."""

    starts_s: NDArray[np.float64]
    scores: NDArray[np.float32]
    header: HeaderTexts


def _scores(
    work: Work, span: ScoredSpan, scores: Iterator[tuple[ScoredSpan, bytes]], pipeline: PredictionPipeline
) -> _SpanWindows:
    """Return the windows of a span, whose scores come next. Raises: MachineFault if the ledger has changed."""
    work.require_claim()
    row, data = next(scores, (None, b""))
    if row is None or row.id != span.id:
        raise MachineFault("the ledger's spans changed during collecting; the job starts again")
    found = SpanScores.from_bytes(data)
    starts_s = window_starts_s(found.numbers, span.span, pipeline.preset, pipeline.step_samples)
    return _SpanWindows(starts_s, found.scores, found.header)


def _duration_s(span: ScoredSpan, starts_s: NDArray[np.float64], preset: Preset) -> float:
    """The recording's length as planned; the end of its last window if it is not known."""
    if span.rate_hz:
        return span.n_frames / span.rate_hz
    return float(starts_s[-1]) + preset.chunk.duration_s if len(starts_s) else math.nan


def _unusable(
    spans: Sequence[ScoredSpan], duration_s: float, pipeline: PredictionPipeline
) -> tuple[tuple[float, float], ...]:
    """Begins and ends of what no window covers because spans were not predicted, in s; none if the length is unknown.

    Overlapping windows that would cross into such a span are left out, and those that start in it do not exist. A
    stretch therefore begins where the last window before it ends, and ends where the next window starts.
    """
    preset, step = pipeline.preset, pipeline.step_samples
    stretches = []
    for is_predicted, group in groupby(spans, lambda span: span.is_predicted):
        of_group = list(group)
        if is_predicted:
            continue
        begin, end = of_group[0].span * preset.span_samples, (of_group[-1].span + 1) * preset.span_samples
        begin = begin and (begin - preset.chunk_samples) // step * step + preset.chunk_samples
        end = -(-end // step) * step
        stretches.append((begin / preset.decode.rate_hz, min(end / preset.decode.rate_hz, duration_s)))
    return tuple((begin_s, end_s) for begin_s, end_s in stretches if begin_s < duration_s)


def _reason(spans: Sequence[ScoredSpan], preset: Preset) -> str | None:
    """Why spans were not predicted, with their time if others were; None if all were."""
    lost = [span for span in spans if not span.is_predicted]
    if not lost or len(lost) == len(spans):
        return lost[0].reason if lost else None
    length_s = preset.decode.span_s
    begins = ", ".join(f"{span.span * length_s} s" for span in lost[:_LISTED]) + (", …" if len(lost) > _LISTED else "")
    return f"{counted(len(lost), 'span')} of {len(spans)}, of {length_s} s each, from {begins}: {lost[0].reason}"


def _unusable_rows(work: Work, run: PlannedRun, numbers: Iterator[int]) -> Iterator[ScoredRecording]:
    """Yield what the plan could not use, such as files that do not exist: quarantined, of unknown duration."""
    for row in unusable_rows(work.database, run.id):
        uri = row.uri or f"line {row.line}"
        yield ScoredRecording(
            number=next(numbers),
            uri=uri,
            path=_path(run, uri),
            duration_s=math.nan,
            starts_s=np.zeros(0),
            scores=np.zeros((0, len(run.labels)), np.float32),
            clock=clock_of(uri, NO_TEXTS),
            is_quarantined=True,
            reason=row.reason,
        )


def _path(run: PlannedRun, uri: str) -> str:
    return f"{run.dataset.rstrip('/')}/{uri}"
