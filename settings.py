"""The only reader of the environment: where the broker, the database and the store are, and the limits."""

from __future__ import annotations

import os
import shlex
import tempfile
from pathlib import Path
from typing import Literal, Self
from urllib.parse import quote, urlsplit

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from domain.digests import content_digest


class Settings(BaseSettings):
    """Every setting, each from `CHORUS_<NAME>` or an option of the command line, which wins.

    Without URLs everything lives in `home`: a SQLite file, a folder as store, and a broker of our own on a unix
    socket for as long as a command needs it.
    """

    model_config = SettingsConfigDict(env_prefix="CHORUS_", frozen=True, extra="ignore", env_ignore_empty=True)

    home: Path = Field(Path(".chorus"), description="folder of ledger, store, logs and the embedded broker")
    broker_url: str = Field("", description="redis:// or rediss:// URL; empty: an embedded broker")
    database_url: str = Field("", description="sqlite:/// or postgresql+psycopg:// URL; empty: SQLite in the home")
    broker_password_file: Path | None = Field(
        None, description="file that holds the broker's password, for a URL without one"
    )
    database_password_file: Path | None = Field(
        None, description="file that holds the database's password, for a URL without one"
    )
    flower_password_file: Path | None = Field(
        None, description="file that holds the password of Flower's user `chorus`"
    )
    store_url: str = Field(
        "", description="folder or s3:// URL for strips, shards, models and reports; empty: a folder in the home"
    )
    cache_gb: float = Field(
        20.0, ge=0, description="of a store on S3, how much of it is kept on this machine beyond what is in use"
    )
    concurrency: int = Field(0, ge=0, description="children of a cpu worker; 0: one a core, as memory allows")
    gpu_concurrency: int = Field(
        0, ge=0, description="children of a gpu worker; 0: one where there is a GPU, else one a core, as memory allows"
    )
    lease_s: float = Field(60.0, ge=1, description="a claim not renewed for so long may be taken by another worker")
    window_messages: int = Field(256, ge=1, description="messages the feeder keeps in the broker at most")
    time_limit_s: float = Field(900.0, ge=1, description="a preprocessing message is ended after so long")
    child_memory_mb: int = Field(
        2000, ge=200, description="memory a cpu worker's child may take beyond its start, in MB"
    )
    shutdown_s: float = Field(60.0, ge=0, description="a worker asked to end finishes what it does for so long at most")
    idle_exit_s: float = Field(0.0, ge=0, description="a worker with nothing to do for so long ends; 0: never")
    progress_file: Path | None = Field(None, description="file whose time says when this process last went on")
    wait_s: float = Field(0.0, ge=0, description="a command waits so long at its start for database and broker")
    metrics_port: int = Field(0, ge=0, le=65535, description="port of the dispatcher's /metrics; 0: none")
    metrics_address: str = Field("127.0.0.1", description="address that /metrics listens on")
    require_gpu: bool = Field(default=False, description="a gpu worker that sees no GPU trains nothing, and says so")
    role: Literal["", "cpu", "gpu"] = Field(
        "", description="cpu or gpu; set by `orchestrator worker`, read by the worker it starts"
    )

    @field_validator("home")
    @classmethod
    def _absolute(cls, home: Path) -> Path:
        return home.expanduser().absolute()

    @field_validator("broker_url")
    @classmethod
    def _redis(cls, url: str) -> str:
        if url and not url.startswith(("redis://", "rediss://", "redis+socket://")):
            raise ValueError("a broker is named by redis://, rediss:// or redis+socket://")
        return url

    @field_validator("database_url")
    @classmethod
    def _one_file_from_everywhere(cls, url: str) -> str:
        if url and not url.startswith(("sqlite:///", "postgresql+psycopg://")):
            raise ValueError("a database is named by sqlite:///FILE or postgresql+psycopg://HOST/NAME")
        return f"sqlite:///{_absolute_path(url.removeprefix('sqlite:///'))}" if url.startswith("sqlite:///") else url

    @field_validator("store_url")
    @classmethod
    def _folder_or_bucket(cls, url: str) -> str:
        if url.startswith("s3://"):
            return bucket_url(url)
        if "://" in url:
            raise ValueError("a store is a folder, on this machine or shared by all, or s3://BUCKET/PREFIX")
        return _absolute_path(url) if url else ""

    @field_validator("broker_password_file", "database_password_file", "flower_password_file")
    @classmethod
    def _readable(cls, file: Path | None) -> Path | None:
        if file is not None:
            _secret(file)
            return file.expanduser().absolute()
        return None

    @model_validator(mode="after")
    def _one_password(self) -> Self:
        for url, file in (
            (self.broker_url, self.broker_password_file),
            (self.database_url, self.database_password_file),
        ):
            if file and (not urlsplit(url).hostname or urlsplit(url).password):
                raise ValueError(f"the password in {file} goes with a URL that names a host and holds no password")
        return self

    @property
    def is_broker_embedded(self) -> bool:
        """Whether the broker is a child process of ours."""
        return not self.broker_url

    @property
    def runtime_folder(self) -> Path:
        """Short folder for the broker's socket, keyed by the home: a socket's path may have 107 bytes at most."""
        base = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
        if len(os.fsencode(base)) > 60:
            base = Path("/tmp")  # noqa: S108  # the folder below is ours alone, mode 700, checked before use
        key = content_digest(os.fsencode(self.home))[:12]
        return base / f"chorus-{os.getuid()}-{key}"

    @property
    def socket(self) -> Path:
        """The embedded broker's socket."""
        return self.runtime_folder / "broker.sock"

    @property
    def broker(self) -> str:
        """The broker's URL as kombu reads it."""
        if self.broker_url:
            return _with_password(self.broker_url, self.broker_password_file)
        return f"redis+socket://{self.socket}?virtual_host=0"

    @property
    def database(self) -> str:
        """The database's URL as SQLAlchemy reads it."""
        if self.database_url:
            return _with_password(self.database_url, self.database_password_file)
        return f"sqlite:///{self.home / 'ledger.sqlite'}"

    @property
    def store(self) -> str:
        """The store's folder or URL."""
        return self.store_url or str(self.home / "store")

    @property
    def cache(self) -> Path:
        """Folder of what is kept of a store on S3."""
        return self.home / "cache"

    @property
    def cache_bytes(self) -> int:
        """How much of it, beyond what is in use."""
        return int(self.cache_gb * 1e9)

    @property
    def is_endpoint_here(self) -> bool:
        """Whether S3's endpoint is this machine, which may be asked without encryption."""
        names = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
        endpoint = next((os.environ[name] for name in names if os.environ.get(name)), "")
        return urlsplit(endpoint).hostname in ("127.0.0.1", "::1", "localhost")

    @property
    def flower_password(self) -> str:
        """Of the monitor's user; empty where none was set."""
        return _secret(self.flower_password_file) if self.flower_password_file else ""

    @property
    def logs(self) -> Path:
        """Folder of the embedded processes' logs."""
        return self.home / "logs"

    @property
    def are_gpus_hidden(self) -> bool:
        """Whether CUDA_VISIBLE_DEVICES hides every GPU from this process: it is empty, or begins with -1."""
        return os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",", maxsplit=1)[0].strip() in ("", "-1")

    def advised(self, words: str) -> str:
        """The command as a person has to type it, in a terminal like the one this process was started from.

        >>> Settings(home="/data/two words").advised("resume 3")
        "orchestrator resume 3 --home '/data/two words'"
        """
        usual = Path(os.environ.get("CHORUS_HOME") or Settings.model_fields["home"].default)
        is_usual = self.home == usual.expanduser().absolute()  # not `Settings().home`: another variable may be wrong
        return f"orchestrator {words}" + ("" if is_usual else f" --home {shlex.quote(str(self.home))}")

    def environment(self) -> dict[str, str]:
        """This process's environment with every setting in it, for a child process that must see the same."""
        named = {
            f"CHORUS_{name.upper()}": "" if value is None else str(value) for name, value in self.model_dump().items()
        }
        return {**os.environ, **named}


