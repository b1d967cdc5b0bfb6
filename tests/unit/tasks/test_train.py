"""What a training leaves in the ledger."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace
from typing import Any, cast

from domain.results import TrainResult, to_json
from tasks.train import _checkpoints, _figures


class Ended:
    """What came out of a training that only took up a finished checkpoint."""

    best_epoch, device, peak_rss_bytes, parameters, trainable_parameters = 3, "CPU", 10**9, 99, 98
    images_per_s = epoch_s = math.nan
    notes = ("a note",)


def test_what_nobody_measured_is_left_out_for_no_database_holds_it_as_json() -> None:
    result = TrainResult("models/a.keras", **_figures(cast("Any", Ended())))
    assert json.loads(json.dumps(to_json(result), allow_nan=False)) == {
        "key": "models/a.keras", "label_counts": {},
        "best_epoch": 3, "device": "CPU", "peak_rss_bytes": 10**9, "parameters": 99, "trainable_parameters": 98,
        "notes": ["a note"],
    }  # fmt: skip


def test_an_epoch_counts_as_a_step_forward_when_its_checkpoint_is_kept() -> None:
    done: list[str] = []
    work = SimpleNamespace(
        claim="the claim",
        require_claim=lambda: done.append("asked"),
        store=SimpleNamespace(put=lambda key, data: done.append(f"{key} {data!r}")),
        ledger=SimpleNamespace(note_step_forward=lambda claim: done.append(f"forward with {claim}")),
    )
    _checkpoints(cast("Any", work), "models/a.progress").save(b"x")
    assert done == ["asked", "models/a.progress b'x'", "forward with the claim"]
