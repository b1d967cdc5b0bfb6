"""The layout with one folder per class, as BirdNET uses it: the folder's name is the label."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from domain.reasons import ReasonCode
from tasks.dataset.bucket import Bucket
from tasks.dataset.layouts.files import Files
from tasks.dataset.layouts.findings import Findings
from tasks.dataset.layouts.folder_walk import EntryKind, begins_like_audio, entries, walk
from tasks.dataset.layouts.folder_words import FolderWord, FolderWords
from tasks.dataset.layouts.found_files import is_unnamed_audio, require_usable
from tasks.dataset.layouts.layout import (
    DoubtfulDataset,
    LayoutError,
    Reading,
    Row,
    UnusableRow,
    UnusableRowError,
    label_of,
    printable,
)

_NAMED = 5


@dataclass(frozen=True)
class ClassFolders:
    """Recordings in class folders, sorted by name.

    base: the folder below the root that contains the class folders; "" for the root itself. Folders for splits, folds
    and storage may lie between the base and the class folders, and inside class folders; those outside win.
    Memory grows with the largest folder, about 130 bytes a name, because its names are sorted.
    """

    root: Path | Bucket
    base: str = ""
    words: FolderWords = field(default_factory=FolderWords)
    notes: tuple[str, ...] = ()
    name: str = "folder per class"
    has_metadata: bool = False
    findings: Findings = field(default_factory=lambda: Findings(names="folders"), compare=False)

    def rows(self) -> Iterator[Row | UnusableRow]:
        """Yield every audio file below the base, or why it cannot be used; `line` is 0.

        A file without the name of an audio file is used if it begins like one; others are counted.
        """
        self.findings.clear()
        files, used = Files(self.root, listed_names=0), set[str]()
        for uri, kind in walk(self.root, self.base):
            if kind is EntryKind.OTHER and not self._is_unnamed_audio(uri):
                continue
            used.add(self._top(uri))
            try:
                yield self._row(uri, kind, files)
            except UnusableRowError as error:
                yield UnusableRow(0, printable(uri), error.code, error.detail)
        folders = (name for name, kind in entries(self.root, self.base) if kind is EntryKind.FOLDER)
        self.findings.empty_folders.extend(printable(name) for name in folders if name not in used)

    def _top(self, uri: str) -> str:
        return uri[len(self.base) :].lstrip("/").partition("/")[0]

    def _is_unnamed_audio(self, uri: str) -> bool:
        """Return whether a file without an audio name is a recording. Count it if it lies in a class folder."""
        if not self._folders(uri)[0]:
            return False
        return is_unnamed_audio(self.root, uri, self.findings)

    def _folders(self, uri: str) -> tuple[list[str], list[FolderWord]]:
        """Return the folders of a file from its class folder on, and what the folders above that one say."""
        folders, said = uri[len(self.base) :].strip("/").split("/")[:-1], []
        while folders and (word := self.words.of(folders[0])) is not None:
            folders.pop(0)
            said.append(word)
        return folders, said

    def _row(self, uri: str, kind: EntryKind, files: Files) -> Row:
        require_usable(uri, kind, files)
        folders, said = self._folders(uri)
        if not folders:
            raise UnusableRowError(ReasonCode.NO_LABEL, "the file is not in a class folder")
        primary, *secondary = _labels(folders[0])
        self.findings.read(folders[0], primary)
        said += self._words_inside(folders[1:])
        split = next((word.split for word in said if word.split is not None), None)
        fold = next((word.fold for word in said if word.fold is not None), None)
        return Row(uri, primary, tuple(secondary), None, None, fold, split, 0)

    def _words_inside(self, folders: list[str]) -> Iterator[FolderWord]:
        """Yield what the folders inside a class folder say about split or fold, and note their names."""
        for name in folders:
            word = self.words.of(name)
            if word is not None and word != FolderWord():
                self.findings.split_folders.setdefault(printable(name))
                yield word


def class_folders(path: Path | Bucket, reading: Reading) -> ClassFolders:
    """Open a folder of class folders.

    If a folder contains only one folder, and that one contains the class folders, the layout starts there. Folders
    for splits and folds around the class folders become split and fold; folders that hold no audio do not count.
    Raises: LayoutError if there is no audio below the path, or if no class folder gives it a label; DoubtfulDataset if
    a folder's name says split, fold or storage where a class is expected.
    """
    root = path if isinstance(path, Bucket) else path.resolve()
    words = FolderWords(reading.class_folders)
    base = _base(root)
    if not _holds_audio(root, base):
        raise LayoutError(
            f"no recordings below {path}: no file has the suffix of an audio format; give the dataset's folder"
        )
    above: dict[str, FolderWord] = {}
    if not _find_classes(root, base, words, above):
        raise _no_class_folders(path, list(above) or [part for part in base.split("/") if words.of(part)])
    return ClassFolders(root, base, words, tuple(_notes(base, above)))


def _no_class_folders(path: Path | Bucket, words: list[str]) -> LayoutError:
    remedy = "put each class in a folder of its own, or add a csv with a path and a label column"
    if not words:
        return LayoutError(f"{path} contains recordings but no class folders; {remedy}")
    listed = ", ".join(words[:_NAMED])
    return DoubtfulDataset(
        f"{path} contains recordings but no class folders: {listed} {_says(words)}; {remedy}; "
        f"if these are classes: --class-folders {','.join(words[:_NAMED])}"
    )


def _says(words: list[str]) -> str:
    return "is the name of a split, a fold or a place" if len(words) == 1 else "are names of splits, folds or places"


def _notes(base: str, above: dict[str, FolderWord]) -> Iterator[str]:
    if base:
        yield f"the class folders are in {base}"
    for what, names in (
        ("the split comes from", [name for name, word in above.items() if word.split]),
        ("the folds come from", [name for name, word in above.items() if word.fold is not None]),
    ):
        if names:
            yield f"{what} the dataset's folders {', '.join(names)}"
    if places := [name for name, word in above.items() if word == FolderWord()]:
        yield f"no classes, but places of class folders: {', '.join(places)}"


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
    """Return whether a folder directly contains audio, and up to two names of its folders that hold some."""
    inside = entries(root, folder)
    has_audio = any(kind in (EntryKind.FILE, EntryKind.LINK) for _, kind in inside)
    return has_audio, list(islice(_with_audio(root, folder, [n for n, kind in inside if kind is EntryKind.FOLDER]), 2))


def _with_audio(root: Path | Bucket, folder: str, names: list[str]) -> Iterator[str]:
    return (name for name in names if _holds_audio(root, f"{folder}/{name}".lstrip("/")))


def _holds_audio(root: Path | Bucket, folder: str) -> bool:
    """Return whether a recording, or a folder that cannot be listed, is anywhere below a folder."""
    if isinstance(root, Bucket):
        return any(kind is not EntryKind.OTHER for _, kind in walk(root, folder))
    return any(kind is not EntryKind.OTHER or begins_like_audio(root / uri) for uri, kind in walk(root, folder))


def _find_classes(root: Path | Bucket, folder: str, words: FolderWords, above: dict[str, FolderWord]) -> bool:
    """Return whether class folders lie in a folder, or in its folders for splits, folds and storage: `above`.

    Raises: DoubtfulDataset if such a folder stands beside class folders.
    """
    names = [name for name, kind in entries(root, folder) if kind is EntryKind.FOLDER]
    said = {name: word for name in names if (word := words.of(name)) is not None}
    said = {name: said[name] for name in _with_audio(root, folder, list(said))}
    first_class = next(_with_audio(root, folder, [name for name in names if words.of(name) is None]), None)
    if first_class is None:
        above |= said
        found = [_find_classes(root, f"{folder}/{name}".lstrip("/"), words, above) for name in said]
        return any(found)
    if said:
        listed = ", ".join(list(said)[:_NAMED])
        raise DoubtfulDataset(
            f"{listed} {_says(list(said))}, beside {first_class}, which looks like a class; "
            f"if it is a class too: --class-folders {','.join(list(said)[:_NAMED])}; "
            "otherwise give the folder that contains only class folders"
        )
    return True


def _labels(folder: str) -> list[str]:
    """Return the labels in a folder's name, separated by commas; the first one is the class."""
    parts = [part for part in folder.split(",") if part.strip()]
    return list(dict.fromkeys(label_of(part) for part in parts or [folder]))
