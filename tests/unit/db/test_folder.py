from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from db.store.folder import FolderStore
from db.store.interface import TooLarge


def test_get_returns_what_was_put_and_a_key_may_be_put_again(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    assert "a/b.png" not in store
    for data in (b"one", b"one"):
        assert store.put("a/b.png", data) == 3
    assert "a/b.png" in store
    assert store.get_unverified("a/b.png") == b"one"


def test_a_file_that_could_not_be_finished_leaves_nothing(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    with pytest.raises(RuntimeError), store.writing("a/b.keras") as path:
        path.write_bytes(b"half")
        raise RuntimeError
    assert "a/b.keras" not in store
    assert list(tmp_path.rglob("*.keras")) == []


def test_a_file_keeps_its_ending_while_it_is_written(tmp_path: Path) -> None:
    with FolderStore(tmp_path).writing("a/b.keras") as path:
        assert path.suffix == ".keras"
        path.write_bytes(b"x")


@pytest.mark.parametrize("key", ["", "/etc/passwd", "../x", "a/../../x", "a//b", "./a"])
def test_no_key_leaves_the_folder(tmp_path: Path, key: str) -> None:
    store = FolderStore(tmp_path)
    for use in (store.local, store.get_unverified, partial(store.put, data=b"x")):
        with pytest.raises(ValueError, match="store key"):
            use(key)


def test_a_file_that_is_being_written_has_a_folder_of_its_own_and_can_be_removed(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    with store.writing("strips/ab/x.png") as unfinished:
        unfinished.write_bytes(b"half")
        assert [path for path in (tmp_path / "strips").rglob("*") if path.is_file()] == []
        assert store.unfinished_files(older_s=60) == []
        assert store.unfinished_files(older_s=-60) == [unfinished]
    assert store.unfinished_files(older_s=-60) == []
    assert store.get_unverified("strips/ab/x.png") == b"half"


def test_a_file_that_is_finished_during_the_search_is_not_reported_as_abandoned(tmp_path: Path) -> None:
    (tmp_path / ".unfinished").mkdir()
    (tmp_path / ".unfinished" / "renamed.png").symlink_to("nowhere")  # listed, and gone when it is looked at
    (tmp_path / ".unfinished" / "left.png").touch()
    assert FolderStore(tmp_path).unfinished_files(older_s=-60) == [tmp_path / ".unfinished" / "left.png"]


def test_a_file_above_the_size_limit_is_not_read(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.put("a/b.png", b"12345")
    assert store.get_unverified("a/b.png", 5) == b"12345"
    with pytest.raises(TooLarge, match=r"a/b\.png has 5 bytes, more than 4"):
        store.get_unverified("a/b.png", 4)
