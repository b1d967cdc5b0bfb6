"""Checks ledger, store, broker and disk. Each finding is a sentence that says what to do."""

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
from db.ledger.identity import ledger_id
from db.queries import integrity
from db.queries.integrity import LedgerFile, LedgerStrip
from db.store.folder import FolderStore, stat_or_none
from db.store.interface import Store
from db.store.marker import marker_key
from domain.errors import BrokerUnreachable, UsageError
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
_KINDS = (
    "strips", "scores", "shards", "models", "networks", "validation", "evaluations", "predictions", "reports",
)  # fmt: skip


def findings(session: Session, *, repair: bool) -> list[str]:
    """One sentence for each problem. repair: marks lost files for regeneration and deletes orphans."""
    return [
        *_strip_findings(session, repair=repair),
        *_file_findings(session, repair=repair),
        *_unrecorded_findings(session, repair=repair),
        *_abandoned_findings(session, repair=repair),
        *_unknown_findings(session, repair=repair),
        *_ledger_findings(session, repair=repair),
        *_broker_findings(session, repair=repair),
        *_clock_findings("database", integrity.clock_s(session.database)),
        *_version_findings(session),
        *_disk_findings(session),
    ]


@dataclass(frozen=True)
class _Fault:
    """A problem with a file. is_lost: it must be regenerated; otherwise it may be intact, and the disk is at fault."""

    text: str
    is_lost: bool = True


def _strip_findings(session: Session, *, repair: bool) -> Iterator[str]:
    strips = _faulty(session.store, integrity.ledger_strips(session.database))
    faulty = [(strip.id, f"strip {strip.key}", fault) for strip, fault in strips]
    mark_lost = partial(integrity.delete_strip_rows, session.database) if repair else None
    yield from _described(session.settings, faulty, "strip", mark_lost)


def _file_findings(session: Session, *, repair: bool) -> Iterator[str]:
    files = integrity.ledger_files(session.database)
    faulty = [
        (file.job, f"{file.key} of run {file.run}", fault) for file in files if (fault := _fault(session.store, file))
    ]
    mark_lost = partial(integrity.fail_jobs, session.database) if repair else None
    yield from _described(session.settings, faulty, "file", mark_lost)


def _unrecorded_findings(session: Session, *, repair: bool) -> Iterator[str]:
    """Files of older versions, whose digest was not recorded. A repair records the digest of the present bytes."""
    digests = dict(_unrecorded(session))
    if digests and repair:
        integrity.record_digests(session.database, digests)
        yield f"recorded the SHA-256 of {counted(len(digests), 'file')} of an older version"
    elif digests:
        command = session.settings.command("doctor --repair")
        yield f"no SHA-256 is recorded: {counted(len(digests), 'file')}, read unverified; `{command}` records it"


def _unrecorded(session: Session) -> Iterator[tuple[LedgerFile, str]]:
    for file in integrity.ledger_files(session.database):
        if not file.sha256:
            try:
                yield file, session.store.digest(file.key)
            except ConnectionError:
                raise
            except OSError:
                continue  # `_file_findings` reports it


def _described(
    settings: Settings,
    faulty: Sequence[tuple[int, str, _Fault]],
    what: str,
    mark_lost: Callable[[list[int]], None] | None,
) -> Iterator[str]:
    """faulty: row, name and fault of each.  mark_lost: marks the rows for regeneration; None: only report."""
    yield from (f"{name} {fault.text}" for _, name, fault in faulty[:_SHOWN])
    lost = [row for row, _, fault in faulty if fault.is_lost]
    if n_unread := len(faulty) - len(lost):
        yield f"unreadable: {counted(n_unread, what)}; check the disk and access rights, or delete and run doctor again"
    if lost and mark_lost:
        mark_lost(lost)
    elif lost:
        command = settings.command("doctor --repair")
        yield f"damaged: {counted(len(lost), what)}; `{command}` marks them for regeneration"


def _abandoned_findings(session: Session, *, repair: bool) -> Iterator[str]:
    abandoned = session.store.unfinished_files(_ABANDONED_AFTER_S)
    if abandoned and repair:
        for path in abandoned:
            path.unlink(missing_ok=True)
        yield f"deleted {counted(len(abandoned), 'unfinished file')}"
    elif abandoned:
        size, command = _size_bytes(abandoned), session.settings.command("doctor --repair")
        yield f"{counted(len(abandoned), 'unfinished file')} ({size / 1e6:.1f} MB); `{command}` deletes them"


def _size_bytes(paths: Iterable[Path]) -> int:
    """Total size of the files that still exist; workers may delete some meanwhile."""
    return sum(found.st_size for path in paths if (found := stat_or_none(path)))


def _unknown_findings(session: Session, *, repair: bool) -> Iterator[str]:
    """Orphans: files of a worker that died before it wrote the row, or of a run that was repeated.

    Files of the last day are ignored, because their rows may still be written. Nothing is deleted from a store that is
    given by a URL, because other ledgers may share it.
    """
    if not isinstance(session.store, FolderStore):
        return  # listing a bucket takes a request for each thousand keys; lifecycle rules delete old objects
    store = session.store.folder
    found = [store / key for key in integrity.unknown_keys(session.database, _old_keys(store))]
    if not found:
        return
    n = counted(len(found), "orphaned file is", "orphaned files are")
    orphans = f"{n} not referenced by the ledger ({_size_bytes(found) / 1e6:.1f} MB)"
    if session.settings.store_url or session.settings.database_url:
        yield f"{orphans}; another ledger that shares the store may reference them"
    elif others := [each for each in session.store.ledgers() if each != ledger_id(session.database)]:
        command = session.settings.command(f"doctor --forget-ledger {others[0]}")
        yield f"{orphans}; ledger {', '.join(others)} uses this store too; if it is gone for good: {command}"
    elif repair:
        for path in filter(_is_old, found):  # a worker may have written it again
            path.unlink(missing_ok=True)
        yield f"{orphans}; deleted"
    else:
        yield f"{orphans}; harmless; `{session.settings.command('doctor --repair')}` deletes them"


