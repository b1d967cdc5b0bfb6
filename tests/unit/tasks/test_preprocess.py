from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from db.ledger.claims import ItemClaim
from db.store.folder import FolderStore
from domain.errors import Changed, MachineFault, Missing, Outside, Unreadable
from tasks import preprocess
from tasks.audio import recording
from tasks.audio.preset import load_preset
from tasks.audio.strip import Strip, decode_strip
from tasks.preprocess import strip_file
from tasks.runtime.sources import Sources
from tests.recordings import write_tone


def claim_of(path: Path, root: Path) -> ItemClaim:
    found, digest = path.stat(), hashlib.sha256(path.read_bytes()).hexdigest()
    preset = json.dumps(load_preset("birdclef2021").as_dict())
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


def test_a_strip_is_named_by_its_recording_and_counts_its_chunks(claim: ItemClaim) -> None:
    made = strip_file(claim, Sources())
    assert claim.digest in made.facts.key
    assert hashlib.sha256(made.data).hexdigest() == made.facts.sha256
    assert len(decode_strip(made.data).spectrograms) == made.facts.n_chunks == 1


def test_names_of_recordings_and_strips_are_not_interned(
    claim: ItemClaim, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CPython enlarges its table of interned strings by megabytes when many pass through it."""
    strip_file(replace(claim, is_on_trust=True), Sources())  # late imports intern names once
    interned: list[str] = []
    monkeypatch.setattr(sys, "intern", lambda text: interned.append(text) or text)
    assert Path("seen.wav").name in interned, "the patched function records interned strings"
    store = FolderStore(tmp_path / "store")
    interned.clear()
    made = strip_file(replace(claim, is_on_trust=True), Sources())
    store.put(made.facts.key, made.data)
    assert store.get(made.facts.key, made.facts.sha256) == made.data
    assert not {claim.uri, made.facts.key.rpartition("/")[2]} & set(interned)


def test_another_rounding_of_the_same_strip_has_another_name(claim: ItemClaim, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another processor family may round differently; a late worker must not overwrite the file of a row."""
    first = strip_file(claim, Sources())
    assert strip_file(claim, Sources()) == first
    made = preprocess.make_strip

    def made_elsewhere(*given: Any) -> Strip:
        strip = made(*given)
        return replace(strip, features=np.nextafter(strip.features, np.inf))

    monkeypatch.setattr(preprocess, "make_strip", made_elsewhere)
    other = strip_file(claim, Sources())
    assert other.data != first.data
    assert other.facts.key != first.facts.key


def test_a_file_with_a_new_modification_time_and_the_same_bytes_is_accepted(claim: ItemClaim, tmp_path: Path) -> None:
    Path(claim.root, claim.uri).touch()
    assert strip_file(claim, Sources()).facts.n_chunks == 1


def test_a_file_with_other_bytes_has_changed(claim: ItemClaim, tmp_path: Path) -> None:
    write_tone(Path(claim.root, claim.uri), 4000, 0.5)
    with pytest.raises(Changed, match="plan it again"):
        strip_file(claim, Sources())


def test_a_missing_file_is_missing_and_a_missing_dataset_is_a_machine_fault(claim: ItemClaim, tmp_path: Path) -> None:
    with pytest.raises(Missing):
        strip_file(replace(claim, uri="nowhere.wav"), Sources())
    with pytest.raises(Missing):
        strip_file(replace(claim, uri="a.wav/b.wav"), Sources())
    shutil.rmtree(claim.root)
    with pytest.raises(MachineFault, match="mounted"):
        strip_file(claim, Sources())
    Path(claim.root).mkdir()
    with pytest.raises(MachineFault, match="mounted"):
        strip_file(claim, Sources())


@pytest.fixture
def disturbed(claim: ItemClaim, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Path], object]], ItemClaim]:
    """Return the claim on a recording that is disturbed after its first samples have been read."""
    read = recording._Reading.fill

    def with_disturbance(disturb: Callable[[Path], object]) -> ItemClaim:
        def fill(reading: recording._Reading, sound: recording.Sound, out: np.ndarray) -> int:
            n_read = read(reading, sound, out[:1000])
            disturb(Path(claim.root, claim.uri))
            return n_read if n_read < 1000 else n_read + read(reading, sound, out[1000:])

        monkeypatch.setattr(recording._Reading, "fill", fill)
        return claim

    return with_disturbance


@pytest.mark.parametrize("left_bytes", [0, 100, 5_000, 20_000])
def test_a_file_that_shrinks_during_reading_gives_no_strip(
    left_bytes: int, disturbed: Callable[[Callable[[Path], object]], ItemClaim], tmp_path: Path
) -> None:
    with pytest.raises(Changed, match="written while it was read"):
        strip_file(disturbed(lambda path: os.truncate(path, left_bytes)), Sources())


def test_a_file_that_is_rewritten_or_removed_during_reading_gives_no_strip(
    disturbed: Callable[[Callable[[Path], object]], ItemClaim], tmp_path: Path
) -> None:
    with pytest.raises(Changed, match="written while it was read"):
        strip_file(disturbed(lambda path: write_tone(path, 3000, 0.5)), Sources())
    with pytest.raises(Missing, match="was removed while it was read"):
        strip_file(replace(disturbed(lambda path: path.unlink(missing_ok=True)), size_bytes=0, digest=""), Sources())


@pytest.mark.parametrize("is_on_trust", [True, False])
@pytest.mark.parametrize("span", [0, 1])
def test_a_recording_replaced_by_a_link_out_of_the_dataset_is_not_read(
    claim: ItemClaim, tmp_path: Path, span: int, is_on_trust: bool
) -> None:
    path = Path(claim.root, claim.uri)
    elsewhere = path.rename(tmp_path / "elsewhere.wav")  # with the size and time of the planned file
    path.symlink_to(elsewhere)
    with pytest.raises(Outside, match="another place"):
        strip_file(replace(claim, span=span, is_on_trust=is_on_trust), Sources())


def test_a_link_to_another_recording_of_the_dataset_is_read(claim: ItemClaim) -> None:
    path = Path(claim.root, claim.uri)
    path.symlink_to(path.rename(path.with_name("other.wav")))
    assert strip_file(claim, Sources()).facts.n_chunks == 1


def test_a_recording_replaced_by_a_pipe_or_a_device_is_refused_without_blocking(claim: ItemClaim) -> None:
    path = Path(claim.root, claim.uri)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(Unreadable, match="not a regular file"):
        strip_file(claim, Sources())
    path.unlink()
    path.symlink_to("/dev/zero")
    with pytest.raises(Outside):
        strip_file(claim, Sources())
