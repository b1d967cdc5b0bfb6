import doctest

import pytest

from tasks.report.html import model_views, wording
from tasks.report.plots import curves, drawing
from tasks.report.scoring import interval


@pytest.mark.parametrize("module", [drawing, curves, interval, model_views, wording])
def test_the_docstring_examples_are_true(module):
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize(
    ("share", "words"), [(0.0, "0"), (1.0, "100"), (0.004, "0.4"), (0.99999, "99.999"), (0.5, "50")]
)
def test_only_exact_shares_are_zero_and_a_hundred_percent(share, words):
    assert wording.percent(share) == f"{words}\u00a0%"


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0 s"), (59.6, "1 min 00 s"), (3599.7, "1 h 00 min"), (3600, "1 h 00 min"), (12, "12 s")]
)
def test_durations_carry_over_to_the_next_unit(seconds, words):
    assert wording.duration(seconds).replace("\u00a0", " ") == words
