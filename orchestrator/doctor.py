"""Ledger, store and broker compared; each finding is a sentence that says what to do."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from db import checking, planning
from db.checking import KeptFile, KeptStrip
from db.store import Store
from orchestrator.dispatch import BrokerUnreachable, Sender
from orchestrator.local import answers
from orchestrator.session import Session

_LOW_DISK_BYTES = 1 << 30
_AT_ONCE = 512
_SHOWN = 20
_ABANDONED_AFTER_S = 86_400.0
_READERS = 8


def findings(session: Session, *, repair: bool) -> list[str]:
    """What is wrong, one sentence each; nothing when all is well. `repair`: let what is gone be made again."""
    return [
        *_strip_findings(session, repair=repair),
        *_file_findings(session, repair=repair),
        *_abandoned_findings(session.store, repair=repair),
        *_ledger_findings(session, repair=repair),
        *_broker_findings(session),
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
    return "not what was written" if kept.sha256 and store.digest(kept.key) != kept.sha256 else ""


def _ledger_findings(session: Session, *, repair: bool) -> Iterator[str]:
    stuck = checking.stuck(session.database)
    if stuck.n_expired:
        yield f"{stuck.n_expired} claims ran out; a dispatcher puts them back within seconds"
    for run in stuck.planning_runs:
        if repair:
            planning.discard_run(session.database, run)
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
        served = {queue for queues in sender.workers().values() for queue in queues}
        for queue in ("cpu", "gpu"):
            waiting = sender.queued(queue)
            if waiting and queue not in served:
                yield f"queue {queue} holds {waiting} messages and nobody serves it; `orchestrator worker {queue}` does"
    except BrokerUnreachable as error:
        yield str(error)


def _disk_findings(session: Session) -> Iterator[str]:
    folder = Path(session.store.shown)
    folder = folder if folder.exists() else session.settings.home  # a store on S3 has no disk here
    free = shutil.disk_usage(folder).free
    if free < _LOW_DISK_BYTES:
        yield f"{folder} has {free / 1e6:.0f} MB left; strips need about 60 KB a minute of audio"
