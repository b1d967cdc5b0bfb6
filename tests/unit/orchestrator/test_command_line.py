"""What the command line says about itself, and how it turns options into values."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from domain.errors import UsageError
from orchestrator.cli.main import _request_of, app
from orchestrator.cli.options import RunOptions
from orchestrator.planning.request import Request


def test_no_help_text_is_cut_in_the_middle_of_a_sentence() -> None:
    group: Any = typer.main.get_command(app)
    for words in ([], ["db"], *([name] for name in group.commands)):
        shown = CliRunner().invoke(app, [*words, "--help"], terminal_width=80)
        assert shown.exit_code == 0, words
        assert "..." not in shown.output.replace("[ARGS]...", ""), words


@pytest.mark.parametrize("name", ["run", "submit"])
def test_run_and_submit_take_the_same_options_in_one_order(name: str) -> None:
    group: Any = typer.main.get_command(app)
    taken = [parameter.name for parameter in group.commands[name].params]
    assert taken[: len(fields(RunOptions))] == [option.name for option in fields(RunOptions)]


def test_options_that_are_not_given_ask_for_what_a_request_asks_for_by_itself() -> None:
    assert _request_of(RunOptions("/data")) == Request()


def test_options_cannot_be_changed_on_their_way() -> None:
    options: Any = RunOptions("/data")
    with pytest.raises(FrozenInstanceError):
        options.models = "mlp"


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("until", "lunch", "--until 'lunch' is not one of preprocess, pack, train, all"),
        ("device", "tpu", "--device 'tpu' is not one of auto, cpu, gpu"),
        ("features", "smell", "--features 'smell' is not one of audio, metadata, both"),
        ("models", " , ", "--models ' , ' names no model"),
    ],
)
def test_an_option_without_sense_is_refused_with_its_value_and_what_there_is(
    option: str, value: str, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        _request_of(RunOptions("/data", **{option: value}))  # type: ignore[arg-type]
