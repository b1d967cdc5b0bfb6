"""The only reader of the environment: URLs of broker, database and store, and the limits."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path
from typing import Literal, Self
from urllib.parse import quote, urlsplit

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from domain.digests import content_digest
from domain.urls import parts, require_broker_url, require_database_url, secrets_of


class Settings(BaseSettings):
    """All settings. Each is read from `CHORUS_<NAME>` or from a command-line option, which takes precedence.

    Without URLs everything is in `home`: a SQLite file, a folder as store, and an embedded broker on a unix socket that
    runs as long as a command needs it.
    """

    model_config = SettingsConfigDict(
        env_prefix="CHORUS_", frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True
    )

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
        20.0,
        ge=0,
        le=1e6,
        description="local copies of files of a store on S3 that are kept when not in use, in GB at most",
    )
    concurrency: int = Field(
        0, ge=0, le=1024, description="child processes of a cpu worker; 0: one per core, as memory allows"
    )
    gpu_concurrency: int = Field(
        0,
        ge=0,
        le=1024,
        description="child processes of a gpu worker; 0: one on a GPU, else one per core, as memory allows",
    )
    lease_s: float = Field(
        60.0, ge=1, le=86_400, description="seconds without renewal after which another worker may take a claim"
    )
    window_messages: int = Field(
        256, ge=1, le=1_000_000, description="maximum number of messages that the dispatcher keeps in the broker"
    )
    time_limit_s: float = Field(
        900.0, ge=1, le=604_800, description="seconds after which the processing of a preprocessing message is ended"
    )
    child_memory_mb: int = Field(
        2000,
        ge=200,
        le=10_000_000,
        description="memory that a cpu worker's child may use beyond that at its start, in MB",
    )
    shutdown_s: float = Field(
        60.0, ge=0, le=604_800, description="seconds that a stopping worker has to finish its work"
    )
    idle_exit_s: float = Field(
        0.0, ge=0, le=31_536_000, description="seconds without work after which a worker ends; 0: never"
    )
    progress_file: Path | None = Field(None, description="file whose modification time is the process's last progress")
    wait_s: float = Field(
        0.0, ge=0, le=31_536_000, description="seconds that a command waits at its start for database and broker"
    )
    metrics_port: int = Field(0, ge=0, le=65535, description="port of the dispatcher's /metrics; 0: none")
    metrics_address: str = Field("127.0.0.1", description="address that /metrics listens on")
    require_gpu: bool = Field(default=False, description="a gpu worker that sees no GPU refuses to train")
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
        if url:
            require_broker_url(url)
        return url

    @field_validator("database_url")
    @classmethod
    def _supported_database(cls, url: str) -> str:
        if url:
            require_database_url(url)
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
            if file and not (url and parts(url).host and parts(url).password is None):
                raise ValueError(f"the password in {file} goes with a URL that names a host and holds no password")
        return self

    @property
    def is_broker_embedded(self) -> bool:
        """Whether the broker is a child process of this command."""
        return not self.broker_url

    @property
    def runtime_folder(self) -> Path:
        """Folder of the broker's socket: as recorded in the home, so that all processes agree.

        A record that another home's copy brought along is ignored.
        Raises: OSError if there is a record that cannot be read.
        """
        try:
            record = json.loads(self.runtime_record.read_text())
            if (record["device"], record["inode"]) == file_identity(self.home):
                return Path(record["folder"])
        except (FileNotFoundError, NotADirectoryError, ValueError, LookupError, TypeError):
            pass
        return self.runtime_folders[0]

    @property
    def runtime_record(self) -> Path:
        """File of the home that records the runtime folder, with the home's device and inode."""
        return self.home / "runtime.json"

    @property
    def runtime_folders(self) -> tuple[Path, ...]:
        """Possible runtime folders, named by the home, best first; short: a socket's path has at most 107 bytes.

        Only the command that starts the broker chooses one, because which of them can be written changes with time.
        """
        places = [os.environ.get(name, "") for name in ("XDG_RUNTIME_DIR", "TMPDIR", "TEMP", "TMP")]
        short = [place for place in (*places, "/tmp", "/var/tmp") if place and len(os.fsencode(place)) <= 60]  # noqa: S108  # private: mode 700, owner checked
        key = content_digest(os.fsencode(f"{self.home}:{file_identity(self.home)}"))[:12]
        return tuple(dict.fromkeys(Path(place) / f"chorus-{os.getuid()}-{key}" for place in short))

    @property
    def socket(self) -> Path:
        """The embedded broker's socket."""
        return self.runtime_folder / "broker.sock"

    @property
    def broker(self) -> str:
        """The broker's URL for kombu, with the password."""
        if self.broker_url:
            return _with_password(self.broker_url, self.broker_password_file)
        return f"redis+socket://{self.socket}?virtual_host=0"

    @property
    def database(self) -> str:
        """The database's URL for SQLAlchemy, with the password."""
        if self.database_url:
            return _with_password(self.database_url, self.database_password_file)
        file = str(self.home / "ledger.sqlite")
        return "sqlite:///" + file.replace("%", "%25").replace("?", "%3F")  # else an option would begin there

    @property
    def store(self) -> str:
        """The store's folder or URL."""
        return self.store_url or str(self.home / "store")

    @property
    def cache(self) -> Path:
        """Folder of local copies of files of a store on S3."""
        return self.home / "cache"

    @property
    def cache_bytes(self) -> int:
        """Size limit of the local copies that are not in use."""
        return int(self.cache_gb * 1e9)

    @property
    def is_endpoint_here(self) -> bool:
        """Whether S3's endpoint is on this machine and may therefore be used without encryption."""
        names = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
        endpoint = next((os.environ[name] for name in names if os.environ.get(name)), "")
        return urlsplit(endpoint).hostname in ("127.0.0.1", "::1", "localhost")

    @property
    def flower_password(self) -> str:
        """The password of the monitor's user; empty if none is set."""
        return _secret(self.flower_password_file) if self.flower_password_file else ""

    @property
    def secrets(self) -> list[str]:
        """All texts that no terminal and no log may show."""
        keys = (os.environ.get(name, "") for name in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"))
        urls = [*secrets_of(self.broker), *secrets_of(self.database), self.flower_password]
        return [secret for secret in (*urls, *keys) if secret]

    @property
    def logs(self) -> Path:
        """Folder of the embedded processes' logs."""
        return self.home / "logs"

    @property
    def are_gpus_hidden(self) -> bool:
        """Whether CUDA_VISIBLE_DEVICES hides every GPU from this process: it is set to nothing, or begins with -1."""
        return os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",", maxsplit=1)[0].strip() in ("", "-1")

    def command(self, words: str) -> str:
        """The command that a user types, in a terminal like the one this process was started from.

        >>> Settings(home="/data/two words").command("resume 3")
        "orchestrator resume 3 --home '/data/two words'"
        """
        usual = Path(os.environ.get("CHORUS_HOME") or Settings.model_fields["home"].default)
        is_usual = self.home == usual.expanduser().absolute()  # not `Settings().home`: another variable may be invalid
        return f"orchestrator {words}" + ("" if is_usual else f" --home {shlex.quote(str(self.home))}")

    def environment(self) -> dict[str, str]:
        """This process's environment with all settings, for a child process that must have the same."""
        named = {
            f"CHORUS_{name.upper()}": "" if value is None else str(value) for name, value in self.model_dump().items()
        }
        return {**os.environ, **named}


