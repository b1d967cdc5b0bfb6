"""Walks a dataset's folder or bucket: its files and folders in the order of their names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from enum import Enum, auto
from pathlib import Path

from domain.errors import MachineFault
from tasks.dataset.bucket import Bucket
from tasks.dataset.file_faults import fault_of
from tasks.dataset.layouts.files import is_audio_name, is_junk_name

# Files with these endings are not opened to look for audio: labels, texts, pictures, archives and programs.
# fmt: off
_NO_AUDIO = frozenset({
    ".arff", ".bmp", ".bz2", ".c", ".cfg", ".csv", ".doc", ".docx", ".eaf", ".gif", ".gz", ".h5", ".hdf5", ".htm",
    ".html", ".ini", ".ipynb", ".jpeg", ".jpg", ".json", ".lab", ".log", ".mat", ".md", ".mid", ".npy", ".npz", ".ods",
    ".parquet", ".pdf", ".pkl", ".png", ".py", ".r", ".rar", ".rst", ".sh", ".svg", ".tar", ".textgrid", ".tgz",
    ".tif", ".tiff", ".toml", ".tsv", ".txt", ".webp", ".xls", ".xlsx", ".xml", ".xz", ".yaml", ".yml", ".zip", ".7z",
})
# fmt: on
_HEAD_BYTES = 16
_SIGNATURES = (
    b"RF64", b"RIFX", b"fLaC", b"OggS", b"ID3", b"caff", b".snd", b"riff", b"wvpk", b"MAC ", b"#!AMR", b"TTA1",
    b"\x1a\x45\xdf\xa3", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",
)  # fmt: skip
_MP4_BRANDS = (b"ftypM4A", b"ftypM4B", b"ftypmp4", b"ftypiso", b"ftyp3gp", b"ftypqt ")  # not those of pictures


HOME_FILE = "ledger.sqlite"
"""The ledger of a home. It must not be opened here, nor its -wal and -shm: closing a file removes the locks that SQLite
holds on it in the same process, which then reads and writes stale pages."""


class EntryKind(Enum):
    """What an entry of a folder is. OTHER: a file without the name of an audio file."""

    FILE = auto()
    LINK = auto()
    FOLDER = auto()
    FOLDER_LINK = auto()
    UNREADABLE = auto()
    OTHER = auto()


def walk(root: Path | Bucket, base: str) -> Iterator[tuple[str, EntryKind]]:
    """Yield files, linked folders and unreadable folders below the base, depth first, by name; objects by key."""
    if isinstance(root, Bucket):
        yield from ((uri, kind) for uri in root.walk(base) if (kind := _object_kind(uri[len(base) :])) is not None)
        return
    stack = [(base, iter(entries(root, base)))]
    while stack:
        folder, inside = stack[-1]
        for name, kind in inside:
            uri = f"{folder}/{name}" if folder else name
            if kind is EntryKind.FOLDER:
                stack.append((uri, iter(entries(root, uri))))
                break
            yield (folder if kind is EntryKind.UNREADABLE else uri), kind
        else:
            stack.pop()


def entries(root: Path | Bucket, folder: str) -> list[tuple[str, EntryKind]]:
    """Return names and kinds of what lies directly in a folder, sorted; hidden and system names are left out.

    A home below the root counts as empty: it holds no recordings of the dataset.
    A folder that cannot be read, while files of the dataset can, is one entry of the kind UNREADABLE.
    Raises: MachineFault if the machine is at fault.
    """
    if isinstance(root, Bucket):
        folders, files = root.entries(folder)
        inside = [(name, EntryKind.FOLDER) for name in folders if not is_junk_name(name)]
        return [*inside, *((name, kind) for name in files if (kind := _object_kind(name)) is not None)]
    try:
        with os.scandir(root / folder) as listing:
            listed = list(listing)
        if folder and any(entry.name == HOME_FILE for entry in listed):
            return []
        found = [(entry.name, kind) for entry in listed if (kind := _kind(entry)) is not None]
    except OSError as error:
        fault = fault_of(error, str(root), folder)
        if isinstance(fault, MachineFault):
            raise fault from error
        return [("", EntryKind.UNREADABLE)]
    return sorted(found, key=lambda pair: pair[0])


def begins_like_audio(path: Path) -> bool:
    """Return whether a file without the name of an audio file begins like one; False if it cannot be read."""
    if path.suffix.lower() in _NO_AUDIO or path.name.startswith(HOME_FILE):
        return False
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return False
    is_container = head[:4] in (b"RIFF", b"FORM") and head[8:12] in (b"WAVE", b"AIFF", b"AIFC")
    # FF FE is the byte order mark of a text in UTF-16; as an MP3 frame it would be of a layer that is not in use.
    is_frame = len(head) > 2 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0 and head[:2] != b"\xff\xfe"
    return is_container or is_frame or head.startswith(_SIGNATURES) or head[4:11] in _MP4_BRANDS


def _object_kind(key: str) -> EntryKind | None:
    *folders, name = key.strip("/").split("/")
    if any(map(is_junk_name, (*folders, name))):
        return None
    return EntryKind.FILE if is_audio_name(name) else EntryKind.OTHER


def _kind(entry: os.DirEntry[str]) -> EntryKind | None:
    """Return the kind of an entry; None if it is hidden, or neither a file nor a folder."""
    if is_junk_name(entry.name):
        return None
    is_link = entry.is_symlink()
    if _is_folder(entry):
        return EntryKind.FOLDER_LINK if is_link else EntryKind.FOLDER
    if is_audio_name(entry.name):
        return EntryKind.LINK if is_link else EntryKind.FILE
    return EntryKind.OTHER if not is_link and entry.is_file() else None


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a cycle of links
        return False
