"""What the README types, the command line knows."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import typer

from orchestrator.cli.main import app
from orchestrator.cli.output import FAILED, INTERRUPTED, OK, SOME_QUARANTINED, UNREACHABLE, USAGE

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def typed() -> list[list[str]]:
    lines = re.findall(r"^(?:\S*/)?orchestrator (.+)$", README, re.MULTILINE)
    return [shlex.split(line.partition("#")[0]) for line in lines]


def test_every_command_and_option_in_the_readme_exists() -> None:
    assert len(typed()) > 10
    for command, *words in typed():
        assert command in COMMANDS, command
        known = {name for parameter in COMMANDS[command].params for name in parameter.opts}
        options = {word for word in words if word.startswith("--")}
        assert options <= known, (command, options - known)


def test_every_exit_code_stands_in_the_readme() -> None:
    rows = {int(code) for code in re.findall(r"^\| (\d+) \|", README, re.MULTILINE)}
    assert rows == {OK, FAILED, USAGE, SOME_QUARANTINED, UNREACHABLE, INTERRUPTED}


def test_every_page_the_readme_points_to_exists() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
