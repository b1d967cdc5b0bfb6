"""The ledger entries of a training."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace
from typing import Any, cast

from domain.results import TrainResult, to_json
from tasks.train import _checkpoints, _result_fields


class ResumedTraining:
    """The result of a training resumed after its last epoch."""

    best_epoch, device, peak_rss_bytes, parameters, trainable_parameters = 3, "CPU", 10**9, 99, 98
    images_per_s = epoch_s = math.nan
    notes = ("a note",)


def test_times_that_were_not_measured_are_omitted_because_json_has_no_nan() -> None:
    result = TrainResult("models/a.keras", **_result_fields(cast("Any", ResumedTraining())))
    assert json.loads(json.dumps(to_json(result), allow_nan=False)) == {
        "key": "models/a.keras", "label_counts": {},
        "best_epoch": 3, "device": "CPU", "peak_rss_bytes": 10**9, "parameters": 99, "trainable_parameters": 98,
        "notes": ["a note"],
    }  # fmt: skip


def test_saving_a_checkpoint_counts_as_progress() -> None:
    done: list[str] = []
    work = SimpleNamespace(
        claim="the claim",
        require_claim=lambda: done.append("claim checked"),
        store=SimpleNamespace(put=lambda key, data: done.append(f"{key} {data!r}")),
        ledger=SimpleNamespace(reset_failure_counts=lambda claim: done.append(f"forward with {claim}")),
    )
    _checkpoints(cast("Any", work), "models/a.progress").save(b"x")
    assert done == ["claim checked", "models/a.progress b'x'", "forward with the claim"]
