"""The thresholds of classes that the user sets none for: by precision on validation, else 0.5."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from domain.plural import counted
from tasks.dataset.layouts.layout import is_non_event
from tasks.detections.detection_tables import Threshold, ThresholdSource
from tasks.model.validation_counts import STEPS, ValidationCounts

DEFAULT_THRESHOLD = 0.5
_RIGHT, _OF = 9, 10
"""The precision, as whole numbers: 0.9 has no exact float."""
FEWEST_RIGHT = 20
"""Right detections of one network without which no precision is claimed.

With 20, a threshold whose true precision is 0.7 shows 0.9 by luck in 2 % of validations (20 of 22), with 10 in 11 %.
"""
_NO_COUNTS = "no validation scores: an earlier version trained the model, or it is an exported network"


def default_thresholds(labels: Sequence[str], counts: ValidationCounts | None) -> tuple[Threshold, ...]:
    """Return a threshold for each label: the lowest with a precision of at least 0.9 on validation, else 0.5.

    counts: of all networks that predict, pooled; None if one of them left none.
    Only scores of the class's own windows are tried, rounded down to 0.001: any lower threshold only adds wrong
    detections. Windows with equal scores pass or fail together. At least `FEWEST_RIGHT` right detections per network
    are needed: networks of other seeds and folds validate on mostly the same windows, so more of them are no more
    evidence. A class with 0.9 of the windows has 0.5: there a threshold of 0 is precise too.
    """
    if counts is None:
        return tuple(_default(_NO_COUNTS) for _ in labels)
    if not counts.n_windows:
        return tuple(_default("the model was trained without a validation subset") for _ in labels)
    return tuple(_threshold(own, other, counts.n_networks) for own, other in zip(counts.own, counts.other, strict=True))


def _threshold(own: NDArray[np.int32], other: NDArray[np.int32], n_networks: int) -> Threshold:
    """The threshold of one class. own, other: (STEPS + 1,), its windows and those of other classes by score."""
    n_right, n_wrong = (np.cumsum(counts[::-1], dtype=np.int64)[::-1] for counts in (own, other))
    n_own, fewest = int(n_right[0]), FEWEST_RIGHT * n_networks
    if not n_own:
        return _default("no validation windows of the class")
    if n_own < fewest:
        per_network = " for each network" if n_networks > 1 else ""
        return _default(
            f"too few validation windows of the class: {n_own // n_networks}{per_network}, {FEWEST_RIGHT} are needed"
        )
    is_precise = _OF * n_right >= _RIGHT * (n_right + n_wrong)
    if is_precise[0]:
        share = n_own / int(n_own + n_wrong[0])
        return _default(f"{share:.3f} of the validation windows are of the class, so a threshold of 0 is precise too")
    found = np.flatnonzero((own > 0) & (n_right >= fewest) & is_precise)
    if not len(found):
        return _default(f"no threshold with {FEWEST_RIGHT} right detections has a precision of 0.9 on validation")
    right, detections = int(n_right[found[0]]), int(n_right[found[0]] + n_wrong[found[0]])
    of_networks = f" of {n_networks} networks" if n_networks > 1 else ""
    return Threshold(
        int(found[0]) / STEPS,
        f"precision {right / detections:.3f} on validation: {right} of {detections} detections{of_networks} are right",
        ThresholdSource.VALIDATION,
    )


def _default(reason: str) -> Threshold:
    return Threshold(DEFAULT_THRESHOLD, f"default {DEFAULT_THRESHOLD}: {reason}", ThresholdSource.DEFAULT)


_WORDS = {
    ThresholdSource.VALIDATION: "by precision 0.9 on validation",
    ThresholdSource.DEFAULT: f"at the default {DEFAULT_THRESHOLD}",
    ThresholdSource.OPTION: "from --threshold",
    ThresholdSource.TABLE: "from --thresholds",
}


def sources_line(labels: Sequence[str], thresholds: Sequence[Threshold]) -> str:
    """Say in one line where the thresholds come from; classes without an event have none.

    >>> thresholds = [Threshold(0.5, "", ThresholdSource.DEFAULT), Threshold(0.3, "", ThresholdSource.VALIDATION)]
    >>> sources_line(["owl", "wren"], thresholds)
    'thresholds: 1 class by precision 0.9 on validation, 1 class at the default 0.5; reasons in thresholds.csv'
    """
    used = Counter(each.source for label, each in zip(labels, thresholds, strict=True) if not is_non_event(label))
    parts = [f"{counted(used[source], 'class', 'classes')} {_WORDS[source]}" for source in _WORDS if used[source]]
    return f"thresholds: {', '.join(parts) or 'no class names an event'}; reasons in thresholds.csv"
