"""What a cache keeps, what it removes, and that it never removes a file in use."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from db.store.cache import Cache
from domain.digests import content_digest
from domain.errors import Damaged
from domain.stored_file import StoredFile


def fetching(content: bytes, seen: list[str] | None = None) -> Callable[[Path], None]:
    def fetch(path: Path) -> None:
        if seen is not None:
            seen.append(path.name)
        path.write_bytes(content)

    return fetch


def anything(_: Path) -> None:
    """Every file is whole."""


def recorded(content: bytes) -> Callable[[Path], None]:
    """Only a file of these bytes is whole."""
    return lambda path: StoredFile("key", path, content_digest(content)).require_whole()


def kept(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in (folder / "kept").iterdir()}


def test_a_file_is_fetched_once_however_often_it_is_asked_for(tmp_path: Path) -> None:
    cache, seen = Cache(tmp_path, 1000), []
    for _ in range(3):
        with cache.local_files() as files:
            for _ in range(2):
                assert files.file("a.bin", fetching(b"x" * 10, seen), anything).read_bytes() == b"x" * 10
    assert len(seen) == 1


def test_the_least_recently_used_files_make_room(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 100)
    for at, name in enumerate(("a", "b", "a", "c")):
        with cache.local_files() as files:
            os.utime(files.file(name, fetching(bytes(50)), anything), (at + 1, at + 1))
    cache.make_room()
    assert kept(tmp_path) == {"a": 50, "c": 50}


def test_a_file_in_use_stays_until_its_user_is_done(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 0)
    with cache.local_files() as files:
        first = files.file("a", fetching(b"first"), anything)
        with cache.local_files() as other:
            other.file("b", fetching(b"second"), anything)
        assert kept(tmp_path) == {}
        assert first.read_bytes() == b"first"
    assert not first.exists()


def test_a_fetch_that_fails_leaves_no_file(tmp_path: Path) -> None:
    def broken(path: Path) -> None:
        path.write_bytes(b"half")
        raise ConnectionResetError

    cache = Cache(tmp_path, 1000)
    with cache.local_files() as files:
        with suppress(ConnectionResetError):
            files.file("a", broken, anything)
        assert files.file("a", fetching(b"whole"), anything).read_bytes() == b"whole"
    assert kept(tmp_path) == {"a": 5}


def test_a_kept_file_that_changed_is_fetched_again(tmp_path: Path) -> None:
    cache, seen = Cache(tmp_path, 1000), []
    whole = b"0123456789"
    for at in range(len(whole)):
        with cache.local_files() as files:
            files.file("a", fetching(whole, seen), recorded(whole))
        flipped = bytearray(whole)
        flipped[at] ^= 1
        (tmp_path / "kept" / "a").write_bytes(flipped)
    with cache.local_files() as files:
        assert files.file("a", fetching(whole, seen), recorded(whole)).read_bytes() == whole
    with cache.local_files() as files:
        assert files.file("a", fetching(whole, seen), recorded(whole)).read_bytes() == whole
    assert len(seen) == 1 + len(whole)


def test_a_fetched_file_that_is_not_what_was_written_is_neither_lent_nor_kept(tmp_path: Path) -> None:
    with Cache(tmp_path, 1000).local_files() as files, pytest.raises(Damaged, match="key is not what was written"):
        files.file("a", fetching(b"other"), recorded(b"whole"))
    assert kept(tmp_path) == {}


def test_the_next_process_removes_what_a_killed_one_held(tmp_path: Path) -> None:
    code = (
        "import pathlib, sys, time; from db.store.cache import Cache\n"
        "with Cache(pathlib.Path(sys.argv[1]), 0).local_files() as files:\n"
        "    files.file('a', lambda path: path.write_bytes(b'x'), lambda path: None)\n"
        "    print('held', flush=True); time.sleep(60)\n"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    with Cache(tmp_path, 0).local_files():
        assert len(list((tmp_path / "in-use").iterdir())) == 2, "one that lives is left alone"
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    holder.stdout.close()
    with Cache(tmp_path, 0).local_files():
        assert len(list((tmp_path / "in-use").iterdir())) == 1
