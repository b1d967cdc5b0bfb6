from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from db.ledger import ItemClaim
from db.store import Store
from tasks.audio.preset import load_preset
from tasks.audio.strip import decode_strip
from tasks.failures import Changed, MachineFault, Missing
from tasks.preprocess import strip_in_store
from tests.recordings import write_tone


def claim_of(path: Path, root: Path) -> ItemClaim:
    found, digest = path.stat(), hashlib.sha256(path.read_bytes()).hexdigest()
    preset = load_preset("birdclef2021").as_dict()
    uri = str(path.relative_to(root))
    return ItemClaim(
        1,
        1,
        str(root),
        uri,
        digest,
        found.st_size,
        found.st_mtime_ns,
        0,
        0,
        1,
        preset,
        is_on_trust=False,
        is_made=False,
    )


@pytest.fixture
def claim(tmp_path: Path) -> ItemClaim:
    write_tone(tmp_path / "data" / "b.wav", 2000, 0.5)
    return claim_of(write_tone(tmp_path / "data" / "a.wav", 1000, 0.5), tmp_path / "data")


def test_a_strip_stands_in_the_store_under_a_name_made_of_what_it_is(claim: ItemClaim, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    facts = strip_in_store(claim, store)
    assert claim.digest in facts.key
    assert hashlib.sha256(store.get(facts.key)).hexdigest() == facts.sha256
    assert len(decode_strip(store.get(facts.key)).spectrograms) == facts.n_chunks == 1


def test_a_file_that_was_only_touched_is_still_the_planned_one(claim: ItemClaim, tmp_path: Path) -> None:
    Path(claim.root, claim.uri).touch()
    assert strip_in_store(claim, Store(tmp_path / "store")).n_chunks == 1


def test_other_bytes_under_the_same_name_are_noticed(claim: ItemClaim, tmp_path: Path) -> None:
    write_tone(Path(claim.root, claim.uri), 4000, 0.5)
    with pytest.raises(Changed, match="plan it again"):
        strip_in_store(claim, Store(tmp_path / "store"))


def test_a_file_that_is_gone_is_missing_but_a_dataset_that_is_gone_is_the_machines_fault(
    claim: ItemClaim, tmp_path: Path
) -> None:
    store = Store(tmp_path / "store")
    with pytest.raises(Missing):
        strip_in_store(replace(claim, uri="nowhere.wav"), store)
    shutil.rmtree(claim.root)
    with pytest.raises(MachineFault, match="mounted"):
        strip_in_store(claim, store)
    Path(claim.root).mkdir()
    with pytest.raises(MachineFault, match="mounted"):
        strip_in_store(claim, store)
