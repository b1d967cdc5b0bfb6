"""What a training leaves in the ledger."""

from __future__ import annotations

import json
import math
from typing import Any, cast

from tasks.train import _figures


class Ended:
    """What came out of a training that only took up a finished checkpoint."""

    best_epoch, device, peak_rss_bytes, parameters, trainable_parameters = 3, "CPU", 10**9, 99, 98
    images_per_s = epoch_s = math.nan
    notes = ("a note",)


def test_what_nobody_measured_is_left_out_for_no_database_holds_it_as_json() -> None:
    figures = _figures(cast("Any", Ended()))
    assert json.loads(json.dumps(figures, allow_nan=False)) == {
        "best_epoch": 3, "device": "CPU", "peak_rss_bytes": 10**9, "parameters": 99, "trainable_parameters": 98,
        "notes": ["a note"],
    }  # fmt: skip
