"""When scores become detections, with answers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.detections.detection import (
    Detection,
    DetectionRules,
    detections_of,
    detections_of_each,
    event_thresholds,
)
from tasks.detections.score_file import ScoredRecording


def recording(starts_s, scores, duration_s=60.0) -> ScoredRecording:
    starts = np.array(starts_s, np.float64)
    return ScoredRecording(0, "a.wav", "/data/a.wav", duration_s, starts, np.array(scores, np.float32))


def rules(*thresholds, **options) -> DetectionRules:
    return DetectionRules(5.0, np.array(thresholds, np.float32), **options)


def test_a_score_at_its_threshold_is_a_detection_and_one_below_is_not():
    found = detections_of(recording([0, 5], [[0.9, 0.1], [0.899, 0.25]]), rules(0.9, 0.25))
    assert found == [Detection(0.0, 5.0, 0, 0.9), Detection(5.0, 10.0, 1, 0.25)]


def test_detections_come_by_start_then_by_descending_score_then_by_class():
    found = detections_of(recording([0, 5], [[0.3, 0.5, 0.3], [0.9, 0.1, 0.1]]), rules(0.2, 0.2, 0.2))
    assert [(each.start_s, each.label) for each in found] == [(0, 1), (0, 0), (0, 2), (5, 0)]


def test_a_detection_ends_with_its_recording():
    assert detections_of(recording([0, 5], [[0.1], [0.9]], duration_s=7.25), rules(0.5))[0].end_s == 7.25


def test_a_score_is_the_shortest_number_that_names_the_float32():
    score = detections_of(recording([0], [[1 / 3]]), rules(0))[0].score
    assert (score, np.float32(score)) == (0.33333334, np.float32(1 / 3))


def test_top_n_keeps_the_best_classes_of_a_window_and_prefers_the_first_of_equal_ones():
    found = detections_of(recording([0, 5], [[0.3, 0.4, 0.3], [0.6, 0.1, 0.3]]), rules(0.2, 0.2, 0.2, top_n=2))
    assert [(each.start_s, each.label) for each in found] == [(0, 1), (0, 0), (5, 0), (5, 2)]


def test_top_n_counts_only_classes_that_make_detections():
    thresholds = event_thresholds(["noise", "wren"], [0.1, 0.1])
    assert [each.label for each in detections_of(recording([0], [[0.8, 0.2]]), rules(*thresholds, top_n=1))] == [1]


@pytest.mark.parametrize("label", ["noise", "Background", "SILENCE", "other"])
def test_classes_that_name_no_event_make_no_detections(label):
    assert detections_of(recording([0], [[1.0]]), rules(*event_thresholds([label], [0.0]))) == []


def test_adjacent_detections_of_one_class_become_one_with_the_highest_score():
    scores = [[0.6, 0.1], [0.8, 0.7], [0.7, 0.1], [0.1, 0.1], [0.9, 0.1]]
    found = detections_of(recording([0, 5, 10, 15, 20], scores), rules(0.5, 0.5, merge_gap_s=0))
    assert found == [Detection(0, 15, 0, 0.8), Detection(5, 10, 1, 0.7), Detection(20, 25, 0, 0.9)]


def test_a_gap_as_long_as_the_merge_gap_is_closed_and_a_longer_one_is_not():
    scores = [[0.6], [0.1], [0.9], [0.1], [0.1], [0.8]]
    starts = [0, 5, 10, 15, 20, 25]
    found = detections_of(recording(starts, scores), rules(0.5, merge_gap_s=5))
    assert found == [Detection(0, 15, 0, 0.9), Detection(25, 30, 0, 0.8)]


def test_starts_that_are_not_exact_open_no_gap():
    starts = np.arange(20) * 0.1 * 50 + 1e-9 * (np.arange(20) % 2)
    assert len(detections_of(recording(starts, [[0.9]] * 20, 200.0), rules(0.5, merge_gap_s=0))) == 1


def test_without_a_merge_gap_each_window_is_a_detection_also_where_windows_overlap():
    found = detections_of(recording([0, 2.5], [[0.9], [0.8]]), rules(0.5))
    assert [(each.start_s, each.end_s) for each in found] == [(0, 5), (2.5, 7.5)]


def test_overlapping_detections_become_one_with_a_merge_gap():
    scores = [[0.9], [0.8], [0.1], [0.1], [0.7], [0.6]]
    found = detections_of(recording([0, 2.5, 5, 7.5, 10, 12.5], scores, 14.0), rules(0.5, merge_gap_s=0))
    assert found == [Detection(0, 7.5, 0, 0.9), Detection(10, 14, 0, 0.7)]


def test_a_recording_without_windows_has_no_detections():
    assert detections_of(recording([], np.empty((0, 2))), rules(0, 0, top_n=1, merge_gap_s=0)) == []


def test_recordings_that_are_compared_together_stay_apart():
    run = [
        recording([0, 5], [[0.9, 0.1], [0.8, 0.9]], duration_s=10.0),
        recording([], np.empty((0, 2))),
        recording([0], [[0.7, 0.1]], duration_s=3.0),
        recording([0], [[0.1, 0.1]]),
        recording([0], [[0.1, 0.6]], duration_s=float("nan")),
    ]
    found = list(detections_of_each(iter(run), rules(0.5, 0.5, merge_gap_s=100)))
    assert [each for each, _ in found] == run
    assert [detections for _, detections in found] == [
        [Detection(0, 10, 0, 0.9), Detection(5, 10, 1, 0.9)],
        [],
        [Detection(0, 3, 0, 0.7)],
        [],
        [Detection(0, 5, 1, 0.6)],
    ]


@pytest.mark.parametrize("n", [1, 700, 5000])
def test_batches_of_any_size_give_what_single_recordings_give(n):
    random = np.random.default_rng(n)
    run = [recording([0, 5, 10], random.random((3, 8), np.float32), 15.0) for _ in range(n)]
    asked = rules(*[0.6] * 8, top_n=2, merge_gap_s=0)
    assert [found for _, found in detections_of_each(run, asked)] == [detections_of(each, asked) for each in run]
