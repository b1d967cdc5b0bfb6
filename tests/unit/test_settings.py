from __future__ import annotations

import os
from pathlib import Path

import pytest

from settings import Settings


def test_without_urls_everything_is_in_the_home(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    assert settings.database == f"sqlite:///{tmp_path}/ledger.sqlite"
    assert settings.store == f"{tmp_path}/store"
    assert settings.is_broker_embedded


def test_an_option_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CHORUS_HOME", "/from/environment")
    assert Settings().home == Path("/from/environment")
    assert Settings(home=tmp_path).home == tmp_path


def test_the_sockets_path_fits_however_long_the_home_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/" + "x" * 100)
    settings = Settings(home=tmp_path / ("deep" * 60))
    assert len(os.fsencode(settings.socket)) < 107


def test_two_homes_have_two_sockets(tmp_path: Path) -> None:
    assert Settings(home=tmp_path / "a").socket != Settings(home=tmp_path / "b").socket


def test_a_child_sees_the_same_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, broker_url="redis://h/0", lease_s=7.0)
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    assert Settings() == settings
