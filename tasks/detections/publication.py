"""The folder of tables: whose it is, and how finished tables get their names in it."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from domain.errors import UsageError
from tasks.detections.effort import EFFORT_FILE, HISTORY_FILE
from tasks.detections.formats import TEXT_FORMATS
from tasks.detections.open_tables import PARQUET_COMBINED

METADATA_FILE, PER_RECORDING = "metadata.json", "per_recording"
_TABLES = (
    *(form.combined for form in TEXT_FORMATS.values()), PARQUET_COMBINED, "thresholds.csv", "quarantine.csv",
    EFFORT_FILE, HISTORY_FILE, PER_RECORDING,
)  # fmt: skip
_SCRATCH = ".unfinished-"


class FolderInUse(UsageError):
    """The folder holds tables of another run, or files that tables would replace."""


@contextmanager
def publishing(folder: Path, run: int, run_digest: str) -> Iterator[Path]:
    """Give a scratch folder for all tables and metadata.json, and move them into `folder` at the end of the block.

    The scratch folder is in `folder`, which may be a mount: files cannot be renamed between file systems. While tables
    of an earlier command are replaced, metadata.json says `"is_complete": false`. Without success nothing is moved.
    Raises: FolderInUse; OSError.
    """
    _require_ours(folder, run, run_digest)
    folder.mkdir(parents=True, exist_ok=True)
    for left_over in folder.glob(f"{_SCRATCH}*"):  # of a command that was killed
        shutil.rmtree(left_over, ignore_errors=True)
    scratch = Path(tempfile.mkdtemp(prefix=_SCRATCH, dir=folder))
    try:
        yield scratch
        _publish(scratch, folder, {"run": run, "run_digest": run_digest, "is_complete": False})
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def require_unused(folder: Path) -> None:
    """Check that a new run can write its tables into the folder.

    Raises: FolderInUse if it is a file or holds tables.
    """
    if folder.exists() and not folder.is_dir():
        raise FolderInUse(f"{folder} is a file; choose another folder for the tables")
    if found := next((name for name in (METADATA_FILE, *_TABLES) if (folder / name).exists()), None):
        raise FolderInUse(f"{folder} holds {found} of another run; choose another folder for the tables")


def _require_ours(folder: Path, run: int, run_digest: str) -> None:
    if folder.exists() and not folder.is_dir():
        raise FolderInUse(f"{folder} is a file; choose another folder for the tables")
    path = folder / METADATA_FILE
    if not path.exists():
        if found := next((name for name in _TABLES if (folder / name).exists()), None):
            raise FolderInUse(f"{folder} holds {found}, but no {METADATA_FILE}; choose another folder for the tables")
        return
    try:
        facts = json.loads(path.read_text("utf-8"))
        owner, digest = facts["run"], facts["run_digest"]
    except (ValueError, LookupError, TypeError) as error:
        raise FolderInUse(f"{path} is of another program; choose another folder for the tables") from error
    if (owner, digest) != (run, run_digest):
        other = f"run {owner!r:.20}" if owner != run else f"run {owner!r:.20} of another home"
        raise FolderInUse(f"{folder} holds the tables of {other}, not of run {run}; choose another folder")


def _publish(scratch: Path, folder: Path, unfinished: dict[str, object]) -> None:
    """Move the tables, delete those of an earlier command that are not made again, and then move metadata.json."""
    metadata = scratch / METADATA_FILE
    begun = scratch / "begun.json"
    begun.write_text(json.dumps(unfinished), "utf-8")
    begun.replace(folder / METADATA_FILE)
    for name in _TABLES:
        made, old = scratch / name, folder / name
        if old.exists() and (old.is_dir() or not made.exists()):  # a folder cannot be replaced by renaming
            old.rename(scratch / f"old-{name}")
        if made.exists():
            made.rename(old)
    metadata.replace(folder / METADATA_FILE)
