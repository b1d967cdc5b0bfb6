"""What the report says to type gives the run it reports."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import typer.main

from db.folder import FolderStore
from orchestrator import cli
from orchestrator.plan import Request
from tasks import render
from tasks.failures import Damaged
from tasks.render import command
from tasks.report.likeness import Likeness
from tasks.report.pairing import GroupOutcomes
from tasks.report.pictures import PicturePairs
from tasks.report.scores import Evaluation


def typed(line: str) -> tuple[str, dict[str, Any]]:
    """The dataset and the options of the run that the command line makes of this line."""
    program, verb, *words = shlex.split(line)
    assert (program, verb) == ("orchestrator", "run")
    group: Any = typer.main.get_command(cli.app)
    given = group.commands["run"].make_context("run", words).params
    request = cli._requested(
        given["models"], given["preset"], given["folds"], (given["seed"], given["seeds"]), given["split_seed"],
        given["epochs"], given["until"], trust_csv=given["trust_csv"], leak_meter=given["leak_meter"],
        device=given["device"], ablate=given["ablate"], features=given["features"],
    )  # fmt: skip
    return str(given["path"]), request.as_dict()


WISHES = (
    Request(),
    Request(models=("mlp", "cnn"), preset="small.toml", n_folds=3),
    Request(seeds=(0, 1)),
    Request(seeds=(7,)),
    Request(seeds=(7, 8, 9), split_seed=5),
    Request(training={"epochs": 2}),
    Request(until="pack"),
    Request(leak_meter=True, trust_csv=True),
    Request(ablate=("denoising", "augmentation")),
    Request(device="cpu"),
    Request(("mlp",), features="both"),
    Request(("mlp",), (3, 4), 5, 2, "train", "small.toml", {"epochs": 9}),
)


def test_every_wish_that_a_person_may_have_is_among_those_tried() -> None:
    for wish in fields(Request):
        assert any(getattr(each, wish.name) != getattr(Request(), wish.name) for each in WISHES), wish.name


@pytest.mark.parametrize("request_", WISHES, ids=str)
def test_the_printed_command_asks_for_the_same_run(request_: Request) -> None:
    assert typed(command("/data/birds of dawn", request_.as_dict())) == ("/data/birds of dawn", request_.as_dict())


@pytest.mark.parametrize(
    ("data", "understood"),
    [
        (b"", lambda data: Evaluation.from_dict(json.loads(data))),
        (b"{}", lambda data: Evaluation.from_dict(json.loads(data))),
        (b"[1]", lambda data: Likeness.from_dict(json.loads(data))),
        (b"PK\x03\x04 cut short", PicturePairs.from_npz),
        (b"", PicturePairs.from_npz),
        (b"PAR1", GroupOutcomes.from_parquet),
    ],
)
def test_a_damaged_judgement_fails_at_once_and_is_named(
    tmp_path: Path, data: bytes, understood: Callable[[bytes], object]
) -> None:
    store = FolderStore(tmp_path)
    store.put("evaluations/a.json", data)
    with pytest.raises(Damaged, match=r"evaluations/a\.json is not what was written"):
        render._read(store, "evaluations/a.json", understood)
    with pytest.raises(Damaged, match=r"evaluations/b\.json is gone"):
        render._read(store, "evaluations/b.json", understood)


def test_options_that_are_as_usual_are_not_printed() -> None:
    assert command("/data", Request().as_dict()) == "orchestrator run /data --models cnn"