def file_identity(path: Path) -> tuple[int, int]:
    """Device and inode of a file or folder; zeros if it does not exist. A copy has others, a renamed one the same."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return 0, 0
    return found.st_dev, found.st_ino


def bucket_url(url: str) -> str:
    """The URL without its final slash. Raises: ValueError if it names no bucket, or holds keys or an endpoint.

    >>> bucket_url("s3://birds/2026/")
    's3://birds/2026'
    """
    bucket = url.removeprefix("s3://").partition("/")[0]
    if not bucket or "@" in bucket or ":" in bucket:
        raise ValueError("a place on S3 is s3://BUCKET/PREFIX; keys and endpoint come from AWS_… variables")
    return url.rstrip("/")


def _absolute_path(path: str) -> str:
    """The absolute path: workers have another working directory, in which a relative path names another file."""
    return str(Path(path).expanduser().absolute())


def _secret(file: Path) -> str:
    """The file's one line of text. Raises: ValueError, which never shows the text."""
    try:
        text = file.expanduser().read_text().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(
            f"the secret file {file} cannot be read: {getattr(error, 'strerror', 'it is not text')}"
        ) from error
    if not text or "\n" in text:
        raise ValueError(f"the secret file {file} must hold exactly one line")
    return text


def _with_password(url: str, file: Path | None) -> str:
    """The URL with the password in the file added to its user.

    >>> _with_password("redis://broker/0", None)
    'redis://broker/0'
    """
    if file is None:
        return url
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    user, _, host = host.rpartition("@")
    return f"{scheme}://{user}:{quote(_secret(file), safe='')}@{host}{slash}{path}"