def bucket_url(url: str) -> str:
    """The URL without a slash at its end. Raises ValueError where it names no bucket, or holds more than a place.

    >>> bucket_url("s3://birds/2026/")
    's3://birds/2026'
    """
    bucket = url.removeprefix("s3://").partition("/")[0]
    if not bucket or "@" in bucket or ":" in bucket:
        raise ValueError("a place on S3 is s3://BUCKET/PREFIX; keys and endpoint come from AWS_… variables")
    return url.rstrip("/")


def _absolute_path(path: str) -> str:
    """Workers have another working directory: a relative path would name another file there."""
    return str(Path(path).expanduser().absolute())


def _secret(file: Path) -> str:
    """The file's text without the line's end. Raises ValueError, which never shows the text."""
    try:
        text = file.expanduser().read_text().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(
            f"the secret file {file} cannot be read: {getattr(error, 'strerror', 'it is no text')}"
        ) from error
    if not text or "\n" in text:
        raise ValueError(f"the secret file {file} does not hold one line")
    return text


def _with_password(url: str, file: Path | None) -> str:
    """The URL, with the file's password beside its user.

    >>> _with_password("redis://broker/0", None)
    'redis://broker/0'
    """
    if file is None:
        return url
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    user, _, host = host.rpartition("@")
    return f"{scheme}://{user}:{quote(_secret(file), safe='')}@{host}{slash}{path}"
