"""Adds recordings and their detections to effort and history."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime

import numpy as np

from tasks.dataset.recorders.recorded_at import later
from tasks.detections.detection import Detection, DetectionRules, detections_of
from tasks.detections.effort import Effort, RecordingEffort
from tasks.detections.origin import Origin
from tasks.detections.score_file import ScoredRecording


class DetectionEffort:
    """Effort and history of a prediction. sums: what was added so far."""

    def __init__(self, labels: Sequence[str], rules: DetectionRules) -> None:
        self._labels, self._rules = labels, replace(rules, merge_gap_s=None)
        can_be_detected = np.isfinite(rules.thresholds)
        self.sums = Effort([label for label, is_one in zip(labels, can_be_detected, strict=True) if is_one])

    def add(self, recording: ScoredRecording, detections: Sequence[Detection], origin: Origin) -> None:
        """Add a recording. One of unknown duration counts without seconds."""
        duration_s = 0.0 if math.isnan(recording.duration_s) else recording.duration_s
        effort = RecordingEffort(
            site=origin.site,
            start=origin.local,
            duration_s=duration_s,
            unusable=recording.unusable,
            dates_by_class=self._dates(recording, detections, origin.local, duration_s),
        )
        self.sums.add(effort)

    def _dates(
        self, recording: ScoredRecording, detections: Sequence[Detection], start: datetime | None, duration_s: float
    ) -> Mapping[str, Iterable[date]]:
        """The local dates on which windows with a detection start, by class."""
        if not detections or start is None:
            return {}
        if later(start, duration_s).date() == start.date():
            return dict.fromkeys((self._labels[each.label] for each in detections), (start.date(),))
        dates: dict[str, set[date]] = {}
        for each in detections_of(recording, self._rules):  # not merged: a merged detection may begin a day earlier
            dates.setdefault(self._labels[each.label], set()).add(later(start, each.start_s).date())
        return dates
