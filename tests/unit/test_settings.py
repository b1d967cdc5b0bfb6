from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest
from kombu.utils.url import parse_url
from sqlalchemy.engine import make_url

from db.engine import Database
from domain.errors import UsageError
from orchestrator.session import settings_from
from settings import Settings


def test_without_urls_everything_is_in_the_home(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    assert settings.database == f"sqlite:///{tmp_path}/ledger.sqlite"
    assert settings.store == f"{tmp_path}/store"
    assert settings.is_broker_embedded


def test_an_option_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CHORUS_HOME", "/from/environment")
    assert Settings().home == Path("/from/environment")
    assert Settings(home=tmp_path).home == tmp_path


def test_the_sockets_path_fits_however_long_the_home_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/" + "x" * 100)
    settings = Settings(home=tmp_path / ("deep" * 60))
    assert len(os.fsencode(settings.socket)) < 107


def test_two_homes_have_two_sockets(tmp_path: Path) -> None:
    assert Settings(home=tmp_path / "a").socket != Settings(home=tmp_path / "b").socket


def test_a_child_sees_the_same_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, broker_url="redis://h/0", lease_s=7.0)
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    assert Settings() == settings


def test_advice_names_the_home_that_a_terminal_would_not_find_by_itself(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("CHORUS_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    assert Settings().command("resume 3") == "orchestrator resume 3"
    assert Settings(home=Path(".chorus")).command("resume 3") == "orchestrator resume 3"
    elsewhere = Settings(home=Path("it's here"))
    assert shlex.split(elsewhere.command("resume 3"))[-2:] == ["--home", str(tmp_path / "it's here")]
    monkeypatch.setenv("CHORUS_HOME", "it's here")
    monkeypatch.setenv("CHORUS_BROKER_PASSWORD_FILE", "gone")  # where an option had named another one
    assert elsewhere.command("resume 3") == "orchestrator resume 3"


def test_relative_paths_are_made_absolute_because_workers_have_another_working_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings(home=Path("h"), store_url="s", database_url="sqlite:///l.db")
    assert settings.home == tmp_path / "h"
    assert settings.store == str(tmp_path / "s")
    assert settings.database == f"sqlite:///{tmp_path}/l.db"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("store_url", "gs://bucket/prefix"),
        ("broker_url", "http://b"),
        ("broker_url", "amqp://b"),
        ("database_url", "mysql://b/x"),
    ],
)
def test_an_address_of_an_unknown_kind_is_refused(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=r"a (store|broker|database) is"):
        Settings(**{name: value})


@pytest.mark.parametrize("url", ["s3://", "s3:///prefix", "s3://key:secret@bucket/x", "s3://bucket:9000/x"])
def test_a_place_on_s3_that_names_no_bucket_or_holds_more_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="BUCKET/PREFIX"):
        Settings(store_url=url)


def test_a_place_on_s3_keeps_its_name_and_is_no_path() -> None:
    assert Settings(store_url="s3://birds/2026/#1?/").store == "s3://birds/2026/#1?"


