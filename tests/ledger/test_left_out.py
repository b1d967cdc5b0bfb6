"""`--drop-leaks`: what it leaves out is named, counts as no loss, and the split is honest; SQLite and PostgreSQL."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from db.engine import Database
from db.queries import status
from db.schema.tables import Item, Recording
from db.schema.upgrade import upgrade
from db.store.folder import FolderStore
from orchestrator.monitoring.summary import summary
from orchestrator.planning.dry_run import dry_run
from orchestrator.planning.request import Request
from orchestrator.planning.submit import submit

ASKED = Request(until="pack", trust_csv=True, drop_leaks=True)
WHY = "left out by --drop-leaks: other recordings of their groups are in test (group ana)"


@pytest.fixture(autouse=True)
def _tables(database: Database) -> None:
    upgrade(database)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Six authors of two classes; of ana a recording for training and one for test."""
    lines = ["path,label,author,split"]
    lines += [
        f"{author}-{label}.wav,{label},{author},{'test' if author == 'fay' else 'train'}"
        for author in ("ana", "ben", "cid", "dan", "eva", "fay")
        for label in ("wren", "robin")
    ]
    lines.append("ana-tested.wav,wren,ana,test")
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "labels.csv").write_text("\n".join(lines))
    return folder


def test_recordings_that_were_left_out_are_named_and_are_no_loss(
    database: Database, dataset: Path, tmp_path: Path
) -> None:
    run = submit(database, dataset, ASKED, lambda _: None).run
    with database.read() as connection:
        used = sa.select(Recording.uri).join(Item, Item.recording_id == Recording.id).where(Item.run_id == run)
        assert {"ana-wren.wav", "ana-robin.wav"}.isdisjoint(connection.execute(used).scalars().all())
    found = summary(database, FolderStore(tmp_path / "store"), run)
    assert found["left_out"] == [{"recording": f"ana-{label}.wav", "reason": WHY} for label in ("wren", "robin")]
    assert found["honesty"]["is_honest"] is True
    assert (found["recordings"]["total"], found["quarantined"], found["bad_rows"]) == (11, [], [])
    assert not status.is_any_unused(database, run)


def test_a_dry_run_names_the_same_recordings(database: Database, dataset: Path) -> None:
    planned = dry_run(database, dataset, ASKED, lambda _: None)
    assert planned.values()["left_out"] == [
        {"recording": f"ana-{label}.wav", "reason": WHY} for label in ("wren", "robin")
    ]
    assert planned.lines()[-1] == f"ana-robin.wav: {WHY}"


def test_without_the_option_the_same_data_leak(database: Database, dataset: Path, tmp_path: Path) -> None:
    run = submit(database, dataset, Request(until="pack", trust_csv=True), lambda _: None).run
    found = summary(database, FolderStore(tmp_path / "store"), run)
    assert (found["left_out"], found["honesty"]["is_honest"]) == ([], False)
    assert [each["recording"] for each in found["honesty"]["crossing"]] == ["ana-tested.wav"]
