"""Reading of claimed recordings: from a folder, or fetched ahead from a bucket.

Names of recordings are plain strings, for the reason given in `db/store/folder.py`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import PurePosixPath

from db.ledger.claims import ItemClaim
from db.store.objects import SCHEME, ObjectChanged, Objects
from domain.errors import Changed, MachineFault, Missing, Outside, Unreadable
from tasks.audio.source import Remote
from tasks.dataset.bucket import Bucket, Fetched, Stamp
from tasks.dataset.file_faults import fault_of
from tasks.dataset.layouts import METADATA_FOLDERS, TABLE_SUFFIXES
from tasks.dataset.manifest import file_digest

_Name = tuple[str, str]
"""Root and URI of a recording."""


def bucket(url: str, *, plain_http: bool = False) -> Bucket:
    """The dataset below an `s3://bucket/prefix`, or the one described by a csv there."""
    path = PurePosixPath(url.removeprefix(SCHEME).rstrip("/"))
    if path.suffix.lower() not in TABLE_SUFFIXES or len(path.parts) < 2:
        return Bucket(Objects(url, allows_plain_http=plain_http))
    root = path.parent.parent if path.parent.name in METADATA_FOLDERS and len(path.parts) > 2 else path.parent
    return Bucket(Objects(f"{SCHEME}{root}", allows_plain_http=plain_http), str(path.relative_to(root)))


@dataclass(frozen=True)
class Opened:
    """A claimed recording that can be read, and its size and time before reading."""

    place: str | Remote
    stamp: Stamp


class Sources:
    """Claimed recordings. While one from a bucket is worked on, the next one is fetched.

    At most two are held at once, and long ones are read in ranges: this bounds memory.
    """

    def __init__(self, claims: Sequence[ItemClaim] = (), *, plain_http: bool = False) -> None:
        self._plain_http = plain_http
        wanted = [_name(claim) for claim in claims if _is_remote(claim) and not claim.is_made]
        self._after = dict(pairwise(dict.fromkeys(wanted)))
        self._fetches: dict[_Name, Future[Fetched]] = {}
        self._thread = ThreadPoolExecutor(1, "fetch")  # no thread until there is something to fetch

    def __enter__(self) -> Sources:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(cancel_futures=True)

    @contextlib.contextmanager
    def reading(self, claim: ItemClaim) -> Iterator[Opened]:
        """Yield the claimed recording, and check that it did not change during the block.

        Raises: Missing if it is gone; Changed if its bytes are not those that were planned, or change meanwhile;
        Outside for a link to another place; Unreadable if it is not a regular file (a pipe, a device); NoPermission or
        CannotBeRead if other files of the dataset can be read. MachineFault if the machine is at fault, for example
        because a disk is not mounted. OSError for a fault of the network.
        """
        with self._in_bucket(claim) if _is_remote(claim) else _in_folder(claim) as found:
            yield found

    @contextlib.contextmanager
    def _in_bucket(self, claim: ItemClaim) -> Iterator[Opened]:
        try:
            fetched = self._fetched(claim)
        except FileNotFoundError as error:
            if not _bucket(claim.root, self._plain_http, os.getpid()).holds_anything():
                raise MachineFault(f"the dataset {claim.root} is not there; check its bucket and prefix") from error
            raise Missing(f"{claim.uri} was planned and is missing now") from error
        try:
            _require_planned(claim, fetched.place, fetched.stamp)
            yield Opened(fetched.place, fetched.stamp)
        except ObjectChanged as error:
            raise Changed(f"{claim.uri} was replaced while it was read") from error

    def _fetched(self, claim: ItemClaim) -> Fetched:
        name = _name(claim)
        near = (name, self._after.get(name))  # spans and copies of one recording follow each other
        self._fetches = {each: self._fetches.get(each) or self._begin(each) for each in near if each}
        return self._fetches[name].result()

    def _begin(self, name: _Name) -> Future[Fetched]:
        root, uri = name
        return self._thread.submit(lambda: _bucket(root, self._plain_http, os.getpid()).fetched(uri))


@lru_cache(maxsize=8)
def _bucket(root: str, plain_http: bool, _pid: int) -> Bucket:  # noqa: FBT001
    """The bucket of this process; a forked child must not use its parent's connections."""
    return Bucket(Objects(root, allows_plain_http=plain_http))


@contextlib.contextmanager
def _in_folder(claim: ItemClaim) -> Iterator[Opened]:
    """Yield the file, and discard all results and errors of the block if the file changed meanwhile."""
    path = os.path.join(claim.root, claim.uri)
    before = _as_planned(path, claim)
    try:
        yield Opened(path, before)
    except (OSError, Missing) as error:
        found = error if isinstance(error, OSError) else FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        raise fault_of(found, claim.root, claim.uri) from error
    finally:
        try:
            after = _stat(claim, path)
        except Missing as error:
            raise Missing(f"{os.path.basename(path)} was removed while it was read") from error
        if (after.st_size, after.st_mtime_ns) != before:
            sizes = f"{before.size_bytes} bytes before, {after.st_size} after"
            raise Changed(f"{os.path.basename(path)} was written while it was read: {sizes}")


def _as_planned(path: str, claim: ItemClaim) -> Stamp:
    """Check the file before reading; return its size and time.

    Raises: Missing, Outside, Unreadable, NoPermission, CannotBeRead, Changed, MachineFault.
    """
    found = _stat(claim, path)
    _require_own_file(claim, path, found.st_mode)
    stamp = Stamp(found.st_size, found.st_mtime_ns)
    try:
        _require_planned(claim, path, stamp)
    except OSError as error:
        raise fault_of(error, claim.root, claim.uri) from error
    return stamp


def _stat(claim: ItemClaim, path: str) -> os.stat_result:
    """The file's status. Raises: what `fault_of` returns if it cannot be had."""
    try:
        return os.stat(path)
    except OSError as error:
        raise fault_of(error, claim.root, claim.uri) from error


def _require_own_file(claim: ItemClaim, path: str, mode: int) -> None:
    """Check that the path is a regular file inside the dataset.

    It may have become a link, a pipe or a device since it was planned. Raises: Outside, Unreadable.
    """
    root = os.path.realpath(claim.root)
    if os.path.commonpath([root, os.path.realpath(path)]) != root:
        raise Outside(f"{claim.uri} is a link to another place")
    if not stat.S_ISREG(mode):  # reading a pipe would block, and /dev/zero never ends
        raise Unreadable(f"{claim.uri} is not a regular file")


def _require_planned(claim: ItemClaim, place: str | Remote, stamp: Stamp) -> None:
    """Check that the recording's bytes are those that were planned; a new time with the same bytes is no change.

    The sizes are compared first: a file that grew to a terabyte is not read.
    Raises: Changed; OSError if the file cannot be read.
    """
    if not claim.digest or stamp == (claim.size_bytes, claim.mtime_ns):
        return
    if stamp.size_bytes == claim.size_bytes and file_digest(place) == claim.digest:
        return
    raise Changed(f"{claim.uri} had {claim.size_bytes} bytes and has {stamp.size_bytes}; plan it again")


def _name(claim: ItemClaim) -> _Name:
    return claim.root, claim.uri


def _is_remote(claim: ItemClaim) -> bool:
    return claim.root.startswith(SCHEME)
