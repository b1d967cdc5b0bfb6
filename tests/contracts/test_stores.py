"""What every store promises, asked of a folder and of a real S3 server."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from db.store.interface import Store, TooLarge, open_store
from db.store.marker import marker_key
from db.store.objects import PART_BYTES, StoreUnreachable
from domain import stored_file
from domain.digests import content_digest
from domain.errors import Damaged


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    where = str(tmp_path / "store") if request.param == "folder" else request.getfixturevalue("s3_url")
    return open_store(where, tmp_path / "cache", 1 << 30, plain_http=True)


def test_what_is_put_is_got_and_the_same_key_may_be_put_again(store: Store) -> None:
    assert "a/b.png" not in store
    for data in (b"one", b"one"):
        assert store.put("a/b.png", data) == 3
    assert "a/b.png" in store
    assert store.get_unverified("a/b.png") == b"one"
    assert store.digest("a/b.png") == hashlib.sha256(b"one").hexdigest()


def test_what_is_larger_than_was_asked_for_is_refused(store: Store) -> None:
    store.put("a/b.png", b"12345")
    assert store.get_unverified("a/b.png", 5) == b"12345"
    with pytest.raises(TooLarge, match="5 bytes, more than 4"):
        store.get_unverified("a/b.png", 4)


def test_other_bytes_under_the_same_key_replace_the_first(store: Store) -> None:
    store.put("models/x.checkpoint.npz", b"epoch 1")
    store.put("models/x.checkpoint.npz", b"epoch 2, longer")
    assert store.get_unverified("models/x.checkpoint.npz") == b"epoch 2, longer"


@pytest.mark.parametrize("size_bytes", [0, 1, PART_BYTES, 2 * PART_BYTES + 7])
def test_a_file_of_any_size_comes_back_whole(size_bytes: int, store: Store) -> None:
    data = os.urandom(size_bytes)
    with store.writing("a/whole.bin") as path:
        path.write_bytes(data)
    assert store.digest("a/whole.bin") == hashlib.sha256(data).hexdigest()
    assert store.get_unverified("a/whole.bin") == data
    assert store.get("a/whole.bin", content_digest(data)) == data
    with store.local_files() as local_file:
        assert local_file("a/whole.bin", content_digest(data)).read() == data


def test_a_file_that_could_not_be_finished_leaves_nothing(store: Store) -> None:
    with pytest.raises(RuntimeError), store.writing("a/b.keras") as path:
        path.write_bytes(b"half")
        raise RuntimeError
    assert "a/b.keras" not in store
    assert not path.exists()


def test_a_file_keeps_its_ending_while_it_is_written_and_when_it_is_lent(store: Store) -> None:
    with store.writing("a/b.keras") as path:
        assert path.suffix == ".keras"
        path.write_bytes(b"x")
    with store.local_files() as local_file:
        assert local_file("a/b.keras", content_digest(b"x")).path.suffix == ".keras"


def test_nothing_is_seen_of_a_file_before_it_is_whole(store: Store) -> None:
    with store.writing("a/b.bin") as path:
        path.write_bytes(b"half")
        assert "a/b.bin" not in store
        with pytest.raises(FileNotFoundError):
            store.get_unverified("a/b.bin")


def test_what_is_not_there_is_said_to_be_missing(store: Store) -> None:
    for ask in (store.get_unverified, store.digest):
        with pytest.raises(FileNotFoundError):
            ask("never/was.bin")
    with store.local_files() as local_file, pytest.raises(FileNotFoundError):
        local_file("never/was.bin", "0" * 64)


def test_what_is_removed_is_gone_and_may_be_removed_again(store: Store) -> None:
    store.put("a/b.bin", b"x")
    for _ in range(2):
        store.remove("a/b.bin")
        assert "a/b.bin" not in store


@pytest.mark.parametrize("key", ["", "/etc/passwd", "../x", "a/../../x", "a//b", "./a"])
def test_no_key_leaves_the_store(key: str, store: Store) -> None:
    for ask in (store.get_unverified, store.digest, store.remove, store.address, store.__contains__):
        with pytest.raises(ValueError, match="store key"):
            ask(key)
    with pytest.raises(ValueError, match="store key"):
        store.put(key, b"x")


@pytest.mark.parametrize("key", ["a/späß é.bin", "a/100%.bin", "a/b#c+d&e.bin", "a/~[1]{2}?.bin"])
def test_keys_may_hold_what_names_hold(key: str, store: Store) -> None:
    store.put(key, b"x")
    assert key in store
    assert store.get_unverified(key) == b"x"
    assert store.address(key).endswith(key)
    assert store.address(key).startswith(store.location)


def test_a_lent_file_is_the_one_that_is_there_now(store: Store) -> None:
    for data in (b"first", b"second"):
        store.put("a/b.bin", data)
        with store.local_files() as local_file:
            assert local_file("a/b.bin", content_digest(data)).read() == data
            assert local_file("a/b.bin", content_digest(data)).read() == data


def test_bytes_that_were_not_written_do_not_leave_the_store(store: Store) -> None:
    """On S3 they may come from the cache, which here holds nothing yet, or from the server."""
    written, found = content_digest(b"12345"), content_digest(b"12354")
    store.put("a/b.bin", b"12354")
    said = rf"^a/b\.bin is not what was written: its SHA-256 is {found}, and {written} was recorded$"
    with pytest.raises(Damaged, match=said):
        store.get("a/b.bin", written)
    with store.local_files() as local_file, pytest.raises(Damaged, match=said):
        local_file("a/b.bin", written).read()
    assert store.get("a/b.bin", found) == store.get("a/b.bin", found[:16]) == b"12354"


def test_a_file_without_a_recorded_digest_is_read_and_one_warning_says_so(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    stored_file._warn_unrecorded.cache_clear()
    store.put("a/b.bin", b"x")
    assert store.get("a/b.bin", "") == b"x"
    with store.local_files() as local_file:
        assert local_file("a/b.bin", "").read() == b"x"
    assert [record.message for record in caplog.records if "SHA-256" in record.message] == [
        "files without a recorded SHA-256 are read unverified; `orchestrator doctor --repair` records it"
    ]


def test_a_marker_is_created_once_and_a_store_without_it_is_not_taken_for_empty(store: Store) -> None:
    ledger = "0" * 32
    for data in (b"first", b"second"):
        store.create(marker_key(ledger), data)
    assert store.get_unverified(marker_key(ledger)) == b"first"
    assert store.ledgers() == [ledger]
    store.bind(ledger)
    assert "never/was.bin" not in store
    store.remove(marker_key(ledger))
    for ask in (store.get_unverified, store.digest, store.__contains__):
        with pytest.raises(StoreUnreachable, match="does not hold the marker"):
            ask("never/was.bin")
