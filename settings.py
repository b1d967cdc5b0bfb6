"""The only reader of the environment: where the broker, the database and the store are, and the limits."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Every setting, each from `CHORUS_<NAME>` or an option of the command line, which wins.

    Without URLs everything lives in `home`: a SQLite file, a folder as store, and a broker of our own on a unix
    socket for as long as a command needs it.
    """

    model_config = SettingsConfigDict(env_prefix="CHORUS_", frozen=True, extra="ignore", env_ignore_empty=True)

    home: Path = Field(Path(".chorus"), description="folder of ledger, store, logs and the embedded broker")
    broker_url: str = Field("", description="redis:// or rediss:// URL; empty: an embedded broker")
    database_url: str = Field("", description="sqlite:/// or postgresql+psycopg:// URL; empty: SQLite in the home")
    store_url: str = Field(
        "", description="folder or s3:// URL for strips, shards, models and reports; empty: a folder in the home"
    )
    cache_gb: float = Field(
        20.0, ge=0, description="of a store on S3, how much of it is kept on this machine beyond what is in use"
    )
    concurrency: int = Field(0, ge=0, description="children of a cpu worker; 0: one a core")
    gpu_concurrency: int = Field(
        0, ge=0, description="children of a gpu worker; 0: one where there is a GPU, else one a core, as memory allows"
    )
    lease_s: float = Field(60.0, ge=1, description="a claim not renewed for so long may be taken by another worker")
    window_messages: int = Field(256, ge=1, description="messages the feeder keeps in the broker at most")
    time_limit_s: float = Field(900.0, ge=1, description="a preprocessing message is ended after so long")
    child_memory_mb: int = Field(
        2000, ge=200, description="memory a cpu worker's child may take beyond its start, in MB"
    )
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
        key = hashlib.sha256(os.fsencode(self.home)).hexdigest()[:12]
        return base / f"chorus-{os.getuid()}-{key}"

    @property
    def socket(self) -> Path:
        """The embedded broker's socket."""
        return self.runtime_folder / "broker.sock"

    @property
    def broker(self) -> str:
        """The broker's URL as kombu reads it."""
        return self.broker_url or f"redis+socket://{self.socket}?virtual_host=0"

    @property
    def database(self) -> str:
        """The database's URL as SQLAlchemy reads it."""
        return self.database_url or f"sqlite:///{self.home / 'ledger.sqlite'}"

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
    def logs(self) -> Path:
        """Folder of the embedded processes' logs."""
        return self.home / "logs"

    @property
    def are_gpus_hidden(self) -> bool:
        """Whether CUDA_VISIBLE_DEVICES hides every GPU from this process: it is empty, or begins with -1."""
        return os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",", maxsplit=1)[0].strip() in ("", "-1")

    def environment(self) -> dict[str, str]:
        """This process's environment with every setting in it, for a child process that must see the same."""
        named = {f"CHORUS_{name.upper()}": str(value) for name, value in self.model_dump().items()}
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
