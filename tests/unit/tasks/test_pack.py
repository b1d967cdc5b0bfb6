"""What packing believes of a strip before it reads it."""

from __future__ import annotations

from pathlib import Path

import pytest

from db.folder import FolderStore
from db.reading import StripRow
from tasks import pack
from tasks.failures import Damaged, MachineFault


def row(size_bytes: int) -> StripRow:
    return StripRow("strips/a.png", "f" * 64, "a.wav", "d" * 64, "wren", "Ann", 0, 0, size_bytes, (None,) * 4)


def test_a_strip_that_grew_beyond_belief_is_damaged_and_not_read(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.put("strips/a.png", bytes(100_000))
    assert len(pack._bytes(store, row(100_000))) == 100_000
    assert len(pack._bytes(store, row(90_000))) == 100_000  # another kind of processor may have written it again
    store.local("strips/a.png").write_bytes(b"")
    with store.local("strips/a.png").open("r+b") as file:
        file.truncate(1 << 40)  # a hole
    with pytest.raises(Damaged, match=r"a\.png has 1099511627776 bytes, more than .*; it was written with 100000"):
        pack._bytes(store, row(100_000))


def test_a_strip_that_is_gone_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(MachineFault, match="doctor --repair"):
        pack._bytes(FolderStore(tmp_path), row(10))
