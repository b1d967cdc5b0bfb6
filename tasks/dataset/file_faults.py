"""Decides whose fault a failed access to a recording is: the file's or the machine's.

Planning, workers and the check after reading all ask `fault_of`, so they never disagree about an error number.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import Counter, deque
from collections.abc import Iterator
from itertools import islice

from domain.errors import CannotBeRead, MachineFault, Missing, NoPermission, Unusable

_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR})
_NAMES_NOTHING = frozenset({errno.ELOOP, errno.ENAMETOOLONG, errno.EILSEQ})
_NO_PERMISSION = frozenset({errno.EACCES, errno.EPERM})
_BAD_READ = frozenset({errno.EIO, errno.EBADMSG})
"""A bad sector, or a damaged entry of the file system."""
_MAY_BE_THE_FILES = _ABSENT | _NAMES_NOTHING | _NO_PERMISSION | _BAD_READ
# Bounds of the search for a file that can be read: a dataset of a million files costs as little as a small one.
_MOST_FOLDERS, _MOST_ENTRIES, _MOST_NEIGHBOURS, _MOST_OF_A_FOLDER = 200, 200, 20, 3
_TEXT_ENDINGS = (".csv", ".tsv", ".txt", ".json", ".xml", ".md")
_BLOCK_BYTES, _LONGEST_LOOK_BYTES = 1 << 20, 1 << 32


def fault_of(error: OSError, root: str, uri: str, *, is_known: bool = True) -> Unusable | MachineFault:
    """Return the error to raise for an access to a recording, or a folder of recordings, that failed.

    root: the dataset's folder.  uri: the path below it.
    is_known: the file was there before; False for a name in a csv, whose folder may never have existed.
    The file is at fault only if a second look fails too, and
    - its name names nothing: a loop of links, a name that is too long;
    - or it is gone from a folder that still holds something: an empty one may be a mount point without its disk;
    - or it cannot be opened or read while another file of the dataset can.
    Everything else is the machine's fault: another attempt may succeed.
    """
    path = os.path.join(root, uri)
    if error.errno == errno.EISDIR:
        return CannotBeRead(f"{uri} cannot be read: {error.strerror}")
    again: OSError | None = None
    if error.errno == errno.ENOTDIR:  # a file in place of a folder; as a file it can be read
        again = error
    elif error.errno in _MAY_BE_THE_FILES:
        again = _error_of_reading(path)
    if again is None or again.errno not in _MAY_BE_THE_FILES:
        return MachineFault(f"{uri} cannot be read now: {(again or error).strerror or error}")
    if again.errno in _ABSENT:
        return _absence(root, os.path.dirname(path) if is_known else root, uri)
    return _refusal(again, root, path, uri)


def _refusal(again: OSError, root: str, path: str, uri: str) -> Unusable | MachineFault:
    if again.errno in _NAMES_NOTHING:
        return Missing(f"{uri} names no file: {again.strerror}")
    if not any(_error_of_reading(each, _BLOCK_BYTES) is None for each in _neighbours(root, path)):
        sentence = "no other file of the dataset can be read either"
        return MachineFault(f"{uri} cannot be read now: {again.strerror}; {sentence}")
    if again.errno in _NO_PERMISSION:
        return NoPermission(f"{uri} cannot be opened: {again.strerror}")
    return CannotBeRead(f"{uri} cannot be read: {again.strerror}")


def _absence(root: str, folder: str, uri: str) -> Missing | MachineFault:
    """Missing if the nearest folder that exists holds something; else its disk is not mounted."""
    while folder != root and not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    try:
        with os.scandir(folder) as entries:
            holds_anything = next(entries, None) is not None
    except OSError:
        holds_anything = False
    if holds_anything:
        return Missing(f"{uri} was planned and is missing now")
    what = f"the dataset {root} is not there" if folder == root else f"{folder} is empty"
    return MachineFault(f"{what}; check that its disk is mounted on this machine")


def _error_of_reading(path: str, most_bytes: int = _LONGEST_LOOK_BYTES) -> OSError | None:
    """Read a file, or list a folder; return the error, or None. Bytes come from the disk, not from the page cache."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # opening a pipe would block
    except OSError as error:
        return error
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            os.listdir(descriptor)
        elif stat.S_ISREG(mode):
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            at = 0
            while at < most_bytes and (block := os.pread(descriptor, _BLOCK_BYTES, at)):
                at += len(block)
    except OSError as error:
        return error
    finally:
        os.close(descriptor)
    return None


def _neighbours(root: str, path: str) -> Iterator[str]:
    """Yield files of the dataset with the same ending, nearest first, at most three of a folder.

    For a folder, files of any ending. Where no other file has the ending, all but tables and texts, which often lie
    on another disk.
    """
    ending = "" if os.path.isdir(path) else os.path.splitext(path)[1].lower()
    others: list[str] = []
    n_same, n_of_folder = 0, Counter[str]()
    for each in _entries_around(root, path):
        is_same, folder = each.name.lower().endswith(ending), os.path.dirname(each.path)
        is_wanted = n_of_folder[folder] < _MOST_OF_A_FOLDER if is_same else len(others) < _MOST_NEIGHBOURS
        if not is_wanted or each.path == path or not os.path.isfile(each.path):
            continue
        if not is_same:
            others += [] if each.name.lower().endswith(_TEXT_ENDINGS) else [each.path]
            continue
        yield each.path
        n_of_folder[folder] += 1
        n_same += 1
        if n_same == _MOST_NEIGHBOURS:
            return
    if n_same == 0:
        yield from others


def _entries_around(root: str, path: str) -> Iterator[os.DirEntry[str]]:
    """Yield entries of the file's folder and of those below it, then the same for each folder up to the root."""
    folder, seen = os.path.dirname(path), set[str]()
    while True:
        pending = deque([folder])
        while pending and len(seen) < _MOST_FOLDERS:
            inside = _entries(pending.popleft())
            yield from inside
            below = [each.path for each in inside if each.is_dir(follow_symlinks=False) and each.path not in seen]
            seen.update(below)
            pending.extend(below)
        if len(folder) <= len(root):
            return
        folder = os.path.dirname(folder)


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(islice(entries, _MOST_ENTRIES))
    except OSError:
        return []
