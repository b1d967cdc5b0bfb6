"""Ledger, store and broker compared; each finding is a sentence that says what to do."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from db import checking, planning
from db.checking import KeptFile, KeptStrip
from db.folder import FolderStore
from db.store import Store
from orchestrator.dispatch import BrokerUnreachable, Sender
from orchestrator.local import answers
from orchestrator.session import Session
from orchestrator.submit import versions

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
        *_abandoned_findings(session.store, repair=repair),
        *_unknown_findings(session, repair=repair),
        *_ledger_findings(session, repair=repair),
        *_broker_findings(session),
        *_clock_findings("database", checking.clock_s(session.database)),
        *_version_findings(session),
        *_disk_findings(session),
    ]


def _strip_findings(session: Session, *, repair: bool) -> Iterator[str]:
    damaged = list(_damaged(session.store, checking.kept_strips(session.database)))
    yield from (f"strip {strip.key} is {why}" for strip, why in damaged[:_SHOWN])
    if damaged and not repair:
        yield f"{len(damaged)} strips are damaged; `orchestrator doctor --repair` lets them be made again"
    elif damaged:
        yield _mended(checking.forget_strips(session.database, [strip.id for strip, _ in damaged]))


def _file_findings(session: Session, *, repair: bool) -> Iterator[str]:
    damaged = [(file, why) for file in checking.kept_files(session.database) if (why := _damage(session.store, file))]
    yield from (f"{file.key} of run {file.run} is {why}" for file, why in damaged[:_SHOWN])
    if damaged and not repair:
        yield f"{len(damaged)} files are damaged; `orchestrator doctor --repair` lets them be made again"
    elif damaged:
        yield _mended(checking.fail_jobs(session.database, [file.job for file, _ in damaged]))


def _abandoned_findings(store: Store, *, repair: bool) -> Iterator[str]:
    abandoned = store.abandoned(_ABANDONED_AFTER_S)
    if abandoned and repair:
        for path in abandoned:
            path.unlink(missing_ok=True)
        yield f"{len(abandoned)} unfinished files in the store were removed"
    elif abandoned:
        size = sum(path.stat().st_size for path in abandoned)
        yield f"{len(abandoned)} unfinished files hold {size / 1e6:.1f} MB; `orchestrator doctor --repair` removes them"


def _unknown_findings(session: Session, *, repair: bool) -> Iterator[str]:
    """Files that no row names: left by a worker that died before it wrote the row, or by a run that was done again.

    What was written in the last day may yet get its row. A store by URL may serve other ledgers, so nothing is
    removed from it.
    """
    if not isinstance(session.store, FolderStore):
        return  # to list a bucket takes a request a thousand keys; its own rules sweep what is old
    store = session.store.folder
    found = [store / key for key in checking.unknown_keys(session.database, _old_keys(store))]
    if not found:
        return
    told = f"{len(found)} files of {sum(path.stat().st_size for path in found) / 1e6:.1f} MB stand in no row"
    if session.settings.store_url or session.settings.database_url:
        yield f"{told} of this ledger; another one that shares the store may count on them"
    elif repair:
        for path in found:
            path.unlink(missing_ok=True)
        yield f"{told}; they were removed"
    else:
        yield f"{told}; they do no harm, and `orchestrator doctor --repair` removes them"


def _old_keys(store: Path) -> Iterator[str]:
    before_s = time.time() - _ABANDONED_AFTER_S
    for kind in _KINDS:
        for path in (store / kind).rglob("*"):
            if path.is_file() and path.stat().st_mtime < before_s:
                yield path.relative_to(store).as_posix()


def _clock_findings(whose: str, clock_s: float) -> Iterator[str]:
    ahead_s = clock_s - time.time()
    if abs(ahead_s) > _CLOCKS_AGREE_S:
        yield (
            f"the {whose}'s clock is {abs(ahead_s):.0f} s {'ahead of' if ahead_s > 0 else 'behind'} this machine's; "
            "leases follow the database's, but messages may come early: set both by NTP"
        )


def _version_findings(session: Session) -> Iterator[str]:
    here = versions()
    for planned in checking.planned_with(session.database):
        other = [
            f"{name} {version} (here {here[name]})"
            for name, version in planned.versions.items()
            if here.get(name, version) != version  # a machine that does not train has no TensorFlow
        ]
        if other:
            yield f"run {planned.run} was planned with {', '.join(other)}; strips made here may differ in a last bit"


def _mended(runs: list[int]) -> str:
    return "to have it made again: " + ", ".join(f"orchestrator retry {run}" for run in runs)


def _damaged(store: Store, strips: Iterable[KeptStrip]) -> Iterator[tuple[KeptStrip, str]]:
    from joblib import Parallel, delayed  # noqa: PLC0415

    stream = iter(strips)
    with Parallel(n_jobs=_READERS, backend="threading") as threads:
        while page := list(islice(stream, _AT_ONCE)):
            checked = threads(delayed(_damage)(store, strip) for strip in page)
            yield from ((strip, why) for strip, why in zip(page, checked, strict=True) if why)


def _damage(store: Store, kept: KeptStrip | KeptFile) -> str:
    if kept.key not in store:
        return "gone from the store"
    return "" if store.digest(kept.key).startswith(kept.sha256) else "not what was written"


def _ledger_findings(session: Session, *, repair: bool) -> Iterator[str]:
    stuck = checking.stuck(session.database, _ABANDONED_AFTER_S)
    if stuck.n_expired:
        yield f"{stuck.n_expired} claims ran out; a dispatcher puts them back within seconds"
    for run in stuck.planning_runs:
        if not repair or planning.discard_run(session.database, run):
            yield f"run {run} was never planned to its end; submit its dataset again"
    is_alone = session.settings.is_broker_embedded and not answers(session.settings.socket)
    for run in stuck.active_runs if is_alone else ():
        yield f"nobody works on run {run}; go on with: orchestrator resume {run}"


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
                yield f"queue {queue} holds {waiting} messages and nobody serves it; `orchestrator worker {queue}` does"
    except BrokerUnreachable as error:
        yield str(error)


def _disk_findings(session: Session) -> Iterator[str]:
    places = {}
    if isinstance(session.store, FolderStore):  # a store on S3 has no disk here
        places["strips need about 60 KB a minute of audio"] = session.store.folder
    if session.database.is_sqlite:
        places["a ledger needs about 1 KB a recording"] = Path(str(session.database.engine.url.database)).parent
    for need, folder in places.items():
        free = shutil.disk_usage(folder if folder.exists() else session.settings.home).free
        if free < _LOW_DISK_BYTES:
            yield f"{folder} has {free / 1e6:.0f} MB left; {need}"
