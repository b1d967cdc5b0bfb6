"""Checks whether files exist below a folder, with one listing per folder instead of one disk access per file."""

from __future__ import annotations

import os
import stat
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from domain.errors import MachineFault, Missing
from domain.reasons import ReasonCode
from tasks.dataset.bucket import Bucket
from tasks.dataset.file_faults import fault_of
from tasks.dataset.layouts.layout import UnusableRowError, is_storable

# Formats that libsndfile decodes, those that FFmpeg decodes, and others. Files of the others are quarantined with a
# reason instead of being skipped silently. docs/reference/audio.md lists all.
# fmt: off
_DECODED = (
    ".aif", ".aifc", ".aiff", ".au", ".avr", ".caf", ".flac", ".mp2", ".mp3", ".oga", ".ogg", ".opus", ".paf", ".rf64",
    ".snd", ".sph", ".voc", ".w64", ".wav", ".wave",
)
_BY_FFMPEG = (
    ".3gp", ".aac", ".ac3", ".amr", ".ape", ".avi", ".awb", ".eac3", ".m4a", ".m4b", ".mka", ".mkv", ".mov", ".mp4",
    ".tta", ".webm", ".wma", ".wv",
)
# fmt: on
_OTHERS = (".mpc", ".spx", ".wac")
AUDIO_SUFFIXES = frozenset(_DECODED + _BY_FFMPEG + _OTHERS)

# Folders that archivers, servers and operating systems create; hidden names (with a leading dot) are skipped too.
_JUNK_FOLDERS = frozenset({"__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found"})

HOW_TO_RENAME = "rename the file in plain UTF-8"

# Linux's limit, in bytes.
_LONGEST_PATH = 4096

# Bounds memory to about 40 MB of names. Files in further folders are looked up one by one.
LISTED_NAMES = 300_000


def is_audio_name(name: str) -> bool:
    """Return whether a file name has the suffix of an audio format, in any case.

    >>> is_audio_name("20230521_043000.WAV"), is_audio_name("LICENSE")
    (True, False)
    """
    return os.path.splitext(name)[1].lower() in AUDIO_SUFFIXES  # noqa: PTH122 - a million times; Path costs ten times as much


def is_junk_name(name: str) -> bool:
    """Return whether a name is hidden or belongs to the system, so that it is neither a recording nor a class.

    >>> is_junk_name(".git"), is_junk_name("__MACOSX"), is_junk_name("wren")
    (True, True, False)
    """
    return name.startswith(".") or name in _JUNK_FOLDERS


@dataclass(frozen=True, slots=True)
class _Listing:
    """The names in one folder. is_complete: False if the folder has too many names to keep."""

    files: frozenset[str] = frozenset()
    links: frozenset[str] = frozenset()
    is_complete: bool = True


