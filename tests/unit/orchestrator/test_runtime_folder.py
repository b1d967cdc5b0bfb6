"""The folder of the embedded broker's socket is chosen once and recorded in the home; all processes read the record."""

from __future__ import annotations

import json
import os
import shutil
import socket
import stat
from pathlib import Path

import pytest

from domain.errors import HomeUnusable
from orchestrator.broker import answers
from orchestrator.home import runtime_folder
from settings import Settings

PLACES = ("XDG_RUNTIME_DIR", "TMPDIR", "TEMP", "TMP")


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Of a home, with a place for sockets that is short enough."""
    for name in PLACES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/tmp/chorus-test-" + str(os.getpid()))
    (tmp_path / "home").mkdir()
    yield Settings(home=tmp_path / "home")
    shutil.rmtree(f"/tmp/chorus-test-{os.getpid()}", ignore_errors=True)


def test_another_terminal_and_a_full_disk_change_nothing_of_what_is_recorded(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = runtime_folder(settings)
    assert stat.S_IMODE(chosen.stat().st_mode) == 0o700
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/nowhere")
    monkeypatch.setenv("TMPDIR", "/var/tmp")
    assert Settings(home=settings.home).socket == chosen / "broker.sock"
    assert runtime_folder(Settings(home=settings.home)) == chosen


def test_after_a_reboot_the_folder_is_made_again_at_its_place(settings: Settings) -> None:
    chosen = runtime_folder(settings)
    chosen.rmdir()
    assert runtime_folder(settings) == chosen
    assert chosen.is_dir()


def test_a_place_that_cannot_be_written_is_passed_over_and_the_next_one_is_recorded(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/dev/null")
    chosen = runtime_folder(settings)
    try:
        assert chosen.parent == Path("/tmp")
        assert settings.runtime_folder == chosen
    finally:
        chosen.rmdir()


def test_a_copied_home_has_a_folder_of_its_own_and_a_renamed_one_keeps_its(settings: Settings, tmp_path: Path) -> None:
    chosen = runtime_folder(settings)
    shutil.copytree(settings.home, tmp_path / "copy")
    copy = Settings(home=tmp_path / "copy")
    assert copy.runtime_record.read_text() == settings.runtime_record.read_text()
    assert copy.runtime_folder != chosen
    assert runtime_folder(copy) != chosen
    settings.home.rename(tmp_path / "renamed")
    assert Settings(home=tmp_path / "renamed").runtime_folder == chosen
    settings.home.mkdir()  # another home at the old place
    assert runtime_folder(settings) != chosen


@pytest.mark.parametrize("record", ["", "[]", "{", '{"folder": 3, "device": 0, "inode": 0}'])
def test_a_record_that_is_none_is_ignored(settings: Settings, record: str) -> None:
    settings.runtime_record.write_text(record)
    assert runtime_folder(settings) == settings.runtime_folders[0]
    assert json.loads(settings.runtime_record.read_text())["inode"] == settings.home.stat().st_ino


def test_a_folder_that_others_may_enter_is_passed_over_and_no_broker_in_it_is_asked(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = runtime_folder(settings)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(settings.socket))
        listener.listen()
        chosen.chmod(0o755)
        assert not answers(settings.socket)
    for name in PLACES:
        monkeypatch.setenv(name, str(chosen.parent))
    other = runtime_folder(settings)
    assert other != chosen
    other.rmdir()


def test_without_any_place_the_sentence_names_each(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Settings, "runtime_folders", (Path("/dev/null/a"), Path("/dev/null/b")))
    with pytest.raises(HomeUnusable, match="/dev/null/a: Not a directory; /dev/null/b: Not a directory"):
        runtime_folder(settings)
