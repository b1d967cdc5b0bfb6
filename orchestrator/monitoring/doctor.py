"""Ledger, store and broker compared; each finding is a sentence that says what to do."""

from __future__ import annotations

import shutil
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

from db.ledger import planning
from db.queries import integrity
from db.queries.integrity import KeptFile, KeptStrip
from db.store.folder import FolderStore, stat_or_none
from db.store.interface import Store
from domain.errors import BrokerUnreachable
from domain.plural import counted
from orchestrator.broker import Sender, answers
from orchestrator.package_versions import versions
from orchestrator.session import Session
from settings import Settings

_LOW_DISK_BYTES = 1 << 30
_AT_ONCE = 512
_SHOWN = 20
_ABANDONED_AFTER_S = 86_400.0
_READERS = 8
_CLOCKS_AGREE_S = 5.0
_KINDS = ("strips", "shards", "models", "evaluations", "reports")


def findings(session: Session, *, repair: bool) -> list[str]:
    """What is wrong, one sentence each; nothing when all is well. `repair`: let what is gone be made again."""
    return [
        *_strip_findings(session, repair=repair),
        *_file_findings(session, repair=repair),
        *_abandoned_findings(session, repair=repair),
        *_unknown_findings(session, repair=repair),
        *_ledger_findings(session, repair=repair),
        *_broker_findings(session),
        *_clock_findings("database", integrity.clock_s(session.database)),
        *_version_findings(session),
        *_disk_findings(session),
    ]


@dataclass(frozen=True)
class _Fault:
    """What is wrong with a file. is_lost: it has to be made again; else it may be whole, and the disk is at fault."""

    said: str
    is_lost: bool = True


def _strip_findings(session: Session, *, repair: bool) -> Iterator[str]:
    strips = _faulty(session.store, integrity.kept_strips(session.database))
    faulty = [(strip.id, f"strip {strip.key}", fault) for strip, fault in strips]
    forget = partial(integrity.forget_strips, session.database) if repair else None
    yield from _told(session.settings, faulty, "strip", forget)


def _file_findings(session: Session, *, repair: bool) -> Iterator[str]:
    files = integrity.kept_files(session.database)
    faulty = [
        (file.job, f"{file.key} of run {file.run}", fault) for file in files if (fault := _fault(session.store, file))
    ]
    forget = partial(integrity.fail_jobs, session.database) if repair else None
    yield from _told(session.settings, faulty, "file", forget)


def _told(
    settings: Settings,
    faulty: Sequence[tuple[int, str, _Fault]],
    what: str,
    forget: Callable[[list[int]], None] | None,
) -> Iterator[str]:
    """faulty: row, name and fault of each.  forget: marks the rows as lost; None: only tell."""
    yield from (f"{name} {fault.said}" for _, name, fault in faulty[:_SHOWN])
    lost = [row for row, _, fault in faulty if fault.is_lost]
    yield from _unread(len(faulty) - len(lost), what)
    if lost and forget:
        forget(lost)
    elif lost:
        advised = settings.advised("doctor --repair")
        yield f"damaged: {counted(len(lost), what)}; `{advised}` marks each, to be made again"


def _unread(n: int, what: str) -> Iterator[str]:
    if n:
        yield f"unreadable: {counted(n, what)}; see to the disk and its rights, or delete each and ask again"


def _abandoned_findings(session: Session, *, repair: bool) -> Iterator[str]:
    abandoned = session.store.abandoned(_ABANDONED_AFTER_S)
    if abandoned and repair:
        for path in abandoned:
            path.unlink(missing_ok=True)
        yield f"unfinished, and removed: {counted(len(abandoned), 'file')}"
    elif abandoned:
        size, advised = _size_bytes(abandoned), session.settings.advised("doctor --repair")
        yield f"left unfinished: {counted(len(abandoned), 'file')} of {size / 1e6:.1f} MB; `{advised}` removes each"


def _size_bytes(paths: Iterable[Path]) -> int:
    """Of those that are still there: workers go on meanwhile."""
    return sum(found.st_size for path in paths if (found := stat_or_none(path)))


def _unknown_findings(session: Session, *, repair: bool) -> Iterator[str]:
    """Files that no row names: left by a worker that died before it wrote the row, or by a run that was done again.

    What was written in the last day may yet get its row. A store by URL may serve other ledgers, so nothing is
    removed from it.
    """
    if not isinstance(session.store, FolderStore):
        return  # to list a bucket takes a request a thousand keys; its own rules sweep what is old
    store = session.store.folder
    found = [store / key for key in integrity.unknown_keys(session.database, _old_keys(store))]
    if not found:
        return
    told = f"{len(found)} files of {_size_bytes(found) / 1e6:.1f} MB stand in no row"
    if session.settings.store_url or session.settings.database_url:
        yield f"{told} of this ledger; another one that shares the store may count on them"
    elif repair:
        for path in filter(_is_old, found):  # a worker may have written one of them again
            path.unlink(missing_ok=True)
        yield f"{told}; they were removed"
    else:
        yield f"{told}; they do no harm, and `{session.settings.advised('doctor --repair')}` removes them"


