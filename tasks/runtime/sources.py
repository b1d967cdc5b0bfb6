"""How a worker gets at the recordings it has claimed: from a folder, or ahead of time from a bucket.

Names of recordings are plain strings, for the reason given in `db/store/folder.py`.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path, PurePosixPath

from db.ledger.claims import ItemClaim
from db.store.objects import SCHEME, ObjectChanged, Objects
from domain.errors import Changed, MachineFault, Missing, Outside, Unreadable
from tasks.audio.source import Remote
from tasks.dataset.bucket import Bucket, Fetched, Stamp
from tasks.dataset.layouts import METADATA_FOLDERS, TABLE_SUFFIXES
from tasks.dataset.manifest import file_digest

_Name = tuple[str, str]
"""Root and uri of a recording."""
_GONE = (FileNotFoundError, NotADirectoryError)


def bucket(url: str, *, plain_http: bool = False) -> Bucket:
    """The dataset below an `s3://bucket/prefix`, or the one that a csv there describes."""
    path = PurePosixPath(url.removeprefix(SCHEME).rstrip("/"))
    if path.suffix.lower() not in TABLE_SUFFIXES or len(path.parts) < 2:
        return Bucket(Objects(url, allows_plain_http=plain_http))
    root = path.parent.parent if path.parent.name in METADATA_FOLDERS and len(path.parts) > 2 else path.parent
    return Bucket(Objects(f"{SCHEME}{root}", allows_plain_http=plain_http), str(path.relative_to(root)))


@dataclass(frozen=True)
class Opened:
    """A claimed recording that can be read, and what it was when it was looked at."""

    place: str | Remote
    stamp: Stamp


class Sources:
    """Claimed recordings. While one of a bucket is worked on the next one is fetched, so that nobody waits for it.

    At most two are held at once, and long ones are read in ranges: memory has a bound.
    """

    def __init__(self, claims: Sequence[ItemClaim] = (), *, plain_http: bool = False) -> None:
        self._plain_http = plain_http
        wanted = [_name(claim) for claim in claims if _is_distant(claim) and not claim.is_made]
        self._after = dict(pairwise(dict.fromkeys(wanted)))
        self._fetches: dict[_Name, Future[Fetched]] = {}
        self._thread = ThreadPoolExecutor(1, "fetch")  # no thread until there is something to fetch

    def __enter__(self) -> Sources:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(cancel_futures=True)

    @contextlib.contextmanager
    def reading(self, claim: ItemClaim) -> Iterator[Opened]:
        """The claimed recording, unchanged for as long as the block lasts.

        Raises Missing when it is gone, Changed when its bytes are others than planned or become others meanwhile,
        Outside for a link to another place, Unreadable for what is no file (a pipe, a device); MachineFault when the
        whole dataset is not there, for then a disk is not mounted and no recording is to blame. An OSError is the
        machine's, or the network's.
        """
        with self._in_bucket(claim) if _is_distant(claim) else _in_folder(claim) as found:
            yield found

    @contextlib.contextmanager
    def _in_bucket(self, claim: ItemClaim) -> Iterator[Opened]:
        try:
            fetched = self._fetched(claim)
        except FileNotFoundError as error:
            if not _bucket(claim.root, self._plain_http, os.getpid()).holds_anything():
                raise MachineFault(f"the dataset {claim.root} is not there; is its bucket the right one?") from error
            raise Missing(f"{claim.uri} was planned, and is not there") from error
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
    """A forked child never uses its parent's connections."""
    return Bucket(Objects(root, allows_plain_http=plain_http))


@contextlib.contextmanager
def _in_folder(claim: ItemClaim) -> Iterator[Opened]:
    """Nothing made of a file counts if somebody wrote it meanwhile, nor is what went wrong with it the recording's."""
    path = os.path.join(claim.root, claim.uri)
    before = _as_planned(path, claim)
    try:
        yield Opened(path, before)
    finally:
        try:
            after = os.stat(path)
        except _GONE as error:
            raise Missing(f"{os.path.basename(path)} went away while it was read") from error
        if (after.st_size, after.st_mtime_ns) != before:
            sizes = f"{before.size_bytes} bytes before, {after.st_size} after"
            raise Changed(f"{os.path.basename(path)} was written while it was read: {sizes}")


def _as_planned(path: str, claim: ItemClaim) -> Stamp:
    """Its size and time before anything is read. Raises Missing, Outside, Unreadable, Changed, MachineFault."""
    try:
        found = os.stat(path)
    except _GONE as error:
        if not _holds_anything(Path(claim.root)):
            raise MachineFault(
                f"the dataset {claim.root} is not there; is its disk mounted on this machine?"
            ) from error
        raise Missing(f"{claim.uri} was planned, and is not there") from error
    _require_own_file(claim, path, found.st_mode)
    stamp = Stamp(found.st_size, found.st_mtime_ns)
    _require_planned(claim, path, stamp)
    return stamp


def _require_own_file(claim: ItemClaim, path: str, mode: int) -> None:
    """Nothing, or Outside, or Unreadable: whatever was planned may have become a link since, a pipe or a device."""
    root = os.path.realpath(claim.root)
    if os.path.commonpath([root, os.path.realpath(path)]) != root:
        raise Outside(f"{claim.uri} is a link to another place")
    if not stat.S_ISREG(mode):  # a pipe would be waited for, and /dev/zero has no end
        raise Unreadable(f"{claim.uri} is not a regular file")


def _require_planned(claim: ItemClaim, place: str | Remote, stamp: Stamp) -> None:
    """Nothing, or Changed where the recording has other bytes by now; another time alone is no change."""
    if not claim.digest or stamp == (claim.size_bytes, claim.mtime_ns) or file_digest(place) == claim.digest:
        return
    raise Changed(f"{claim.uri} had {claim.size_bytes} bytes and has {stamp.size_bytes}; plan it again")


def _holds_anything(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())  # a mount point without its disk is an empty folder


def _name(claim: ItemClaim) -> _Name:
    return claim.root, claim.uri


def _is_distant(claim: ItemClaim) -> bool:
    return claim.root.startswith(SCHEME)
