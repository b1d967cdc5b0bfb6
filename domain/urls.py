"""URLs of broker and database: read as a whole before a library reads a part, and shown without their secrets."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

_PARTS = re.compile(
    r"(?P<scheme>[a-z0-9+]+)://"
    r"(?:(?P<user>[^:/@?#]*)(?::(?P<password>.*))?@)?"
    r"(?P<host>\[[0-9A-Fa-f:.%]+\]|[^\s/?#@:\[\]%]*)"
    r"(?::(?P<port>[^/?#@]*))?"
    r"(?:/(?P<path>[^?]*))?"
    r"(?:\?(?P<query>.*))?"
)
_REDIS_OPTIONS = frozenset({
    "ssl_ca_certs", "ssl_ca_data", "ssl_ca_path", "ssl_cert_reqs", "ssl_certfile", "ssl_check_hostname", "ssl_ciphers",
    "ssl_keyfile", "ssl_password",
})  # fmt: skip
_CERTIFICATE_CHECKS = ("required", "optional", "none", "CERT_REQUIRED", "CERT_OPTIONAL", "CERT_NONE")
# The parameter key words of libpq 18, which psycopg refuses with a programming error if it does not know them.
_POSTGRESQL_OPTIONS = frozenset({
    "application_name", "channel_binding", "client_encoding", "connect_timeout", "dbname", "fallback_application_name",
    "gssdelegation", "gssencmode", "gsslib", "host", "hostaddr", "keepalives", "keepalives_count", "keepalives_idle",
    "keepalives_interval", "krbsrvname", "load_balance_hosts", "max_protocol_version", "min_protocol_version",
    "oauth_client_id", "oauth_client_secret", "oauth_issuer", "oauth_scope", "options", "passfile", "password", "port",
    "require_auth", "requirepeer", "scram_client_key", "scram_server_key", "service", "ssl_max_protocol_version",
    "ssl_min_protocol_version", "sslcert", "sslcertmode", "sslcompression", "sslcrl", "sslcrldir", "sslkey",
    "sslkeylogfile", "sslmode", "sslnegotiation", "sslpassword", "sslrootcert", "sslsni", "target_session_attrs",
    "tcp_user_timeout", "user",
})  # fmt: skip
_SECRET_OPTIONS = frozenset({
    "oauth_client_secret", "password", "scram_client_key", "scram_server_key", "ssl_password", "sslpassword"
})  # fmt: skip
_MASK = "***"
_SHORT_SECRET = 6
_SCHEME_AND_REST = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^\s'\"]*)")


@dataclass(frozen=True, repr=False)
class UrlParts:
    """The parts of a URL, as written, still percent-encoded. It has no repr, because the user part may be secret."""

    scheme: str
    user: str | None
    password: str | None
    host: str
    port: str | None
    path: str
    query: str


def parts(url: str) -> UrlParts:
    """The parts of a broker's or database's URL.

    Raises: ValueError, a sentence without any part of the URL.
    """
    found = _PARTS.fullmatch(url)
    if any(ord(character) < 32 or ord(character) == 127 for character in url):
        raise ValueError("the URL holds a control character")
    if found is None:
        raise ValueError(
            "the URL is not SCHEME://USER:PASSWORD@HOST:PORT/NAME; in the password write @ as %40, / as %2F, ? as %3F"
        )
    port = found["port"]
    if port is not None and not (re.fullmatch("[0-9]{1,5}", port) and 1 <= int(port) <= 65535):
        raise ValueError("the port is not a number from 1 to 65535; in a password write / as %2F, ? as %3F, # as %23")
    return UrlParts(
        found["scheme"], found["user"], found["password"], found["host"], port, found["path"] or "",
        found["query"] or "",
    )  # fmt: skip


def require_broker_url(url: str) -> None:
    """Check a Redis URL. Raises: ValueError, a sentence without any part of the URL.

    >>> require_broker_url("rediss://:secret@broker:6380/1?ssl_cert_reqs=required")
    """
    if not url.startswith(("redis://", "rediss://", "redis+socket://")):
        raise ValueError("a broker is named by redis://, rediss:// or redis+socket://")
    found = parts(url)
    if re.search("[/?#]", (found.user or "") + (found.password or "")):  # kombu would end the host there
        raise ValueError("the password holds a /, ? or #; write / as %2F, ? as %3F and # as %23")
    if found.scheme == "redis+socket":
        if found.host or found.port or not found.path:
            raise ValueError("a broker's socket is named by redis+socket:///PATH")
        options = _options(found, frozenset({"virtual_host"}))
        numbers = [options["virtual_host"]] if "virtual_host" in options else []
    else:
        options = _options(found, _REDIS_OPTIONS)
        numbers = [found.path] if found.path else []
    if not all(re.fullmatch("/?[0-9]{1,9}", number) for number in numbers):
        raise ValueError("a Redis database is a number, as in redis://HOST:6379/0")
    if options.get("ssl_cert_reqs", "none") not in _CERTIFICATE_CHECKS:
        raise ValueError("option ssl_cert_reqs is required, optional or none")


def require_database_url(url: str) -> None:
    """Check a database URL. Raises: ValueError, a sentence without any part of the URL.

    >>> require_database_url("postgresql+psycopg://chorus@db:5432/chorus?sslmode=verify-full")
    """
    if url.startswith("sqlite:///"):
        if "?" in url:
            raise ValueError("a SQLite database is named by sqlite:///FILE, without options")
    elif url.startswith("postgresql+psycopg://"):
        found = parts(url)
        if "@" in (found.password or ""):  # SQLAlchemy would end the password there
            raise ValueError("the password holds an @; write it as %40")
        _options(found, _POSTGRESQL_OPTIONS)
    else:
        raise ValueError("a database is named by sqlite:///FILE or postgresql+psycopg://HOST/NAME")


def _options(url: UrlParts, known: frozenset[str]) -> dict[str, str]:
    """The options after the question mark. Raises: ValueError if one is unknown or has no value."""
    try:
        options = dict(parse_qsl(url.query, keep_blank_values=True, strict_parsing=True)) if url.query else {}
    except ValueError as error:
        raise ValueError("the options after ? are not NAME=VALUE, joined by &") from error
    for name in options:
        if name not in known:
            # After an unescaped ? in a user part, the name may be a piece of the password.
            which = "an option after ?" if "@" in url.query else f"option {name!r}"
            hint = ", ".join(sorted(known)) if known is not _POSTGRESQL_OPTIONS else "those of libpq, such as sslmode"
            raise ValueError(f"{which} is unknown; known are {hint}")
    return options


def shown(url: str) -> str:
    """The URL with its user part and its options masked, for a terminal or a log.

    >>> shown("postgresql+psycopg://chorus:secret@db:5432/birds?password=secret")
    'postgresql+psycopg://***@db:5432/birds?***'
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return _MASK
    if rest.startswith("/") and scheme not in ("redis", "rediss"):  # a path: no host, so no user either
        path, mark, _ = rest.partition("?")
        return f"{scheme}://{path}{'?' + _MASK if mark else ''}"
    before, at, place = rest.rpartition("@")
    if at and re.search("[/?#]", before):  # the @ may belong to a password, to an option or to a path
        return f"{scheme}://{_MASK}"
    place, mark, _ = place.partition("?")
    return f"{scheme}://{_MASK + '@' if at else ''}{place}{'?' + _MASK if mark else ''}"


def secrets_of(url: str) -> list[str]:
    """The secret texts in the URL, as written and decoded: the password, also that of an option.

    Of a URL that cannot be parsed, all after the scheme.
    """
    try:
        found = parts(url)
    except ValueError:
        return [url.partition("://")[2]]
    options = (pair.partition("=") for pair in found.query.split("&"))
    values = [found.password or "", *(value for name, _, value in options if name in _SECRET_OPTIONS)]
    return [text for value in values if value for text in {value, unquote(value)}]


def without_secrets(text: str, secrets: list[str]) -> str:
    """The text with every URL as `shown` and every secret masked.

    >>> without_secrets("cannot log in at redis://:pass@host/0 with pass", ["pass"])
    'cannot log in at redis://***@host/0 with ***'
    """
    text = _SCHEME_AND_REST.sub(lambda found: shown(found[0]), text)
    for secret in sorted(filter(None, secrets), key=len, reverse=True):  # the longest first: one may be part of another
        if len(secret) >= _SHORT_SECRET:
            text = text.replace(secret, _MASK)
        else:  # as a whole word: a secret of one letter would mask that letter everywhere
            text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", _MASK, text)
    return text
