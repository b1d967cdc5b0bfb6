"""What cannot be done is refused in one sentence, with the right exit code, and nothing half-made."""

from __future__ import annotations

import os
from importlib.metadata import version
from pathlib import Path

import pytest

from db.engine import Database
from db.schema.upgrade import upgrade
from tests.e2e.command import Answer, orchestrator
from tests.recordings import write_class_folders, write_tone

TONES = {"high": 6000.0, "low": 1000.0}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def tones(tmp_path: Path) -> Path:
    return write_class_folders(tmp_path / "tones", TONES, per_label=2, seconds=0.5)


def _assert_refused(answer: Answer, code: int, *words: str) -> None:
    assert answer.code == code, answer.err
    assert not answer.has_traceback, answer.err
    last = answer.err.strip().splitlines()[-1]
    for word in words:
        assert word in last, last


def test_a_path_that_does_not_exist(home: Path, tmp_path: Path) -> None:
    _assert_refused(orchestrator("run", tmp_path / "nowhere", "--home", home), 2, "nowhere", "does not exist")
    assert not home.exists()


def test_a_path_of_nothing(home: Path) -> None:
    _assert_refused(orchestrator("run", "", "--home", home), 2, "path is empty")
    assert not home.exists()


def test_the_version_is_that_of_the_package() -> None:
    answer = orchestrator("--version")
    assert (answer.code, answer.out.strip()) == (0, version("dawn-chorus"))


