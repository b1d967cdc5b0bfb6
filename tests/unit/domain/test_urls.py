"""URLs of broker and database: what is refused, in which words, and what of them is never shown."""

from __future__ import annotations

import pytest
from kombu import Connection
from psycopg import pq
from sqlalchemy.engine import make_url

from domain import urls
from domain.urls import require_broker_url, require_database_url, secrets_of, shown, without_secrets

POSTGRES = "postgresql+psycopg://"


@pytest.mark.parametrize(
    "url",
    [
        "redis://", "redis://broker", "redis://broker/0", "redis://:pa%2Fss@broker:6379/15", "redis://u:p@ss@broker/0",
        "rediss://b:6380/1?ssl_cert_reqs=required&ssl_ca_certs=/run/ca.crt", "redis://[::1]:6379/0", "redis://a_b/0",
        "redis+socket:///run/s.sock?virtual_host=1", "redis+socket:///run/with%20space",
    ],
)  # fmt: skip
def test_a_broker_url_that_is_accepted_is_read_alike_by_kombu(url: str) -> None:
    require_broker_url(url)
    with Connection(url) as connection:
        found = urls.parts(url)
        assert connection.transport_cls == found.scheme.removesuffix("+socket")
        if found.scheme != "redis+socket" and found.host:
            assert (connection.hostname, connection.port or 6379) == (found.host.strip("[]"), int(found.port or 6379))


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("redis://:pa/ss@host", "write / as %2F"), ("redis://:pa/ss@host:6379/0", "write / as %2F"),
        ("redis://:pa#ss@host/0", "write / as %2F"), ("redis://:pa?ss@host/0", "write / as %2F"),
        ("redis://us/er:ss@host/0", "a Redis database"), ("redis://host:ss/0", "port is not a number"),
        ("redis://host:0/0", "port"), ("redis://host:65536/0", "port"), ("redis://host:/0", "port"),
        ("redis://host:\u0663/0", "port"), ("redis://host/ss", "a Redis database is a number"),
        ("redis://host/-1", "a Redis database is a number"),
        ("redis://host/0?timeout=1", "option 'timeout' is unknown"),
        ("redis://host/0?ss", "NAME=VALUE"), ("rediss://h/0?ssl_cert_reqs=maybe", "required, optional or none"),
        ("redis+socket://run/s", "redis"), ("redis+socket://", "/PATH"),
        ("redis+socket:///s?virtual_host=x", "number"), ("redis+socket:///s?db=1", "option 'db' is unknown"),
        ("redis://ho st/0", "SCHEME"), ("redis://[::1/0", "SCHEME"), ("redis://host\n/0", "control character"),
        ("redis:host", "named by redis://"), ("http://host", "named by redis://"),
    ],
)  # fmt: skip
def test_a_broker_url_that_cannot_be_used_is_refused_without_a_piece_of_it(url: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as refused:
        require_broker_url(url)
    assert not any(piece in str(refused.value) for piece in ("pa/", "ss@", "ss'", "pa'", ":ss"))


@pytest.mark.parametrize(
    "url",
    [
        POSTGRES + "db/chorus", POSTGRES + "u:pa/ss?#@db:5432/chorus?sslmode=require",
        POSTGRES + "/chorus?host=/run/pg",
        POSTGRES + "u:p%40ss@[::1]:5432/chorus?application_name=a%20b", POSTGRES + "u@db",
    ],
)  # fmt: skip
def test_a_database_url_that_is_accepted_is_read_alike_by_sqlalchemy(url: str) -> None:
    require_database_url(url)
    found, known = make_url(url), urls.parts(url)
    assert (found.host or "", found.port) == (known.host.strip("[]"), int(known.port) if known.port else None)
    assert (found.password or "") in ["", *secrets_of(url)]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (POSTGRES + "u:p@ss@db/chorus", "write it as %40"), (POSTGRES + "db:ss/chorus", "port is not a number"),
        (POSTGRES + "db:99999/chorus", "port"), (POSTGRES + "db/chorus?foo=ss", "option 'foo' is unknown"),
        (POSTGRES + "db/chorus?sslmode", "NAME=VALUE"), (POSTGRES + "a:1,b:2/chorus", "port"),
        ("sqlite:////x/l.db?mode=ro", "without options"), ("mysql://db/x", "sqlite:///FILE or postgresql"),
        ("postgresql://db/x", "sqlite:///FILE or postgresql"), ("sqlite://", "sqlite:///FILE"), ("", "sqlite:///FILE"),
    ],
)  # fmt: skip
def test_a_database_url_that_cannot_be_used_is_refused_without_a_piece_of_it(url: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as refused:
        require_database_url(url)
    assert "ss'" not in str(refused.value)
    assert "=ss" not in str(refused.value)


def test_the_known_options_are_those_of_the_installed_libpq() -> None:
    installed = {option.keyword.decode() for option in pq.Conninfo.get_defaults()}
    for name in installed - {"replication"}:  # a replication connection cannot hold a ledger
        require_database_url(f"{POSTGRES}db/chorus?{name}=1")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://u:secret@host:6379/0", "redis://***@host:6379/0"),
        ("redis://host/0", "redis://host/0"),
        ("redis://:se/cret@host", "redis://***"),
        ("redis://:s@cret@host/0?password=secret", "redis://***@host/0?***"),
        ("redis://host/0?password=a@secret", "redis://***"),
        (POSTGRES + "secret@db/chorus", POSTGRES + "***@db/chorus"),
        (POSTGRES + "/chorus?password=secret", POSTGRES + "/chorus?***"),
        ("sqlite:////data/me@home/ledger.sqlite", "sqlite:////data/me@home/ledger.sqlite"),
        ("redis+socket:///run/s?virtual_host=0", "redis+socket:///run/s?***"),
        ("x//u:secret@h", "***"),
    ],
)
def test_user_part_and_options_are_not_shown(url: str, expected: str) -> None:
    assert shown(url) == expected


def test_a_secret_is_masked_as_written_and_decoded_wherever_it_stands() -> None:
    url = "redis://:p%2Fw@host/0"
    text = "at redis://:p%2Fw@host/0: AUTH p/w failed for 'p%2Fw' <postgresql://u:x@db/n>"
    expected = "at redis://***@host/0: AUTH *** failed for '***' <postgresql://***@db/n>"
    assert without_secrets(text, secrets_of(url)) == expected


def test_a_secret_of_a_letter_masks_that_word_and_not_each_letter() -> None:
    assert without_secrets("s3://sounds: the key s is refused", ["s"]) == "s3://sounds: the key *** is refused"


def test_options_that_are_no_secret_stay_readable_in_a_log() -> None:
    assert secrets_of("redis+socket:///run/s?virtual_host=0") == []
    assert secrets_of(POSTGRES + "db/n?sslmode=require&password=p") == ["p"]
    assert secrets_of("redis://:se/cret@host:x") == [":se/cret@host:x"]
