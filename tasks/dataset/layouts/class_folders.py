"""A folder for each class, as BirdNET wants it: the folder's name is the label."""

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
    LOCKED = auto()


@dataclass(frozen=True)
class ClassFolders:
    """Recordings in folders named for their class, in the order of their names.

    base: the folder below the root that holds the class folders, "" for the root itself.
    has_splits: the base holds `train`, `valid` and `test` first, and the class folders inside them.
    Memory follows the longest single folder, about 130 bytes a name, because its names are sorted.
    """

    root: Path | Bucket
    base: str = ""
    has_splits: bool = False
    notes: tuple[str, ...] = ()
    name: str = "folder per class"
    has_metadata: bool = False

    def rows(self) -> Iterator[Row | BadRow]:
        """Every audio file below the root and what makes it unusable, numbered from 1 in the order of the walk."""
        files = Files(self.root, listed_names=0)
        for line, (uri, kind) in enumerate(_walk(self.root, self.base), start=1):
            try:
                yield self._row(uri, kind, line, files)
            except BadRowError as error:
                yield BadRow(line, printable(uri), error.code, error.detail)

    def _row(self, uri: str, kind: _Kind, line: int, files: Files) -> Row:
        if kind is _Kind.FOLDER_LINK:
            raise BadRowError(ReasonCode.LINKED_FOLDER, "put the folder itself here")
        if kind is _Kind.LOCKED:
            raise BadRowError(ReasonCode.LOCKED_FOLDER)
        if not is_storable(uri):
            raise BadRowError(ReasonCode.UNPRINTABLE_NAME, HOW_TO_RENAME)
        if kind is _Kind.LINK:
            files.uri(uri)
        folders = uri[len(self.base) :].strip("/").split("/")[:-1]
        split = SPLIT_WORDS[folders.pop(0).casefold()] if self.has_splits and folders else None
        if not folders:
            raise BadRowError(ReasonCode.NO_LABEL, "the file is in no class folder")
        primary, *secondary = _labels(folders[0])
        return Row(uri, primary, tuple(secondary), None, None, None, split, line)


def class_folders(path: Path | Bucket) -> ClassFolders:
    """The layout of a folder of class folders.

    A folder that holds nothing but one folder of class folders is looked through, and so are `train`, `valid`
    and `test` folders. Raises LayoutError without audio, or where no folder gives any of it a label.
    """
    root = path if isinstance(path, Bucket) else path.resolve()
    base = _base(root)
    _, folders = _inside(root, base)
    has_splits = "train" in map(str.casefold, folders) and all(name.casefold() in SPLIT_WORDS for name in folders)
    layout = ClassFolders(root, base, has_splits, tuple(_notes(base, folders if has_splits else [])))
    first = next(_walk(root, base), None)
    if first is None:
        raise LayoutError(f"no recordings below {path}: no file there is named like audio; give the dataset's folder")
    if not folders:
        raise LayoutError(
            f"{path} holds recordings but no class folders; put each class in a folder of its own, or add a csv "
            "with a path and a label column"
        )
    return layout


def _notes(base: str, split_folders: list[str]) -> Iterator[str]:
    if base:
        yield f"class folders are those in {base}"
    if split_folders:
        yield f"the split is the data's own: {', '.join(split_folders)}"


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
    """Whether audio lies directly in a folder, and its folders' names, sorted."""
    entries = _entries(root, folder)
    has_audio = any(kind in (_Kind.FILE, _Kind.LINK) for _, kind in entries)
    return has_audio, [name for name, kind in entries if kind is _Kind.FOLDER]


def _labels(folder: str) -> list[str]:
    """The labels in a folder's name: several when it holds commas, the first one is what is learned."""
    parts = [part for part in folder.split(",") if part.strip()]
    return list(dict.fromkeys(label_of(part) for part in parts or [folder]))


def _walk(root: Path | Bucket, base: str) -> Iterator[tuple[str, _Kind]]:
    """Audio files, linked folders and locked folders below the base, by name, depth first; objects by their keys."""
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
            yield (folder if kind is _Kind.LOCKED else uri), kind
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
        return [("", _Kind.LOCKED)]
    return sorted(found, key=lambda pair: pair[0])


def _kind(entry: os.DirEntry[str]) -> _Kind | None:
    """What an entry is to the walk; None for what is no recording."""
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
    except OSError:  # a loop of links
        return False
