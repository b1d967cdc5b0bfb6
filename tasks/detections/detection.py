"""From scores to detections: thresholds, the best classes of a window, and merging."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.dataset.layouts.layout import is_non_event
from tasks.detections.score_file import ScoredRecording

_BATCH_BYTES, _MOST_IN_BATCH = 1 << 20, 4096
_TOLERANCE_S = 1e-6
"""Of the gap: starts such as 3 * 3.7 are not exact."""


class Detection(NamedTuple):
    """One class in one stretch of a recording.

    start_s, end_s: in s from the start of the recording.  label: number of the class, from 0.
    score: the shortest decimal number that names the float32 score.
    """

    start_s: float
    end_s: float
    label: int
    score: float


@dataclass(frozen=True, eq=False)
class DetectionRules:
    """When scores become detections.

    window_s: length of a window.  thresholds: (classes,) float32, lowest score of a detection; infinite for classes
    that make none.  top_n: most classes per window.
    merge_gap_s: detections of one class become one if the gap between them is this or less; None merges nothing.
    """

    window_s: float
    thresholds: NDArray[np.float32]
    top_n: int | None = None
    merge_gap_s: float | None = None


def event_thresholds(labels: Sequence[str], thresholds: Sequence[float]) -> NDArray[np.float32]:
    """Return (classes,) float32 thresholds, infinite for classes that are no events, such as "noise".

    >>> event_thresholds(["Noise", "wren"], [0.5, 0.25]).tolist()
    [inf, 0.25]
    """
    values = [np.inf if is_non_event(label) else value for label, value in zip(labels, thresholds, strict=True)]
    return np.array(values, np.float32)


def detections_of(recording: ScoredRecording, rules: DetectionRules) -> list[Detection]:
    """Return the detections of a recording by start, then by descending score, then by class.

    A merged detection has the start of its first window, the end of its last, and its highest score. Of equal scores,
    `top_n` prefers the first class. A detection never ends after its recording.
    """
    return _detections([recording], rules)[0]


def detections_of_each(
    recordings: Iterable[ScoredRecording], rules: DetectionRules
) -> Iterator[tuple[ScoredRecording, list[Detection]]]:
    """Yield each recording with its detections, as `detections_of` returns them.

    About a megabyte of scores is compared at a time: NumPy takes as long for a dozen windows as for a thousand.
    """
    batch: list[ScoredRecording] = []
    n_bytes = 0
    for recording in recordings:
        batch.append(recording)
        n_bytes += recording.scores.nbytes
        if n_bytes >= _BATCH_BYTES or len(batch) >= _MOST_IN_BATCH:
            yield from zip(batch, _detections(batch, rules), strict=True)
            batch, n_bytes = [], 0
    yield from zip(batch, _detections(batch, rules), strict=True)


def _detections(batch: Sequence[ScoredRecording], rules: DetectionRules) -> list[list[Detection]]:
    """Return the detections of each recording of a batch, in the order of the recordings."""
    windowed = [(number, each) for number, each in enumerate(batch) if len(each.starts_s)]
    if not windowed:
        return [[] for _ in batch]
    all_scores = np.concatenate([each.scores for _, each in windowed])
    is_hit = all_scores >= rules.thresholds
    if rules.top_n is not None:
        is_hit = _among_best(all_scores, is_hit, rules.top_n)
    labels, rows = np.nonzero(is_hit.T)  # by class, then by recording, then by start
    owners = np.repeat([number for number, _ in windowed], [len(each.starts_s) for _, each in windowed])[rows]
    scores = all_scores[rows, labels]
    starts = np.concatenate([each.starts_s for _, each in windowed])[rows]
    durations = np.array([each.duration_s for each in batch])[owners]
    ends = np.fmin(starts + rules.window_s, durations)  # fmin: an unknown duration limits nothing
    if rules.merge_gap_s is not None and len(labels) > 1:
        is_far = starts[1:] - ends[:-1] > rules.merge_gap_s + _TOLERANCE_S
        is_new = is_far | (labels[1:] != labels[:-1]) | (owners[1:] != owners[:-1])
        firsts = np.concatenate([[0], np.flatnonzero(is_new) + 1])
        lasts = np.append(firsts[1:], len(labels)) - 1
        labels, owners, starts, ends = labels[firsts], owners[firsts], starts[firsts], ends[lasts]
        scores = np.maximum.reduceat(scores, firsts)
    order = np.lexsort((labels, -scores, starts, owners))
    columns = (starts[order].tolist(), ends[order].tolist(), labels[order].tolist(), _shortest(scores[order]))
    found = list(map(Detection._make, zip(*columns, strict=True)))
    bounds = np.searchsorted(owners[order], np.arange(len(batch) + 1)).tolist()
    return [found[first:end] for first, end in pairwise(bounds)]


def _among_best(scores: NDArray[np.float32], is_hit: NDArray[np.bool_], n: int) -> NDArray[np.bool_]:
    ranked = np.argsort(np.where(is_hit, -scores, np.inf), axis=1, kind="stable")
    is_best = np.zeros_like(is_hit)
    np.put_along_axis(is_best, ranked[:, :n], values=True, axis=1)
    return is_best & is_hit


def _shortest(scores: NDArray[np.float32]) -> list[float]:
    """Return 0.9 for float32(0.9), not 0.8999999761581421. Arrow is 30 times as fast as `str` of each."""
    return [float(text) for text in pa.array(scores).cast(pa.string()).to_pylist()]
