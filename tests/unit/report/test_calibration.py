"""Calibration of probabilities."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.report.plots.curves import calibration_curve
from tasks.report.scoring.calibration import Calibration, expected_error, pooled_bins


def added(confidence, right, batch=1000):
    calibration = Calibration()
    for at in range(0, len(confidence), batch):
        calibration.add(np.asarray(confidence[at : at + batch], np.float32), np.asarray(right[at : at + batch], bool))
    return calibration.bins()


def test_a_calibrated_model_has_no_calibration_error():
    draw = np.random.default_rng(0)
    confidence = draw.uniform(0.1, 1, 200_000)
    assert expected_error(added(confidence, draw.random(200_000) < confidence)) < 0.005


def test_full_confidence_at_half_accuracy_is_an_error_of_half():
    assert expected_error(added([1.0] * 10, [1, 0] * 5)) == pytest.approx(0.5)


def test_memory_is_constant_and_batches_do_not_matter():
    draw = np.random.default_rng(1)
    confidence, right = draw.random(5_000), draw.random(5_000) < 0.5
    whole, parts = added(confidence, right), added(confidence, right, batch=7)
    assert len(whole) == 15
    assert [(each.n, each.accuracy) for each in whole] == [(each.n, each.accuracy) for each in parts]


def test_folds_are_pooled_by_bin():
    draw = np.random.default_rng(2)
    confidence, right = draw.random(4_000), draw.random(4_000) < 0.7
    halves = [added(confidence[part], right[part]) for part in (slice(0, 2000), slice(2000, None))]
    whole = added(confidence, right)
    pooled = pooled_bins(halves)
    assert [each.n for each in pooled] == [each.n for each in whole]
    assert expected_error(pooled) == pytest.approx(expected_error(whole), abs=1e-6)


def test_the_calibration_curve_has_an_alternative_text():
    svg = calibration_curve(added([0.9, 0.95, 0.55], [1, 0, 1]))
    assert svg.startswith("<svg")
    assert "confidence 55%, accuracy 100%, 1 chunks" in svg
    assert calibration_curve(()) == ""
