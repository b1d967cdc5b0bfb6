"""A file that was verified is not hashed again before it changes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from domain import stored_file
from domain.digests import content_digest
from domain.errors import Damaged
from domain.stored_file import StoredFile


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Takes the size of whatever is hashed."""
    sizes: list[int] = []
    monkeypatch.setattr(stored_file, "content_digest", lambda data: (sizes.append(len(data)), content_digest(data))[1])
    return sizes


def lent(path: Path, at_s: float) -> StoredFile:
    path.write_bytes(b"12345")
    return StoredFile("shards/a", path, content_digest(b"12345"), at_s)


def test_a_file_that_was_old_when_it_was_lent_is_hashed_once(tmp_path: Path, hashed: list[int]) -> None:
    file = lent(tmp_path / "a", time.time() + 60)
    assert [file.read() for _ in range(3)] == [b"12345"] * 3
    assert hashed == [5]


@pytest.mark.parametrize("clock", [lambda: 0.0, time.time], ids=["a clock behind", "now"])
def test_a_file_that_was_just_written_is_hashed_at_every_reading(
    clock: Callable[[], float], tmp_path: Path, hashed: list[int]
) -> None:
    file = lent(tmp_path / "a", clock())
    assert [file.read() for _ in range(3)] == [b"12345"] * 3
    assert hashed == [5, 5, 5]


def test_a_change_after_the_first_reading_is_found_though_size_and_time_were_put_back(tmp_path: Path) -> None:
    file = lent(tmp_path / "a", time.time() + 60)
    assert file.read() == b"12345"
    before = file.path.stat()
    time.sleep(0.02)  # more than a tick of this file system's clock
    file.path.write_bytes(b"12354")
    os.utime(file.path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(Damaged):
        file.read()


def test_another_file_in_its_place_is_found(tmp_path: Path) -> None:
    file = lent(tmp_path / "a", time.time() + 60)
    assert file.read() == b"12345"
    (tmp_path / "b").write_bytes(b"12354")
    (tmp_path / "b").replace(file.path)
    with pytest.raises(Damaged):
        file.read()
