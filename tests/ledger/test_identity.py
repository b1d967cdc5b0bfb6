"""A ledger knows its store: a bare mount point is not filled, and no other ledger's files are removed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from db.engine import Database
from db.ledger.identity import adopt, bind_if_adopted, ledger_id
from db.queries.job_inputs import has_open_items, strips
from db.schema.tables import Artifact, Pipeline
from db.schema.upgrade import upgrade
from db.store.folder import FolderStore
from db.store.objects import StoreUnreachable
from domain.errors import UsageError
from domain.states import State
from orchestrator.monitoring.doctor import findings, forget_ledger
from tasks.runtime.span_files import made_again
from tests.e2e.way import home
from tests.ledger_rows import done, item_states, small_run


def test_a_bound_store_whose_disk_goes_away_is_neither_written_nor_taken_for_empty(
    database: Database, tmp_path: Path
) -> None:
    upgrade(database)
    store = FolderStore(tmp_path / "store")
    adopt(database, store)
    store.put("strips/a.png", b"a")
    store.folder.rename(tmp_path / "unmounted")
    store.folder.mkdir()  # the bare mount point
    for ask in (store.get_unverified, store.digest, store.__contains__, lambda key: store.put(key, b"a")):
        with pytest.raises(StoreUnreachable, match="check that its disk is mounted"):
            ask("strips/a.png")
    with pytest.raises(StoreUnreachable):
        adopt(database, FolderStore(store.folder))
    assert list(store.folder.iterdir()) == []
    shutil.rmtree(store.folder)
    (tmp_path / "unmounted").rename(store.folder)
    assert store.get_unverified("strips/a.png") == b"a"
    with pytest.raises(FileNotFoundError):
        store.get_unverified("strips/b.png")


def test_a_store_without_a_marker_is_adopted_only_if_known_files_are_there(database: Database, tmp_path: Path) -> None:
    small = small_run(database, 1)
    small.ledger().settle_items([done(claim) for claim in small.ledger().claim_items(small.run, small.items)])
    with database.read() as connection:
        key = connection.scalars(sa.select(Artifact.key)).one()
    with pytest.raises(StoreUnreachable, match="create that file, empty, and run `orchestrator doctor --repair`"):
        adopt(database, FolderStore(tmp_path / "other"))
    assert not (tmp_path / "other").exists()
    older = FolderStore(tmp_path / "older")
    older.put(key, b"x")
    adopt(database, older)
    assert older.ledgers() == [ledger_id(database)]


def test_a_copied_ledger_gets_a_new_id_and_a_renamed_one_keeps_its(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    first = Database(f"sqlite:///{tmp_path}/a/ledger.sqlite")
    upgrade(first)
    known = ledger_id(first)
    first.close()
    shutil.copy(tmp_path / "a/ledger.sqlite", tmp_path / "b/ledger.sqlite")
    copy = Database(f"sqlite:///{tmp_path}/b/ledger.sqlite")
    assert ledger_id(copy) != known
    (tmp_path / "a").rename(tmp_path / "renamed")
    renamed = Database(f"sqlite:///{tmp_path}/renamed/ledger.sqlite")
    assert ledger_id(renamed) == known


def test_a_restored_ledger_without_files_adopts_its_own_store_again_but_no_bare_mount_point(tmp_path: Path) -> None:
    path, backup = tmp_path / "ledger.sqlite", tmp_path / "backup.sqlite"
    ledger, store = Database(f"sqlite:///{path}"), FolderStore(tmp_path / "store")
    upgrade(ledger)
    adopt(ledger, store)
    ledger.close()
    shutil.copy(path, backup)
    backup.replace(path)
    restored = Database(f"sqlite:///{path}")
    (store.folder / "ledgers").rename(tmp_path / "away")
    with pytest.raises(StoreUnreachable):
        adopt(restored, FolderStore(store.folder))
    (tmp_path / "away").rename(store.folder / "ledgers")
    (store.folder / "ledgers" / ".DS_Store").touch()
    adopt(restored, FolderStore(store.folder))
    assert len(store.ledgers()) == 2
    restored.close()


def test_repair_removes_nothing_while_another_ledger_is_registered_in_the_store(tmp_path: Path) -> None:
    with home(tmp_path / "a") as mine, home(tmp_path / "b", store_url=str(tmp_path / "a/store")) as theirs:
        for session in (mine, theirs):
            adopt(session.database, session.store)
        theirs.store.put("strips/ab/theirs.png", b"x")
        path = tmp_path / "a/store/strips/ab/theirs.png"
        os.utime(path, (0, 0))
        other = ledger_id(theirs.database)
        assert f"ledger {other} uses this store too" in "\n".join(findings(mine, repair=True))
        assert path.exists()
        with pytest.raises(UsageError, match="is this ledger"):
            forget_ledger(mine, ledger_id(mine.database))
        assert "is forgotten" in forget_ledger(mine, other)
        assert "; deleted" in "\n".join(findings(mine, repair=True))
        assert not path.exists()


def test_strips_that_are_gone_are_made_again_by_the_run_itself(database: Database, tmp_path: Path) -> None:
    small = small_run(database, 2)
    small.ledger().settle_items([done(claim) for claim in small.ledger().claim_items(small.run, small.items)])
    assert not has_open_items(database, small.run)
    with database.read() as connection:
        keys = connection.scalars(sa.select(Artifact.key).order_by(Artifact.id)).all()
    store = FolderStore(tmp_path / "store")
    store.put(keys[1], b"still there")
    claim = SimpleNamespace(kind="pack", id=7)
    work: Any = SimpleNamespace(database=database, store=store, claim=claim, require_claim=lambda: None)
    with database.read() as connection:
        [pipeline] = connection.scalars(sa.select(Pipeline.id))
    error = made_again(work, strips(database, small.run, pipeline, None))
    assert "lacks 1 file of pack job 7" in str(error)
    assert sorted(item_states(small)) == sorted([State.WAITING, State.DONE])
    assert has_open_items(database, small.run)
    [claim] = small.ledger().claim_items(small.run, small.items)
    assert not claim.is_made


def test_a_command_that_only_reads_binds_a_store_that_was_adopted(database: Database, tmp_path: Path) -> None:
    upgrade(database)
    adopt(database, FolderStore(tmp_path / "store"))
    (tmp_path / "store").rename(tmp_path / "away")
    reader = FolderStore(tmp_path / "store")
    bind_if_adopted(database, reader)
    with pytest.raises(StoreUnreachable):
        reader.digest("strips/a.png")