class Files:
    """Resolves the paths of a table to URIs of files below a root, and refuses paths that leave the root."""

    def __init__(self, root: Path | Bucket, listed_names: int = LISTED_NAMES) -> None:
        self.root = root if isinstance(root, Bucket) else root.resolve()
        self._prefix = str(self.root).rstrip("/") + "/"
        self._listings: dict[str, _Listing] = {}
        self._names_left = listed_names
        self._most_listings = max(listed_names, 1)
        self._spelt: dict[str, str | None] = {}

    def uri(self, written: str) -> str:
        """Return the URI of the existing file at a path, spelt as on disk.

        written: relative to the root, or absolute below it; in any Unicode normalisation; `/` or a backslash separates
        folders.
        Raises: UnusableRowError if the file does not exist, or if the path leaves the root: by `..`, as an absolute
        path or through a link.
        """
        path = self._relative(written)
        for spelling in _spellings(path) if path.isascii() else self._all_spellings(path):
            if self._has(spelling):
                if not is_storable(spelling):
                    raise UnusableRowError(ReasonCode.UNPRINTABLE_NAME, HOW_TO_RENAME)
                return spelling
        if (what := self._special_file(path)) is not None:
            raise UnusableRowError(ReasonCode.UNREADABLE, f"it is {what}, not a file")
        raise UnusableRowError(ReasonCode.NOT_FOUND)

    def _special_file(self, path: str) -> str | None:
        """Name a path that leads to a pipe, a socket or a device; None if it leads to a file, a folder or nothing."""
        if isinstance(self.root, Bucket):
            return None
        try:
            mode = Path(self._prefix + path).stat().st_mode
        except (OSError, ValueError):
            return None
        kinds = ((stat.S_ISFIFO, "a named pipe"), (stat.S_ISSOCK, "a socket"), (stat.S_ISCHR, "a device"),
                 (stat.S_ISBLK, "a device"))  # fmt: skip
        return next((name for is_kind, name in kinds if is_kind(mode)), None)

    def _all_spellings(self, path: str) -> Iterator[str]:
        yield from _spellings(path)
        yield from self._mixed(_tidy(path.replace("\\", "/")))

    def _mixed(self, path: str) -> Iterator[str]:
        """Yield the spellings of a path whose folders are written in different normalisations on disk."""
        folder, _, name = path.rpartition("/")
        spelt = self._spelt_folder(folder)
        if spelt is not None:
            yield from (f"{spelt}/{form}".lstrip("/") for form in _forms(name))

    def _spelt_folder(self, folder: str) -> str | None:
        """Return a folder as it is spelt on disk; None if it does not exist."""
        if not folder:
            return ""
        if folder not in self._spelt:
            parent, _, name = folder.rpartition("/")
            above = self._spelt_folder(parent)
            spellings = (f"{above}/{form}".lstrip("/") for form in _forms(name)) if above is not None else ()
            found = next(filter(self._is_folder, spellings), None)
            if len(self._spelt) >= self._most_listings:
                return found
            self._spelt[folder] = found
        return self._spelt[folder]

    def _is_folder(self, folder: str) -> bool:
        if isinstance(self.root, Bucket):
            return any(self.root.entries(folder))
        return Path(self._prefix + folder).is_dir()

    def named(self, written: str) -> str:
        """Return the URI of a path without checking that the file exists.

        Raises: UnusableRowError if the path as written leaves the root. Links are not resolved: the code that opens the
        file must check them.
        """
        uri = _tidy(self._relative(written).replace("\\", "/"))
        if not is_storable(uri):
            raise UnusableRowError(ReasonCode.UNPRINTABLE_NAME, HOW_TO_RENAME)
        return uri

    def _relative(self, written: str) -> str:
        if not written:
            raise UnusableRowError(ReasonCode.EMPTY_PATH)
        if len(written) > _LONGEST_PATH:
            raise UnusableRowError(ReasonCode.NOT_FOUND, f"its path has {len(written)} characters")
        if "\0" in written:
            raise UnusableRowError(ReasonCode.UNREADABLE_PATH, "it contains a NUL character")
        if written.startswith(self._prefix):
            written = written[len(self._prefix) :]
        if written.startswith("/") or written[1:3] in (":\\", ":/"):
            raise UnusableRowError(ReasonCode.OUTSIDE_DATASET, "absolute path")
        if ".." in written and ".." in written.replace("\\", "/").split("/"):
            raise UnusableRowError(ReasonCode.OUTSIDE_DATASET, "'..' in the path")
        return written

    def _has(self, uri: str) -> bool:
        folder, _, name = uri.rpartition("/")
        listing = self._listing(folder)
        if name in listing.files:
            return True
        if name not in listing.links and listing.is_complete:
            return False
        return self._is_file(uri)

    def _listing(self, folder: str) -> _Listing:
        listing = self._listings.get(folder)
        if listing is None:
            listing = self._read_listing(folder)
            if len(self._listings) < self._most_listings:
                self._listings[folder] = listing
                self._names_left -= len(listing.files) + len(listing.links)
        return listing

    def _read_listing(self, folder: str) -> _Listing:
        if isinstance(self.root, Bucket):
            names = self.root.entries(folder)[1]
            return _Listing(frozenset(names)) if len(names) <= self._names_left else _Listing(is_complete=False)
        path = self.root / folder
        try:
            self._refuse_outside(path)
            return _listing(path, self._names_left)
        except OSError as error:
            self._require_absent(error, folder)
            return _Listing()

    def _require_absent(self, error: OSError, uri: str) -> None:
        """Return if the error means that there is no such file.

        Raises: UnusableRowError if it may not be read; MachineFault if the machine is at fault.
        """
        fault = fault_of(error, str(self.root), uri, is_known=False)
        if isinstance(fault, MachineFault):
            raise fault from error
        if not isinstance(fault, Missing):
            raise UnusableRowError(fault.code, str(error.strerror)) from error

    def _is_file(self, uri: str) -> bool:
        """Look up one file on disk: a link, or a file in a folder too large to list. Its folder is already checked."""
        if isinstance(self.root, Bucket):
            return self.root.has(uri)
        path = self._prefix + uri
        try:
            mode = os.lstat(path).st_mode
        except OSError as error:
            self._require_absent(error, uri)
            return False
        if not stat.S_ISLNK(mode):
            return stat.S_ISREG(mode)
        self._refuse_outside(Path(path))
        return Path(path).is_file()

    def _refuse_outside(self, path: Path) -> None:
        try:
            is_inside = path.resolve().is_relative_to(str(self.root))
        except RuntimeError:  # a cycle of links, on Python before 3.13
            is_inside = False
        if not is_inside:
            raise UnusableRowError(ReasonCode.OUTSIDE_DATASET, "a link leads out of it")


def _spellings(path: str) -> Iterator[str]:
    """Yield the possible spellings of a path on disk, the written one first."""
    yield from dict.fromkeys(_tidy(spelt) for spelt in (path, path.replace("\\", "/")))
    if not path.isascii():
        for form in ("NFC", "NFD"):
            yield _tidy(unicodedata.normalize(form, path.replace("\\", "/")))


def _forms(name: str) -> Iterator[str]:
    yield from dict.fromkeys((name, unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name)))


def _tidy(path: str) -> str:
    if "//" in path or path.startswith("./") or "/./" in path:
        return "/".join(part for part in path.split("/") if part not in ("", "."))
    return path


def _listing(folder: Path, most_names: int) -> _Listing:
    files: set[str] = set()
    links: set[str] = set()
    with os.scandir(folder) as entries:
        for entry in entries:
            if len(files) + len(links) >= most_names:
                return _Listing(is_complete=False)
            if entry.is_symlink():
                links.add(entry.name)
            elif entry.is_file(follow_symlinks=False):
                files.add(entry.name)
    return _Listing(frozenset(files), frozenset(links))
