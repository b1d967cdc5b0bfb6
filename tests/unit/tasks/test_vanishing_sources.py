"""Recordings in a folder that cannot be opened, or whose disk goes away: who is at fault."""

from __future__ import annotations

from pathlib import Path

import pytest

from db.ledger.claims import ItemClaim
from domain.digests import content_digest
from domain.errors import Changed, MachineFault, Missing, Unreadable
from tasks.audio.source import open_source
from tasks.runtime.sources import Sources

CONTENT = b"some bytes"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("1.wav", "2.wav"):
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "data" / name).write_bytes(CONTENT)
    return tmp_path / "data"


def claim(root: Path, uri: str = "1.wav", *, size_bytes: int = len(CONTENT), on_trust: bool = False) -> ItemClaim:
    return ItemClaim(
        id=1, fence=1, root=str(root), uri=uri, digest="" if on_trust else content_digest(CONTENT),
        size_bytes=size_bytes, mtime_ns=0, span=0, copy=0, pipeline_id=1, pipeline={}, is_on_trust=on_trust,
        is_made=False,
    )  # fmt: skip


def test_a_loop_and_a_long_name_on_trust_are_missing_and_cost_one_attempt(root: Path) -> None:
    (root / "loop.wav").symlink_to("loop.wav")
    for uri in ("loop.wav", f"{'n' * 300}.wav"):
        with pytest.raises(Missing, match="names no file"), Sources().reading(claim(root, uri, on_trust=True)):
            pass


def test_a_disk_that_goes_away_while_a_recording_is_read_is_the_machines_fault(root: Path) -> None:
    with pytest.raises(MachineFault, match="is not there; check that its disk"), Sources().reading(claim(root)):
        root.rename(root.with_name("away"))
        root.mkdir()  # the bare mount point
        raise Unreadable("what a decoder makes of it")


def test_a_disk_that_was_away_for_a_moment_is_the_machines_fault(root: Path) -> None:
    with pytest.raises(MachineFault, match=r"1\.wav cannot be read now"), Sources().reading(claim(root)) as opened:
        root.rename(root.with_name("away"))
        try:
            with open_source(opened.place):
                pass
        finally:
            root.with_name("away").rename(root)


def test_a_recording_removed_while_it_is_read_is_missing(root: Path) -> None:
    with pytest.raises(Missing, match=r"1\.wav was removed while it was read"), Sources().reading(claim(root)):
        (root / "1.wav").unlink()


def test_a_recording_of_another_size_is_not_read(root: Path) -> None:
    with (root / "1.wav").open("r+b") as file:
        file.truncate(1 << 40)  # a sparse terabyte: its digest would take an hour
    with pytest.raises(Changed, match="had 10 bytes and has 1099511627776"), Sources().reading(claim(root)):
        pass
