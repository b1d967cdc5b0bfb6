"""The demo dataset is what it says: repeatable, sane as sound, and with exactly the trouble it promises."""

from __future__ import annotations

import csv
import hashlib
import subprocess
import sys
import time
from collections import Counter, defaultdict
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import soundfile

from domain.errors import Impossible
from orchestrator.demo import DemoFacts, make_dataset
from orchestrator.demo.rows import MOST_SPECIES, N_RECORDISTS, planned

SPECIES, EACH = 4, 2
UNUSABLE = {"empty", "text", "truncated", "silent", "too-short", "unlabelled", "missing", "outside"}


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> DemoFacts:
    return make_dataset(tmp_path_factory.mktemp("demo") / "birds", seed=7, species=SPECIES, recordings_per_species=EACH)


def rows_of(facts: DemoFacts) -> list[dict[str, str]]:
    with (facts.root / "train_metadata.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def usable(facts: DemoFacts) -> dict[str, dict[str, str]]:
    return {row["filename"]: row for row in rows_of(facts) if row["filename"] not in facts.broken}


def digests(root: Path) -> dict[str, str]:
    files = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


# --- what it holds ------------------------------------------------------------------------------------------------


def test_the_facts_agree_with_the_csv_and_the_files(demo):
    rows = usable(demo)
    assert demo.n_recordings == len(rows) == SPECIES * EACH + 1
    assert demo.n_species == len({row["primary_label"] for row in rows.values()}) == SPECIES
    assert demo.n_authors == len({row["author"] for row in rows.values()})
    assert all((demo.root / "train_audio" / name).is_file() for name in rows)


def test_every_good_recording_is_mono_vorbis_of_six_to_twelve_seconds_at_32_khz(demo):
    for name in usable(demo):
        info = soundfile.info(demo.root / "train_audio" / name)
        assert (info.samplerate, info.channels, info.subtype) == (32_000, 1, "VORBIS"), name
        assert 6 <= info.duration <= 12, name


def test_each_broken_recording_is_broken_in_the_way_its_name_says(demo):
    assert {Path(name).stem for name in demo.broken} == UNUSABLE
    at = {Path(name).stem: demo.root / "train_audio" / name for name in demo.broken}
    assert at["empty"].stat().st_size == 0
    for name in ("empty", "text", "truncated"):
        with pytest.raises(soundfile.LibsndfileError):
            soundfile.read(at[name])
    assert not np.any(soundfile.read(at["silent"])[0])
    assert soundfile.info(at["too-short"]).frames == 960
    assert not at["missing"].exists()
    assert not at["outside"].resolve().is_relative_to((demo.root / "train_audio").resolve())
    assert not at["outside"].exists()
    assert [row["primary_label"] for row in rows_of(demo) if "unlabelled" in row["filename"]] == [""]


def test_one_row_stands_twice(demo):
    assert Counter(Counter(row["filename"] for row in rows_of(demo)).values())[2] == 1


def test_one_recording_is_there_twice_under_another_name_and_author(demo):
    by_content = defaultdict(list)
    for name, row in usable(demo).items():
        digest = hashlib.sha256((demo.root / "train_audio" / name).read_bytes()).hexdigest()
        by_content[digest].append(row)
    (twins,) = [rows for rows in by_content.values() if len(rows) > 1]
    assert len({row["author"] for row in twins}) == len(twins) == 2
    assert len({row["primary_label"] for row in twins}) == 1


def test_the_bird_in_the_background_is_named_as_a_secondary_label():
    for each in planned(2021, 27, 16):
        assert (each.neighbour is None) == (each.row.secondary_labels == "[]")
        assert each.neighbour != each.species


def test_any_two_recordists_together_hold_every_species():
    heard = defaultdict(set)
    for each in planned(2021, 27, 16):
        heard[each.recordist].add(each.species)
    assert len(heard) == N_RECORDISTS
    assert all(one | other == set(range(27)) for one, other in combinations(heard.values(), 2))


def test_a_species_is_recorded_by_at_least_five_recordists_when_it_has_five_recordings():
    recordists = defaultdict(set)
    for each in planned(1, MOST_SPECIES, 5):
        recordists[each.species].add(each.recordist)
    assert set(map(len, recordists.values())) == {5}


# --- the same again, and never into something else ----------------------------------------------------------------


def test_the_same_seed_gives_the_same_bytes(demo, tmp_path):
    make_dataset(tmp_path / "again", seed=7, species=SPECIES, recordings_per_species=EACH)
    assert digests(tmp_path / "again") == digests(demo.root)


def test_another_seed_gives_other_songs(tmp_path):
    one, other = (make_dataset(tmp_path / str(seed), seed, species=2, recordings_per_species=1) for seed in (1, 2))
    ours, theirs = ({digests(facts.root)[f"train_audio/{name}"] for name in usable(facts)} for facts in (one, other))
    assert not ours & theirs


def test_a_finished_demo_is_not_made_again(demo):
    before = {path: path.stat().st_mtime_ns for path in demo.root.rglob("*")}
    assert make_dataset(demo.root, seed=7, species=SPECIES, recordings_per_species=EACH) == demo
    assert {path: path.stat().st_mtime_ns for path in demo.root.rglob("*")} == before


def test_a_demo_is_made_in_an_empty_folder_that_is_there_already(tmp_path):
    assert make_dataset(tmp_path, species=2, recordings_per_species=1).n_recordings == 3


def test_a_folder_with_anything_else_in_it_is_refused_and_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(Impossible, match="name a new folder"):
        make_dataset(tmp_path, species=2, recordings_per_species=1)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_an_interrupted_demo_stops_at_once_leaves_nothing_and_can_be_made_again(tmp_path, monkeypatch):
    sung = []

    def interrupt(*_):
        raise KeyboardInterrupt

    def counted(studio, each):
        sung.append(each)
        time.sleep(0.001)
        return b""

    monkeypatch.setattr("orchestrator.demo.sound.Studio.recording", counted)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("orchestrator.demo.dataset._put", interrupt)
        make_dataset(tmp_path, species=MOST_SPECIES, recordings_per_species=50)
    assert len(sung) < MOST_SPECIES * 50 / 2
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    assert make_dataset(tmp_path, species=2, recordings_per_species=1).n_recordings == 3


def test_the_remains_of_a_killed_demo_do_not_stand_in_the_way(tmp_path):
    (tmp_path / ".unfinished-abc").mkdir()
    assert make_dataset(tmp_path, species=2, recordings_per_species=1).n_recordings == 3


@pytest.mark.parametrize(("seed", "species", "each"), [(1, 1, 3), (1, MOST_SPECIES + 1, 3), (1, 2, 0), (-1, 2, 1)])
def test_numbers_that_cannot_be_met_are_refused_with_what_to_ask_for(tmp_path, seed, species, each):
    with pytest.raises(Impossible, match="ask for"):
        make_dataset(tmp_path, seed, species, each)


def test_importing_the_demo_does_not_import_numpy():
    code = "import sys, orchestrator.demo; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