@pytest.mark.parametrize(
    ("endpoint", "is_here"),
    [
        ("http://127.0.0.1:9000", True), ("http://localhost", True), ("http://[::1]:80", True),
        ("https://s3.example", False), ("", False),
    ],
)  # fmt: skip
def test_plain_http_is_for_an_endpoint_on_this_machine_alone(
    endpoint: str, is_here: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    assert Settings().is_endpoint_here is is_here


def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHORUS_HOME", "")
    assert Settings().home == Path(".chorus").absolute()


def test_a_home_whose_name_is_like_a_url_has_its_ledger_inside(tmp_path: Path) -> None:
    for name in ("a?b", "c%20d", "e+f", "g#h", "i@j:k"):
        database = Database(Settings(home=tmp_path / name).database)
        database.require_answer()
        database.close()
        assert (tmp_path / name / "ledger.sqlite").exists()
    assert len(list(tmp_path.iterdir())) == 5


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("broker_url", "redis://:se/cret@host"), ("broker_url", "redis://:secret@host:port/0"),
        ("database_url", "postgresql+psycopg://u:secret@db/n?pool=3"), ("store_url", "ftp://u:secret@host"),
    ],
)  # fmt: skip
def test_a_url_that_is_refused_is_shown_by_no_error(name: str, url: str) -> None:
    with pytest.raises(UsageError, match=rf"^setting CHORUS_{name.upper()} is not usable: ") as refused:
        settings_from({name: url})
    assert "cret" not in str(refused.value) + str(refused.value.__cause__)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lease_s", "inf"), ("lease_s", "nan"), ("lease_s", "1e9"), ("time_limit_s", "inf"), ("cache_gb", "inf"),
        ("shutdown_s", "inf"), ("idle_exit_s", "nan"), ("wait_s", "inf"), ("concurrency", "1000000000"),
        ("gpu_concurrency", "1025"), ("window_messages", "10000000"), ("child_memory_mb", "1000000000000"),
    ],
)  # fmt: skip
def test_a_number_without_sense_is_refused(name: str, value: str) -> None:
    with pytest.raises(UsageError, match=f"^setting CHORUS_{name.upper()} is '{value}': Input should be "):
        settings_from({name: value})


# --- passwords in files -------------------------------------------------------------------------------------------


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    file = tmp_path / "password"
    file.write_text("p@ss/w:rd\n")
    return file


def test_a_password_from_a_file_is_in_the_url_after_the_user(secret: Path) -> None:
    settings = Settings(
        broker_url="rediss://broker:6380/1?ssl_cert_reqs=required", broker_password_file=secret,
        database_url="postgresql+psycopg://chorus@db:5432/chorus?sslmode=verify-full", database_password_file=secret,
        flower_password_file=secret,
    )  # fmt: skip
    assert settings.broker == "rediss://:p%40ss%2Fw%3Ard@broker:6380/1?ssl_cert_reqs=required"
    assert settings.database == "postgresql+psycopg://chorus:p%40ss%2Fw%3Ard@db:5432/chorus?sslmode=verify-full"
    assert settings.flower_password == "p@ss/w:rd"


def test_the_libraries_read_the_password_back_out_of_the_url(secret: Path) -> None:
    settings = Settings(
        broker_url="redis://broker", broker_password_file=secret,
        database_url="postgresql+psycopg://chorus@db/chorus", database_password_file=secret,
    )  # fmt: skip
    assert parse_url(settings.broker)["password"] == "p@ss/w:rd"
    assert make_url(settings.database).password == "p@ss/w:rd"


def test_a_child_is_given_the_files_name_and_never_what_it_holds(secret: Path) -> None:
    settings = Settings(broker_url="redis://broker/0", broker_password_file=secret)
    assert settings.environment()["CHORUS_BROKER_PASSWORD_FILE"] == str(secret)
    assert not any("p@ss" in value or "p%40ss" in value for value in settings.environment().values())
    assert "p@ss" not in repr(settings)


def test_a_new_password_is_read_without_new_settings(secret: Path) -> None:
    settings = Settings(broker_url="redis://broker/0", broker_password_file=secret)
    secret.write_text("another")
    assert settings.broker == "redis://:another@broker/0"


@pytest.mark.parametrize("url", ["", "redis+socket:///run/s", "redis://:known@broker/0"])
def test_a_password_file_goes_only_with_a_host_and_no_other_password(url: str, secret: Path) -> None:
    with pytest.raises(ValueError, match="names a host and holds no password") as refused:
        Settings(broker_url=url, broker_password_file=secret)
    assert "p@ss" not in str(refused.value.errors()[0]["msg"])  # type: ignore[attr-defined]


@pytest.mark.parametrize("text", ["", "\n", "two\nlines", None])
def test_a_password_file_that_is_none_is_refused_without_being_shown(text: str | None, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ValueError, match="the secret file"):
        Settings(flower_password_file=file)


def test_a_refusal_of_several_settings_is_one_sentence_without_their_values(secret: Path) -> None:
    with pytest.raises(UsageError, match=r"^the password in ") as refused:
        settings_from({"broker_url": "redis://:known@broker/0", "broker_password_file": secret})
    assert "known" not in str(refused.value)