def forget_ledger(session: Session, ledger: str) -> str:
    """Remove the marker of another ledger, which is gone for good, from the store; return a sentence.

    Raises:
        UsageError: it is this ledger, or has no marker.
    """
    if ledger == ledger_id(session.database):
        raise UsageError(f"{ledger} is this ledger; only another one can be forgotten")
    if ledger not in (registered := session.store.ledgers()):
        raise UsageError(f"the store {session.store.location} has no marker of {ledger!r}, only {registered}")
    session.store.remove(marker_key(ledger))
    return f"ledger {ledger} is forgotten; `doctor --repair` may delete files that only it refers to"


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
            "leases follow the database's clock, but messages may arrive early: synchronise both by NTP"
        )


def _version_findings(session: Session) -> Iterator[str]:
    here = versions()
    for planned in integrity.run_versions(session.database):
        other = [
            f"{name} {version} (here {here[name]})"
            for name, version in planned.versions.items()
            if here.get(name, version) != version  # a machine that does not train has no TensorFlow
        ]
        if other:
            yield f"run {planned.run} was planned with {', '.join(other)}; strips made here may differ in the last bit"


def _faulty(store: Store, strips: Iterable[LedgerStrip]) -> Iterator[tuple[LedgerStrip, _Fault]]:
    from joblib import Parallel, delayed  # noqa: PLC0415

    stream = iter(strips)
    with Parallel(n_jobs=_READERS, backend="threading") as threads:
        while page := list(islice(stream, _AT_ONCE)):
            checked = threads(delayed(_fault)(store, strip) for strip in page)
            yield from ((strip, fault) for strip, fault in zip(page, checked, strict=True) if fault)


def _fault(store: Store, file: LedgerStrip | LedgerFile) -> _Fault | None:
    """The problem with a file, if any.

    Raises:
        ConnectionError: the store does not answer, which says nothing about its files.
    """
    try:
        is_whole = store.digest(file.key).startswith(file.sha256)
    except ConnectionError:
        raise
    except (FileNotFoundError, NotADirectoryError):
        return _Fault("is missing from the store")
    except OSError as error:
        return _Fault(f"cannot be read: {error.strerror or error}", is_lost=False)
    return None if is_whole else _Fault("is corrupt: it differs from what was written")


def _ledger_findings(session: Session, *, repair: bool) -> Iterator[str]:
    for run in integrity.runs_with_lost_files(session.database):
        command = session.settings.command(f"retry {run}")
        yield f"files of run {run} were lost, and it was not retried since; regenerate them with: {command}"
    stuck = integrity.stuck_work(session.database, _ABANDONED_AFTER_S)
    if stuck.n_expired:
        yield f"{counted(stuck.n_expired, 'claim')} expired; a dispatcher releases them within seconds"
    for run in stuck.planning_runs:
        if not repair or planning.discard_run(session.database, run):
            yield f"run {run} was not planned completely; submit its dataset again"
    is_alone = session.settings.is_broker_embedded and not answers(session.settings.socket)
    for run in stuck.active_runs if is_alone else ():
        yield f"no process works on run {run}; continue with: {session.settings.command(f'resume {run}')}"


def _broker_findings(session: Session, *, repair: bool) -> Iterator[str]:
    settings = session.settings
    if settings.is_broker_embedded and not answers(settings.socket):
        return  # an embedded broker only runs while a command needs it
    try:
        with Sender(settings) as sender:
            yield from _clock_findings("broker", sender.clock_s())
            served = {queue for queues in sender.workers().values() for queue in queues}
            waiting = {queue: sender.queued(queue) for queue in ("cpu", "gpu") if queue not in served}
            refused = sender.refused()
            if repair:
                sender.forget_refused()
        if refused:
            kinds = ", ".join(f"{n} {why}" for why, n in refused.items())
            yield (
                f"refused and removed: {counted(sum(refused.values()), 'message')} that this system does not send "
                f"({kinds}); another program writes to this broker" + ("; the count is reset" if repair else "")
            )
        for queue, n in waiting.items():
            if n:
                yield (
                    f"queue {queue} holds {counted(n, 'message')} and no worker serves it; "
                    f"start one with: orchestrator worker {queue}"
                )
    except BrokerUnreachable as error:
        yield str(error)


def _disk_findings(session: Session) -> Iterator[str]:
    places = {}
    if isinstance(session.store, FolderStore):  # a store on S3 has no local disk
        places["strips need 60 to 220 KB a minute of audio"] = session.store.folder
    if session.database.is_sqlite:
        places["a ledger needs about 1 KB a recording"] = Path(str(session.database.engine.url.database)).parent
    for need, folder in places.items():
        free = shutil.disk_usage(folder if folder.exists() else session.settings.home).free
        if free < _LOW_DISK_BYTES:
            yield f"{folder} has {free / 1e6:.0f} MB left; {need}"
