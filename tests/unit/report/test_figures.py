import re
import warnings

import matplotlib as mpl
import numpy as np
import pytest

from tasks.report.plots.confusion import confusion_figure
from tasks.report.plots.curves import best_epoch, class_bars, learning_curve, rate_timeline, subset_bars
from tasks.report.plots.drawing import shortened
from tests.unit.report.examples import HISTORY

LOSSES_OF_A_GENERATOR = ({"loss": 1.0}, {"loss": -2.0}, {"loss": -0.5})


def test_the_best_epoch_has_the_lowest_validation_loss():
    losses = [3 / n + 0.02 * n * n for n in range(1, 9)]
    assert best_epoch(HISTORY) == 1 + losses.index(min(losses))


def test_a_history_without_validation_has_no_best_epoch():
    assert best_epoch([{"loss": 1.0}]) is None


def test_a_loss_that_is_not_finite_is_never_the_best():
    assert best_epoch([{"val_loss": float("nan")}, {"val_loss": 2.0}]) == 2


def test_a_resumed_history_keeps_its_own_epoch_numbers():
    assert best_epoch([{"epoch": 7, "val_loss": 1.0}, {"epoch": 8, "val_loss": 2.0}]) == 7


def test_a_learning_curve_shows_both_subsets_and_marks_the_best_epoch():
    svg = learning_curve([HISTORY], "loss")
    for word in ("training", "validation", "best epoch", "epoch", "loss"):
        assert f">{word}</text>" in svg
    assert f"best {best_epoch(HISTORY)}" in svg


def test_a_negative_loss_is_not_cut_off():
    lowest = [
        float(tick) for tick in re.findall(r">(-[0-9.]+)</text>", learning_curve([LOSSES_OF_A_GENERATOR], "loss"))
    ]
    assert min(lowest) == -2.0
    assert not re.findall(r">-[0-9.]+</text>", learning_curve([HISTORY], "loss"))


def test_a_quantity_without_values_has_no_curve():
    assert learning_curve([HISTORY], "auc") == ""
    assert learning_curve([], "loss") == ""


def test_drawings_are_the_same_bytes_every_time():
    assert learning_curve([HISTORY], "loss") == learning_curve([HISTORY], "loss")
    confusion = np.diag([3, 4, 5])
    assert confusion_figure(confusion, ["a", "b", "c"]) == confusion_figure(confusion, ["a", "b", "c"])


def test_drawings_hold_no_date_no_address_and_no_fixed_colour():
    svg = learning_curve([HISTORY], "loss") + class_bars([("a", 0.5, 3)]) + rate_timeline([(0, 1), (60, 2)], "chunks")
    assert "http" not in svg
    assert "date" not in svg.lower()
    assert set(re.findall(r"#[0-9a-f]{6}\b", svg)) == set()
    assert "var(--series-1)" in svg


def test_drawing_leaves_matplotlib_as_it_was():
    before = dict(mpl.rcParams)
    class_bars([("a", 0.5, 3)])
    assert dict(mpl.rcParams) == before
    filters = list(warnings.filters)
    with pytest.raises(ZeroDivisionError):
        rate_timeline([(0, 1), (1, 1 / 0)], "chunks")
    assert list(warnings.filters) == filters


def test_bars_are_sorted_and_untested_classes_come_last():
    svg = class_bars([("rare", 0.0, 0), ("hard", 0.2, 9), ("easy", 0.9, 9)])
    assert svg.index(">easy<") < svg.index(">hard<") < svg.index(">rare<")
    assert ">not tested<" in svg


def test_bars_of_more_folds_than_colours_are_still_drawn():
    svg = subset_bars(["a", "b"], {f"fold {number}": [number, 1] for number in range(1, 11)}, "chunks")
    assert ">fold 10<" in svg


def test_a_small_matrix_shows_counts_in_its_cells():
    svg = confusion_figure(np.array([[17, 23], [5, 41]]), ["dog", "rain"])
    assert all(f">{number}</text>" in svg for number in (17, 23, 5, 41))
    assert "58 of 86 chunks are on the diagonal" in svg


@pytest.mark.parametrize("n_classes", [1, 2, 27, 100])
def test_the_matrix_names_every_class(n_classes):
    names = [f"species{number:03d}" for number in range(n_classes)]
    svg = confusion_figure(np.eye(n_classes, dtype=np.int64), names)
    assert all(svg.count(f">{name}<") == 2 for name in names)
    assert len(svg) < 400_000


def test_a_matrix_of_a_class_without_examples_is_drawn():
    assert confusion_figure(np.array([[2, 0], [0, 0]]), ["a", "b"]).startswith("<svg")


def test_names_in_any_script_and_with_dollar_signs_are_drawn_literally():
    svg = class_bars([("雲雀", 0.5, 3), ("قبرة", 0.4, 3), ("$\\frac{1}{0}$", 0.3, 3), ("<b>&", 0.2, 3)])
    assert ">雲雀<" in svg
    assert ">$\\frac{1}{0}$<" in svg
    assert ">&lt;b&gt;&amp;<" in svg


def test_long_names_are_cut_with_an_ellipsis():
    assert shortened("x" * 100, 10) == "x" * 9 + "…"
    assert shortened("one\nline\x07") == "one line\ufffd"


def test_a_rate_needs_two_points():
    assert rate_timeline([(0.0, 3.0)], "chunks") == ""
