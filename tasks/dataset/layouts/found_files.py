"""Which of the files found below a folder are recordings, and why others cannot be used."""

from __future__ import annotations

from pathlib import Path

from domain.reasons import ReasonCode
from tasks.dataset.bucket import Bucket
from tasks.dataset.layouts.files import HOW_TO_RENAME, Files
from tasks.dataset.layouts.findings import Findings
from tasks.dataset.layouts.folder_walk import EntryKind, begins_like_audio
from tasks.dataset.layouts.layout import UnusableRowError, is_storable, printable

_LONGEST_ENDING = 12


def is_unnamed_audio(root: Path | Bucket, uri: str, findings: Findings) -> bool:
    """Return whether a file without the name of an audio file begins like one. Both kinds are counted."""
    if isinstance(root, Path) and begins_like_audio(root / uri):
        findings.n_by_content += 1
        return True
    ending = Path(uri.rpartition("/")[2]).suffix.lower()
    findings.leave_out(printable(uri), printable(ending) if 1 < len(ending) <= _LONGEST_ENDING else "(none)")
    return False


def require_usable(uri: str, kind: EntryKind, files: Files) -> None:
    """Check that a found file can be read under its name. Raises: UnusableRowError with the reason if not."""
    if kind is EntryKind.FOLDER_LINK:
        raise UnusableRowError(ReasonCode.LINKED_FOLDER, "replace the link by the folder itself")
    if kind is EntryKind.UNREADABLE:
        raise UnusableRowError(ReasonCode.LOCKED_FOLDER)
    if not is_storable(uri):
        raise UnusableRowError(ReasonCode.UNPRINTABLE_NAME, HOW_TO_RENAME)
    if kind is EntryKind.LINK:
        files.uri(uri)
