"""Every command makes a home that only its owner can read; a home that other users can read causes a warning."""

from __future__ import annotations

import stat
from pathlib import Path

from tests.e2e.command import orchestrator


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_home_that_a_command_makes_is_its_owners_alone(tmp_path: Path) -> None:
    home = tmp_path / "home"
    answer = orchestrator("db", "upgrade", "--home", home)
    assert answer.code == 0, answer.err
    assert mode(home) == 0o700
    assert "open to others" not in answer.err
    assert "open to others" not in orchestrator("runs", "--home", home).err


def test_a_home_that_others_may_look_into_is_named_and_left_as_it_is(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(0o755)
    for words in (("db", "upgrade"), ("runs",)):
        answer = orchestrator(*words, "--home", home)
        assert answer.code == 0, answer.err
        assert f"home {home} is open to others (mode 755); `chmod 700 {home}` closes it" in answer.err
    assert mode(home) == 0o755


def test_a_ledger_by_url_makes_a_folder_that_is_its_owners_alone(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger/ledger.db"
    answer = orchestrator("db", "upgrade", "--database-url", url, "--home", tmp_path / "home")
    assert answer.code == 0, answer.err
    assert mode(tmp_path / "ledger") == 0o700
    assert mode(tmp_path / "home") == 0o700, "what is fetched from a distant store is kept there"
