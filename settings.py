"""The only reader of the environment: where the broker, the database and the store are, and the limits."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Literal

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
    store_url: str = Field("", description="folder for strips, shards, models and reports; empty: in the home")
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
    def _folder(cls, url: str) -> str:
        if "://" in url:
            raise ValueError("a store is a folder, on this machine or shared by all")
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
        """The store's folder."""
        return self.store_url or str(self.home / "store")

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


def _absolute_path(path: str) -> str:
    """Workers have another working directory: a relative path would name another file there."""
    return str(Path(path).expanduser().absolute())
