"""A home that is deleted, moved or replaced under a live command is noticed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from db.engine import Database
from domain.errors import HomeUnusable
from orchestrator.execution.local_processes import LocalProcesses
from orchestrator.home import lock_home
from settings import Settings


@pytest.mark.parametrize("is_made_again", [False, True])
def test_a_home_that_is_not_the_locked_one_ends_the_command(is_made_again: bool, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    processes = LocalProcesses(settings, Database("sqlite:///:memory:"))
    processes.require_own_home()
    processes._lock = lock_home(settings.home)
    processes.require_own_home()
    shutil.rmtree(settings.home)
    if is_made_again:
        settings.home.mkdir()
        (settings.home / "lock").touch()
    with pytest.raises(HomeUnusable, match="was deleted, moved or replaced while this command worked in it"):
        processes.require_own_home()
    processes._lock.close()
