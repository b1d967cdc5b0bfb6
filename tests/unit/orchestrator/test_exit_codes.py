"""How a command ends: an error that was not foreseen is a sentence and a log file, and neither shows a secret."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from orchestrator.cli.exit_codes import exit_code
from orchestrator.cli.options import with_settings
from orchestrator.cli.output import print_json, say, show
from settings import Settings

SECRET_URL = "postgresql+psycopg://chorus:hidden%2Fword@127.0.0.1:1/chorus"
NAME = "gpj.\u202ewren\x1b[2J\nrun 1: done"


def ending(program: typer.Typer, monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["orchestrator", *words])
    return exit_code(program)


@pytest.fixture
def program() -> typer.Typer:
    made = typer.Typer(pretty_exceptions_enable=False)

    @made.command()
    @with_settings
    def broken(settings: Settings) -> None:
        raise KeyError(f"{settings.database} with hidden/word {NAME}")

    return made


def test_an_unforeseen_error_is_a_sentence_and_a_log_in_the_home_without_secrets(
    program: typer.Typer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--home", str(tmp_path), "--database-url", SECRET_URL)
    assert ending(program, monkeypatch, *words) == 1
    said = capsys.readouterr().err
    log = next((tmp_path / "logs").glob("error-*.log"))
    assert said.startswith("orchestrator: an error that was not foreseen, KeyError: ")
    assert str(log) in said
    assert "Traceback" not in said
    assert len(said.splitlines()) == 1
    text = log.read_text()
    assert "raise KeyError" in text
    assert "broken" in text
    assert log.stat().st_mode & 0o077 == 0
    assert "hidden" not in said + text
    assert "word" not in said + text
    assert "***@127.0.0.1:1/chorus" in said


def test_an_unforeseen_error_in_a_command_without_a_home_is_logged_in_the_temporary_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    made = typer.Typer(pretty_exceptions_enable=False)

    @made.command()
    def models() -> None:
        raise RecursionError

    assert ending(made, monkeypatch) == 1
    log = next(tmp_path.glob("error-*.log"))
    assert f"RecursionError: no message; please report it with the log {log}" in capsys.readouterr().err


def test_a_home_that_cannot_be_written_does_not_hide_the_error(
    program: typer.Typer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    assert ending(program, monkeypatch, "--home", str(tmp_path / "no" / "home")) == 1
    assert "KeyError" in (said := capsys.readouterr().err)
    assert "no log could be written" in said


def test_controls_in_names_reach_neither_terminal_nor_json_raw(capsys: pytest.CaptureFixture[str]) -> None:
    say(NAME)
    show([NAME, "second"])
    print_json({"name": NAME})
    seen = capsys.readouterr()
    lines = seen.out.splitlines()
    assert seen.err == "gpj.\\u202ewren\\x1b[2J\\nrun 1: done\n"
    assert lines[:2] == ["gpj.\\u202ewren\\x1b[2J\\nrun 1: done", "second"]
    assert json.loads(lines[2]) == {"name": NAME}
    assert "\u202e" not in seen.out


@pytest.mark.parametrize(
    ("redirection", "code", "said"),
    [(">&-", 0, ""), ("2>&-", 0, ""), ("<&- >&- 2>&-", 0, ""), (">/dev/full", 1, "the output cannot be written"),
     ("| true", 141, "")],
)  # fmt: skip
def test_a_closed_or_full_output_is_no_traceback(redirection: str, code: int, said: str) -> None:
    start = "sleep 0.2; " if redirection == "| true" else ""  # until the reader has ended
    program = f"{start}{sys.executable} -c 'from orchestrator.cli.main import main; main()' --version"
    script = f"set -o pipefail; ({program}) {redirection}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