def _old_keys(store: Path) -> Iterator[str]:
    for kind in _KINDS:
        for path in filter(_is_old, (store / kind).rglob("*")):
            yield path.relative_to(store).as_posix()


def _is_old(path: Path) -> bool:
    found = stat_or_none(path)
    return found is not None and stat.S_ISREG(found.st_mode) and found.st_mtime < time.time() - _ABANDONED_AFTER_S


def _clock_findings(whose: str, clock_s: float) -> Iterator[str]:
    ahead_s = clock_s - time.time()
    if abs(ahead_s) > _CLOCKS_AGREE_S:
        yield (
            f"the {whose}'s clock is {abs(ahead_s):.0f} s {'ahead of' if ahead_s > 0 else 'behind'} this machine's; "
            "leases follow the database's, but messages may come early: set both by NTP"
        )


def _version_findings(session: Session) -> Iterator[str]:
    here = versions()
    for planned in integrity.planned_with(session.database):
        other = [
            f"{name} {version} (here {here[name]})"
            for name, version in planned.versions.items()
            if here.get(name, version) != version  # a machine that does not train has no TensorFlow
        ]
        if other:
            yield f"run {planned.run} was planned with {', '.join(other)}; strips made here may differ in a last bit"


def _faulty(store: Store, strips: Iterable[KeptStrip]) -> Iterator[tuple[KeptStrip, _Fault]]:
    from joblib import Parallel, delayed  # noqa: PLC0415

    stream = iter(strips)
    with Parallel(n_jobs=_READERS, backend="threading") as threads:
        while page := list(islice(stream, _AT_ONCE)):
            checked = threads(delayed(_fault)(store, strip) for strip in page)
            yield from ((strip, fault) for strip, fault in zip(page, checked, strict=True) if fault)


def _fault(store: Store, kept: KeptStrip | KeptFile) -> _Fault | None:
    """What is wrong with what was kept. Raises ConnectionError: a store out of reach says nothing of its files."""
    try:
        is_whole = store.digest(kept.key).startswith(kept.sha256)
    except ConnectionError:
        raise
    except (FileNotFoundError, NotADirectoryError):
        return _Fault("is gone from the store")
    except OSError as error:
        return _Fault(f"cannot be read: {error.strerror or error}", is_lost=False)
    return None if is_whole else _Fault("is not what was written")


def _ledger_findings(session: Session, *, repair: bool) -> Iterator[str]:
    for run in integrity.lacking(session.database):
        advised = session.settings.advised(f"retry {run}")
        yield f"run {run} lost files, and was not tried again since; to have them made again: {advised}"
    stuck = integrity.stuck(session.database, _ABANDONED_AFTER_S)
    if stuck.n_expired:
        yield f"{counted(stuck.n_expired, 'claim')} ran out; a dispatcher puts each back within seconds"
    for run in stuck.planning_runs:
        if not repair or planning.discard_run(session.database, run):
            yield f"run {run} was never planned to its end; submit its dataset again"
    is_alone = session.settings.is_broker_embedded and not answers(session.settings.socket)
    for run in stuck.active_runs if is_alone else ():
        yield f"nobody works on run {run}; go on with: {session.settings.advised(f'resume {run}')}"


def _broker_findings(session: Session) -> Iterator[str]:
    settings = session.settings
    if settings.is_broker_embedded and not answers(settings.socket):
        return  # an embedded broker lives only while a command needs it
    try:
        sender = Sender(settings)
        yield from _clock_findings("broker", sender.clock_s())
        served = {queue for queues in sender.workers().values() for queue in queues}
        for queue in ("cpu", "gpu"):
            waiting = sender.queued(queue)
            if waiting and queue not in served:
                held = counted(waiting, "message")
                yield f"queue {queue} holds {held} and nobody serves it; `orchestrator worker {queue}` does"
    except BrokerUnreachable as error:
        yield str(error)


def _disk_findings(session: Session) -> Iterator[str]:
    places = {}
    if isinstance(session.store, FolderStore):  # a store on S3 has no disk here
        places["strips need 60 to 220 KB a minute of audio"] = session.store.folder
    if session.database.is_sqlite:
        places["a ledger needs about 1 KB a recording"] = Path(str(session.database.engine.url.database)).parent
    for need, folder in places.items():
        free = shutil.disk_usage(folder if folder.exists() else session.settings.home).free
        if free < _LOW_DISK_BYTES:
            yield f"{folder} has {free / 1e6:.0f} MB left; {need}"
