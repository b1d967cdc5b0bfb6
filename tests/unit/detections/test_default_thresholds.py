"""Thresholds by precision on validation, with answers worked out by hand and by trying every score."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.detections.default_thresholds import FEWEST_RIGHT, default_thresholds, sources_line
from tasks.detections.detection_tables import Threshold, ThresholdSource
from tasks.model.validation_counts import STEPS, ValidationCounts

ALMOST_ALL = "0.900 of the validation windows are of the class, so a threshold of 0 is precise too"
IMPRECISE = "no threshold with 20 right detections has a precision of 0.9 on validation"


def counts_of(own: dict[float, int], other: dict[float, int], n_networks: int = 1) -> ValidationCounts:
    """Counts of two classes: windows of class 0 and of class 1 by their score for class 0."""
    scores = [score for windows in (own, other) for score, n in windows.items() for _ in range(n)]
    truth = np.repeat([0, 1], [sum(own.values()), sum(other.values())])
    columns = np.array([[score, 1 - score] for score in scores], np.float32).reshape(-1, 2)
    one = ValidationCounts.of(2, [(columns, truth)])
    return ValidationCounts(one.own, one.other, n_networks)


def first(own: dict[float, int], other: dict[float, int], n_networks: int = 1) -> Threshold:
    return default_thresholds(["wren", "owl"], counts_of(own, other, n_networks))[0]


def test_the_lowest_score_with_enough_precision_is_the_threshold():
    found = first({0.9: 20, 0.6: 7, 0.3: 5}, {0.8: 1, 0.5: 4, 0.2: 40})
    assert found == (
        0.6, "precision 0.964 on validation: 27 of 28 detections are right", ThresholdSource.VALIDATION
    )  # fmt: skip


def test_a_precision_of_exactly_nine_tenths_is_enough():
    assert first({0.6: 27}, {0.7: 3, 0.1: 9}).value == 0.6
    assert first({0.6: 27}, {0.7: 4, 0.1: 9}).value == 0.5


def test_a_lower_score_may_have_the_precision_that_a_higher_one_lacks():
    """Precision does not rise with every step: the detections at or above the threshold count together."""
    assert first({0.95: 20, 0.4: 60}, {0.9: 8, 0.1: 9}).value == 0.4


def test_scores_that_only_windows_of_other_classes_have_are_no_thresholds():
    """At 0.1 the precision would be 36 of 40, but no window of the class is found between 0.1 and 0.8."""
    found = first({0.8: 36}, {0.1: 4, 0.01: 9})
    assert (found.value, found.why.partition(": ")[2]) == (0.8, "36 of 36 detections are right")


def test_windows_with_equal_scores_pass_or_fail_together():
    assert first({0.9: 30, 0.7: 1}, {0.7: 4}).value == 0.9
    assert first({0.7004: 30}, {0.7001: 4, 0.1: 9}).value == 0.5, "equal after rounding down to 0.001"


@pytest.mark.parametrize(
    ("own", "other", "n_networks", "reason"),
    [
        ({}, {0.3: 50}, 1, "no validation windows of the class"),
        ({0.9: 19}, {0.1: 50}, 1, "too few validation windows of the class: 19, 20 are needed"),
        ({0.9: 59}, {0.1: 50}, 3, "too few validation windows of the class: 19 for each network, 20 are needed"),
        ({0.9: 30}, {0.9: 4}, 1, IMPRECISE),
        ({0.9: 89, 0.0: 1}, {0.1: 10}, 1, ALMOST_ALL),
        ({0.9: 19, 0.2: 50}, {0.5: 60}, 1, IMPRECISE),
    ],
)  # fmt: skip
def test_otherwise_it_is_a_half_with_the_reason(own, other, n_networks, reason):
    assert first(own, other, n_networks) == (0.5, f"default 0.5: {reason}", ThresholdSource.DEFAULT)


def test_networks_are_pooled_and_each_needs_its_share_of_windows():
    assert first({0.9: 59}, {0.1: 9}, 3).value == 0.5
    found = first({0.9: 60}, {0.1: 9}, 3)
    assert found.value == 0.9
    assert found.why == "precision 1.000 on validation: 60 of 60 detections of 3 networks are right"


def test_without_counts_or_windows_every_class_has_the_default_and_says_why():
    earlier = default_thresholds(["wren", "owl"], None)
    empty = default_thresholds(["wren", "owl"], ValidationCounts.of(2, []))
    assert [each.value for each in (*earlier, *empty)] == [0.5] * 4
    assert {each.why for each in earlier} == {
        "default 0.5: no validation scores: an earlier version trained the model, or it is an exported network"
    }
    assert {each.why for each in empty} == {"default 0.5: the model was trained without a validation subset"}


@pytest.mark.parametrize("seed", range(30))
def test_the_threshold_is_that_of_trying_every_step(seed):
    """The reference compares raw scores with each threshold, as detections do."""
    draw = np.random.default_rng(seed)
    n, n_classes = 400, 4
    truth = draw.integers(0, n_classes, n)
    logits = draw.normal(0, 1, (n, n_classes))
    logits[np.arange(n), truth] += draw.uniform(0, 5)
    scores = (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype(np.float32)
    counts = ValidationCounts.of(n_classes, [(scores, truth)])
    found = default_thresholds([str(label) for label in range(n_classes)], counts)
    for label, threshold in enumerate(found):
        assert threshold.value == _tried(scores[:, label], truth == label)


def _tried(scores: np.ndarray, is_own: np.ndarray) -> float:
    for step in range(STEPS + 1):
        is_hit = scores >= np.float32(step / STEPS)
        is_above = scores >= np.float32((step + 1) / STEPS)
        n_right, is_step_of_own = (is_hit & is_own).sum(), (is_hit & ~is_above & is_own).any()
        if is_step_of_own and n_right >= FEWEST_RIGHT and 10 * n_right >= 9 * is_hit.sum():
            return step / STEPS
    return 0.5


def test_the_summary_counts_the_sources_of_classes_that_name_an_event():
    by = {source: Threshold(0.5, "", source) for source in ThresholdSource}
    thresholds = [by[source] for source in ("validation", "default", "validation", "--thresholds", "validation")]
    assert sources_line(["wren", "owl", "crow", "jay", "Noise"], thresholds) == (
        "thresholds: 2 classes by precision 0.9 on validation, 1 class at the default 0.5, 1 class from --thresholds; "
        "reasons in thresholds.csv"
    )
    assert "no class names an event" in sources_line(["noise"], [by[ThresholdSource.DEFAULT]])
