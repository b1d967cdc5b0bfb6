from __future__ import annotations

from pathlib import Path

import pytest

from db.folder import FolderStore


def test_what_is_put_is_got_and_the_same_key_may_be_put_again(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    assert "a/b.png" not in store
    for data in (b"one", b"one"):
        assert store.put("a/b.png", data) == 3
    assert "a/b.png" in store
    assert store.get("a/b.png") == b"one"


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
    with pytest.raises(ValueError, match="store key"):
        FolderStore(tmp_path).local(key)


def test_a_file_that_is_being_written_is_nowhere_near_the_finished_ones_and_can_be_swept(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    with store.writing("strips/ab/x.png") as unfinished:
        unfinished.write_bytes(b"half")
        assert [path for path in (tmp_path / "strips").rglob("*") if path.is_file()] == []
        assert store.abandoned(older_s=60) == []
        assert store.abandoned(older_s=-60) == [unfinished]
    assert store.abandoned(older_s=-60) == []
    assert store.get("strips/ab/x.png") == b"half"
