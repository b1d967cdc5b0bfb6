"""The layout with one folder per class, as BirdNET uses it: the folder's name is the label."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

from domain.reasons import ReasonCode
from tasks.dataset.bucket import Bucket
from tasks.dataset.layouts.columns import SPLIT_WORDS
from tasks.dataset.layouts.files import HOW_TO_RENAME, Files, is_audio_name, is_junk_name
from tasks.dataset.layouts.layout import BadRow, BadRowError, LayoutError, Row, is_storable, label_of, printable


class _Kind(Enum):
    FILE = auto()
    LINK = auto()
    FOLDER = auto()
    FOLDER_LINK = auto()
    UNREADABLE = auto()


@dataclass(frozen=True)
class ClassFolders:
    """Recordings in class folders, sorted by name.

    base: the folder below the root that contains the class folders; "" for the root itself.
    has_splits: the base contains the folders `train`, `valid` and `test`, and these contain the class folders.
    Memory grows with the largest folder, about 130 bytes a name, because its names are sorted.
    """

    root: Path | Bucket
    base: str = ""
    has_splits: bool = False
    notes: tuple[str, ...] = ()
    name: str = "folder per class"
    has_metadata: bool = False

    def rows(self) -> Iterator[Row | BadRow]:
        """Yield every audio file below the base, or why it cannot be used; `line` is its number in the walk, from 1."""
        files = Files(self.root, listed_names=0)
        for line, (uri, kind) in enumerate(_walk(self.root, self.base), start=1):
            try:
                yield self._row(uri, kind, line, files)
            except BadRowError as error:
                yield BadRow(line, printable(uri), error.code, error.detail)

    def _row(self, uri: str, kind: _Kind, line: int, files: Files) -> Row:
        if kind is _Kind.FOLDER_LINK:
            raise BadRowError(ReasonCode.LINKED_FOLDER, "replace the link by the folder itself")
        if kind is _Kind.UNREADABLE:
            raise BadRowError(ReasonCode.LOCKED_FOLDER)
        if not is_storable(uri):
            raise BadRowError(ReasonCode.UNPRINTABLE_NAME, HOW_TO_RENAME)
        if kind is _Kind.LINK:
            files.uri(uri)
        folders = uri[len(self.base) :].strip("/").split("/")[:-1]
        split = SPLIT_WORDS[folders.pop(0).casefold()] if self.has_splits and folders else None
        if not folders:
            raise BadRowError(ReasonCode.NO_LABEL, "the file is not in a class folder")
        primary, *secondary = _labels(folders[0])
        return Row(uri, primary, tuple(secondary), None, None, None, split, line)


def class_folders(path: Path | Bucket) -> ClassFolders:
    """Open a folder of class folders.

    If a folder contains only one folder, and that one contains the class folders, the layout starts there. Folders
    named `train`, `valid` and `test` become the split.
    Raises: LayoutError if there is no audio below the path, or if no class folder gives it a label.
    """
    root = path if isinstance(path, Bucket) else path.resolve()
    base = _base(root)
    _, folders = _inside(root, base)
    has_splits = "train" in map(str.casefold, folders) and all(name.casefold() in SPLIT_WORDS for name in folders)
    layout = ClassFolders(root, base, has_splits, tuple(_notes(base, folders if has_splits else [])))
    first = next(_walk(root, base), None)
    if first is None:
        raise LayoutError(
            f"no recordings below {path}: no file has the suffix of an audio format; give the dataset's folder"
        )
    if not folders:
        raise LayoutError(
            f"{path} contains recordings but no class folders; put each class in a folder of its own, or add a csv "
            "with a path and a label column"
        )
    return layout


def _notes(base: str, split_folders: list[str]) -> Iterator[str]:
    if base:
        yield f"the class folders are in {base}"
    if split_folders:
        yield f"the split comes from the dataset's folders {', '.join(split_folders)}"


def _base(root: Path | Bucket) -> str:
    base = ""
    while True:
        has_audio, folders = _inside(root, base)
        if has_audio or len(folders) != 1:
            return base
        deeper = f"{base}/{folders[0]}".lstrip("/")
        deeper_has_audio, deeper_folders = _inside(root, deeper)
        if deeper_has_audio or not deeper_folders:
            return base
        base = deeper


def _inside(root: Path | Bucket, folder: str) -> tuple[bool, list[str]]:
    """Return whether a folder directly contains audio, and the sorted names of its folders."""
    entries = _entries(root, folder)
    has_audio = any(kind in (_Kind.FILE, _Kind.LINK) for _, kind in entries)
    return has_audio, [name for name, kind in entries if kind is _Kind.FOLDER]


def _labels(folder: str) -> list[str]:
    """Return the labels in a folder's name, separated by commas; the first one is the class."""
    parts = [part for part in folder.split(",") if part.strip()]
    return list(dict.fromkeys(label_of(part) for part in parts or [folder]))


def _walk(root: Path | Bucket, base: str) -> Iterator[tuple[str, _Kind]]:
    """Yield audio files, linked folders and unreadable folders below the base, depth first, by name; objects by key."""
    if isinstance(root, Bucket):
        yield from ((uri, _Kind.FILE) for uri in root.walk(base) if _is_recording(uri[len(base) :]))
        return
    stack = [(base, iter(_entries(root, base)))]
    while stack:
        folder, entries = stack[-1]
        for name, kind in entries:
            uri = f"{folder}/{name}" if folder else name
            if kind is _Kind.FOLDER:
                stack.append((uri, iter(_entries(root, uri))))
                break
            yield (folder if kind is _Kind.UNREADABLE else uri), kind
        else:
            stack.pop()


def _is_recording(key: str) -> bool:
    *folders, name = key.strip("/").split("/")
    return is_audio_name(name) and not any(map(is_junk_name, (*folders, name)))


def _entries(root: Path | Bucket, folder: str) -> list[tuple[str, _Kind]]:
    if isinstance(root, Bucket):
        folders, files = root.entries(folder)
        inside = [(name, _Kind.FOLDER) for name in folders if not is_junk_name(name)]
        return [*inside, *((name, _Kind.FILE) for name in files if _is_recording(name))]
    try:
        with os.scandir(root / folder) as entries:
            found = [(entry.name, kind) for entry in entries if (kind := _kind(entry)) is not None]
    except (PermissionError, FileNotFoundError):
        return [("", _Kind.UNREADABLE)]
    return sorted(found, key=lambda pair: pair[0])


def _kind(entry: os.DirEntry[str]) -> _Kind | None:
    """Return the kind of an entry; None if it is neither audio nor a folder."""
    if is_junk_name(entry.name):
        return None
    is_link = entry.is_symlink()
    if _is_folder(entry):
        return _Kind.FOLDER_LINK if is_link else _Kind.FOLDER
    if not is_audio_name(entry.name):
        return None
    return _Kind.LINK if is_link else _Kind.FILE


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a cycle of links
        return False