def test_an_empty_folder(home: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    _assert_refused(orchestrator("run", tmp_path / "empty", "--home", home), 1, "no recordings")


def test_one_class_only(home: Path, tmp_path: Path) -> None:
    write_tone(tmp_path / "one" / "wren" / "a.wav", 1000, 0.5)
    _assert_refused(orchestrator("run", tmp_path / "one", "--home", home), 1, "1 class", "at least two")
    assert orchestrator("runs", "--home", home, "--json").json == {"runs": []}


def test_fewer_recordings_than_folds(home: Path, tones: Path) -> None:
    _assert_refused(orchestrator("run", tones, "--folds", "9", "--home", home), 1, "folds")


def test_a_part_that_cannot_be_taken_away_or_given(home: Path, tones: Path) -> None:
    _assert_refused(orchestrator("run", tones, "--ablate", "loudness", "--home", home), 2, "'loudness'", "denoising")
    refused = orchestrator("submit", tones, "--models", "mlp", "--ablate", "synthetic", "--dry-run", "--home", home)
    _assert_refused(refused, 2, "mlp reads features")
    assert not home.exists()


def test_a_model_a_preset_and_a_stage_that_do_not_exist(home: Path, tones: Path) -> None:
    _assert_refused(orchestrator("run", tones, "--models", "oracle", "--home", home), 2, "oracle", "cnn")
    _assert_refused(orchestrator("run", tones, "--preset", "loud", "--home", home), 2, "loud", "birdclef2021")
    _assert_refused(orchestrator("run", tones, "--until", "noon", "--home", home), 2, "noon", "preprocess")


@pytest.mark.parametrize("words", [("bogus",), ("run",), ("status", "x"), ("run", "--folds", "1", "/")])
def test_words_that_make_no_sense(words: tuple[str, ...]) -> None:
    answer = orchestrator(*words)
    assert answer.code == 2
    assert not answer.has_traceback


def test_a_run_that_does_not_exist(home: Path, tones: Path) -> None:
    orchestrator("run", tones, "--until", "preprocess", "--home", home)
    for command in ("status", "watch", "resume", "retry", "cancel", "report"):
        _assert_refused(orchestrator(command, "77", "--home", home), 2, "no run 77")


def test_a_home_that_cannot_be_written(tones: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    _assert_refused(orchestrator("run", tones, "--home", tmp_path / "file" / "home"), 4, "cannot be written", "--home")


def test_a_reading_command_makes_no_home(home: Path) -> None:
    _assert_refused(orchestrator("runs", "--home", home), 4, "no ledger")
    assert not home.exists()


def test_a_broker_that_does_not_answer_leaves_no_run(home: Path, tones: Path) -> None:
    url = "redis://:secret@127.0.0.1:1/0"
    for command in ("run", "submit"):
        answer = orchestrator(command, tones, "--home", home, "--broker-url", url)
        _assert_refused(answer, 4, "does not answer")
        assert "secret" not in answer.err
    assert orchestrator("runs", "--home", home, "--json").json == {"runs": []}


def test_a_database_that_does_not_answer_is_named_without_its_password(tones: Path, home: Path) -> None:
    url = "postgresql+psycopg://chorus:secret@127.0.0.1:1/chorus"
    answer = orchestrator("submit", tones, "--home", home, "--database-url", url)
    _assert_refused(answer, 4, "127.0.0.1")
    assert "secret" not in answer.err


def test_a_database_of_a_newer_version(home: Path, tones: Path) -> None:
    database = Database(f"sqlite:///{home / 'ledger.sqlite'}")
    upgrade(database)
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    _assert_refused(orchestrator("run", tones, "--home", home), 4, "newer than this code")


def test_a_database_by_url_that_was_never_set_up_says_how(home: Path, tones: Path, postgres_url: str) -> None:
    _assert_refused(orchestrator("submit", tones, "--home", home, "--database-url", postgres_url), 4, "db upgrade")
    assert orchestrator("db", "upgrade", "--database-url", postgres_url).code == 0
    answer = orchestrator("submit", tones, "--home", home, "--database-url", postgres_url)
    _assert_refused(answer, 4, "no embedded broker")


def test_a_worker_without_a_broker_and_one_without_a_role(home: Path) -> None:
    _assert_refused(orchestrator("worker", "cpu", "--home", home), 4, "no embedded broker")
    _assert_refused(orchestrator("worker", "tpu", "--home", home), 2, "tpu", "cpu or gpu")


def test_asking_for_workers_or_a_diagnosis_without_a_broker(home: Path, tones: Path) -> None:
    orchestrator("run", tones, "--until", "preprocess", "--home", home)
    _assert_refused(orchestrator("workers", "--home", home), 4, "does not answer")
    assert orchestrator("doctor", "--home", home).code == 0
    dead = "redis://127.0.0.1:1/0"
    _assert_refused(orchestrator("workers", "--home", home, "--broker-url", dead), 4, "does not answer")
    assert "does not answer" in orchestrator("doctor", "--home", home, "--broker-url", dead).out


def test_a_ledger_that_is_no_database(home: Path, tones: Path) -> None:
    home.mkdir()
    (home / "ledger.sqlite").write_text("not a database, but long enough to be taken for one" * 100)
    _assert_refused(orchestrator("run", tones, "--home", home), 4, "not a database")


def test_an_address_of_an_unknown_kind_is_refused_and_its_password_not_shown(home: Path, tones: Path) -> None:
    for option, url in (
        ("broker-url", "http://u:secret@h"),
        ("database-url", "x//u:secret@h"),
        ("store-url", "http://u:secret@h"),
    ):
        answer = orchestrator("run", tones, "--home", home, f"--{option}", url, "--json")
        _assert_refused(answer, 2, option.upper().replace("-", "_"))
        assert "secret" not in answer.err + answer.out
        assert answer.json["exit_code"] == 2


def test_a_store_on_s3_that_does_not_answer_is_said_before_anything_is_planned(home: Path, tones: Path) -> None:
    nobody = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}
    answer = orchestrator("run", tones, "--home", home, "--store-url", "s3://sounds", **nobody)
    _assert_refused(answer, 4, "s3://sounds")


def test_a_setting_of_the_wrong_kind(home: Path, tones: Path) -> None:
    answer = orchestrator("run", tones, "--home", home, CHORUS_LEASE_S="soon")
    _assert_refused(answer, 2, "CHORUS_LEASE_S", "soon")


def test_copies_under_two_labels_are_told_of(home: Path, tones: Path) -> None:
    assert "exact cop" not in orchestrator("run", tones, "--dry-run", "--home", home).out
    first = min((tones / "high").iterdir())
    (tones / "low" / "copy.wav").write_bytes(first.read_bytes())
    said = orchestrator("run", tones, "--until", "preprocess", "--dry-run", "--home", home).out
    assert "2 recordings have exact copies under another label (high, low)" in said


def test_a_dry_run_prints_counts_and_makes_nothing(home: Path, tones: Path) -> None:
    answer = orchestrator("run", tones, "--dry-run", "--json", "--home", home)
    assert answer.code == 0, answer.err
    assert (answer.json["recordings"], answer.json["classes"]) == (4, {"high": 2, "low": 2})
    assert not home.exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_home_without_permission(tones: Path, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    _assert_refused(orchestrator("run", tones, "--home", tmp_path / "locked" / "home"), 4, "cannot be written")
