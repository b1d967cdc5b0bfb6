"""How the windows of a validation subset are counted by class and score."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.model.validation_counts import STEPS, ValidationCounts


def windows(*scored: tuple[int, list[float]]) -> tuple[np.ndarray, np.ndarray]:
    """Windows as (class, scores)."""
    return np.array([scores for _, scores in scored], np.float32), np.array([label for label, _ in scored], np.int64)


def places(counts: np.ndarray) -> dict[tuple[int, int], int]:
    """The counts that are not zero, by class and step."""
    return {(int(label), int(step)): int(counts[label, step]) for label, step in zip(*np.nonzero(counts), strict=True)}


def test_a_window_counts_for_its_own_class_and_against_all_others():
    counts = ValidationCounts.of(3, [windows((0, [0.7, 0.2, 0.1]), (0, [0.7, 0.25, 0.05]), (2, [0.0, 0.0, 1.0]))])
    assert places(counts.own) == {(0, 700): 2, (2, STEPS): 1}
    assert places(counts.other) == {(0, 0): 1, (1, 200): 1, (1, 250): 1, (1, 0): 1, (2, 100): 1, (2, 50): 1}
    assert counts.n_windows == 3


@pytest.mark.parametrize("step", [0, 1, 25, 333, 700, 900, 999, 1000])
def test_a_score_is_at_or_above_its_step_and_below_the_next_one_as_a_detection_compares_them(step):
    edge = np.float32(step / STEPS)
    scores = np.array([edge, np.nextafter(edge, np.float32(0)), np.nextafter(edge, np.float32(2))], np.float32)
    counts = ValidationCounts.of(1, [(scores[:, np.newaxis], np.zeros(3, np.int64))])
    for threshold in (step, step + 1):
        expected = int((scores >= np.float32(threshold / STEPS)).sum())
        assert counts.own[0, threshold:].sum() == expected


def test_batches_make_no_difference_and_pooled_networks_add_up():
    draw = np.random.default_rng(1)
    scores, truth = draw.dirichlet(np.ones(4), 100).astype(np.float32), draw.integers(0, 4, 100)
    whole = ValidationCounts.of(4, [(scores, truth)])
    parts = [ValidationCounts.of(4, [(scores[:37], truth[:37])]), ValidationCounts.of(4, [(scores[37:], truth[37:])])]
    batches = ValidationCounts.of(4, [(scores[at : at + 9], truth[at : at + 9]) for at in range(0, 100, 9)])
    pooled = parts[0] + parts[1]
    for other in (batches, pooled):
        assert np.array_equal(other.own, whole.own)
        assert np.array_equal(other.other, whole.other)
    assert (whole.n_networks, pooled.n_networks) == (1, 2)


def test_the_file_gives_the_same_counts_and_the_same_bytes_again():
    counts = ValidationCounts.of(2, [windows((0, [0.9, 0.1]), (1, [0.4, 0.6]))])
    read = ValidationCounts.from_bytes(counts.to_bytes())
    assert (places(read.own), places(read.other)) == (places(counts.own), places(counts.other))
    assert read.to_bytes() == counts.to_bytes()
