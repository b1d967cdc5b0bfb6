"""Tested recordings whose group or bytes are trained on too; on SQLite and PostgreSQL."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from db.engine import Database
from db.queries.crossings import Crossing, Crossings, crossings
from db.schema.tables import Item, Run
from db.store.folder import FolderStore
from domain.states import State
from orchestrator.monitoring.summary import summary
from tests.ledger_rows import small_run

LEAKY = {"leaks": 1, "method": "the data's own split", "copies": 2}


def test_the_tested_recordings_of_a_group_on_both_sides_are_named(database: Database, tmp_path: Path) -> None:
    small = small_run(database, 6)  # all of Ann, in turn in training, validation and test
    with database.write() as connection:
        connection.execute(sa.update(Run).where(Run.id == small.run).values(split={"digest": "s" * 64, **LEAKY}))
    found = crossings(database, small.run, LEAKY, {})
    assert found.recordings == (Crossing("a/2.ogg", "robin", "Ann", -1), Crossing("a/5.ogg", "wren", "Ann", -1))
    assert found.groups == {"Ann"}
    assert found.as_csv() == b"recording,label,group,part\na/2.ogg,robin,Ann,test\na/5.ogg,wren,Ann,test\n"
    assert summary(database, FolderStore(tmp_path), small.run)["honesty"] == {
        "is_honest": False, "crossing_groups": 1, "joined_copies": 2, "scores_without": {},
        "crossing_csv": None,
        "crossing": [
            {"recording": "a/2.ogg", "label": "robin", "group": "Ann", "part": "test"},
            {"recording": "a/5.ogg", "label": "wren", "group": "Ann", "part": "test"},
        ],
    }  # fmt: skip


def test_a_group_in_training_and_validation_only_does_not_cross(database: Database) -> None:
    small = small_run(database, 6)
    with database.write() as connection:
        is_tested = (Item.run_id == small.run, Item.subset == 2)
        connection.execute(sa.update(Item).where(*is_tested).values(group_name="Bo", state=State.DONE))
    assert crossings(database, small.run, LEAKY, {}) == Crossings()


def test_every_recording_of_a_group_in_two_folds_crosses(database: Database) -> None:
    small = small_run(database, 3)
    with database.write() as connection:
        connection.execute(sa.update(Item).where(Item.run_id == small.run).values(fold=Item.subset, subset=0))
    assert [(each.recording, each.part) for each in crossings(database, small.run, LEAKY, {}).recordings] == [
        ("a/0.ogg", "fold 0"), ("a/1.ogg", "fold 1"), ("a/2.ogg", "fold 2"),
    ]  # fmt: skip


def test_no_row_is_read_for_a_plan_without_leaks(database: Database) -> None:
    small = small_run(database, 6)
    assert crossings(database, small.run, {"leaks": 0}, {}) == Crossings()
    assert crossings(database, small.run, {"leaks": 0}, {"trust_csv": True}).groups == {"Ann"}
