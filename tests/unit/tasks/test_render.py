"""What the report says to type gives the run it reports."""

from __future__ import annotations

import json
import shlex
from dataclasses import fields
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer.main

from db.store.folder import FolderStore
from domain.errors import Damaged
from domain.results import EvaluateResult
from domain.states import Kind, State
from orchestrator.cli import main
from orchestrator.cli.options import RunOptions
from orchestrator.planning.request import Request
from tasks import render
from tasks.render import command
from tests.unit.report.examples import LABELS, accumulator_of, evaluation_of


def typed(line: str) -> tuple[str, dict[str, Any]]:
    """The dataset and the options of the run that the command line makes of this line."""
    program, verb, *words = shlex.split(line)
    assert (program, verb) == ("orchestrator", "run")
    group: Any = typer.main.get_command(main.app)
    given = group.commands["run"].make_context("run", words).params
    request = main._request_of(RunOptions(**{option.name: given[option.name] for option in fields(RunOptions)}))
    return str(given["path"]), request.as_dict()


REQUESTS = (
    Request(),
    Request(models=("mlp", "cnn"), preset="small.toml", n_folds=3),
    Request(seeds=(0, 1)),
    Request(seeds=(7,)),
    Request(seeds=(7, 8, 9), split_seed=5),
    Request(training={"epochs": 2}),
    Request(until="pack"),
    Request(leak_meter=True, trust_csv=True),
    Request(drop_leaks=True),
    Request(ablate=("denoising", "augmentation")),
    Request(device="cpu"),
    Request(("mlp",), features="both"),
    Request(class_folders=("train", "test set"), allow_empty_classes=True),
    Request(path_column="Clip name", label_column="kind"),
    Request(("mlp",), (3, 4), 5, 2, "train", "small.toml", {"epochs": 9}),
)


def test_every_request_option_is_covered() -> None:
    for option in fields(Request):
        assert any(getattr(each, option.name) != getattr(Request(), option.name) for each in REQUESTS), option.name


@pytest.mark.parametrize("request_", REQUESTS, ids=str)
def test_the_printed_command_repeats_the_run(request_: Request) -> None:
    assert typed(command("/data/birds of dawn", request_.as_dict())) == ("/data/birds of dawn", request_.as_dict())


@pytest.mark.parametrize("damage", [b"", b"{}", b"PAR1", None])
@pytest.mark.parametrize("key", ["key", "outcomes_key"])
def test_a_damaged_evaluation_is_refused_by_name(tmp_path: Path, key: str, damage: bytes | None) -> None:
    store, accumulator = FolderStore(tmp_path), accumulator_of(LABELS)
    evaluation = json.dumps(evaluation_of(LABELS).as_dict()).encode()
    files = {"key": (evaluation, "json"), "outcomes_key": (accumulator.outcomes().to_parquet(), "parquet")}
    keys = {name: f"evaluations/{sha256(data).hexdigest()[:32]}.{kind}" for name, (data, kind) in files.items()}
    for name, (data, _) in files.items():
        store.put(keys[name], data)
    job: Any = SimpleNamespace(kind=Kind.EVALUATE, state=State.DONE, model="cnn", result=EvaluateResult(**keys))
    found = render._evaluation_fields(store, job)
    assert found["outcomes"].groups == accumulator.outcomes().groups
    whole = files[key][0]
    changed = bytearray(whole)
    changed[len(whole) // 2] ^= 1  # JSON, Parquet or npz may still parse with one flipped bit
    store.local(keys[key]).write_bytes(bytes(changed) if damage is None else damage)
    with pytest.raises(Damaged, match=f"{keys[key]} is not what was written"):
        render._evaluation_fields(store, job)
    store.local(keys[key]).unlink()
    with pytest.raises(Damaged, match=f"{keys[key]} is missing from the store"):
        render._evaluation_fields(store, job)


def test_options_with_default_values_are_not_printed() -> None:
    assert command("/data", Request().as_dict()) == "orchestrator run /data --models cnn"
