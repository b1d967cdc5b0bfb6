"""Ledger, store and broker compared; each finding is a sentence that says what to do."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Iterator
from itertools import islice

from db import checking
from db.checking import KeptStrip
from db.store import Store
from orchestrator.dispatch import BrokerUnreachable, Sender
from orchestrator.local import answers
from orchestrator.session import Session

_LOW_DISK_BYTES = 1 << 30
_AT_ONCE = 512
_READERS = 8


def findings(session: Session, *, repair: bool) -> list[str]:
    """What is wrong, one sentence each; nothing when all is well. `repair`: have what is gone made again."""
    return [
        *_store_findings(session, repair=repair),
        *_missing_files(session),
        *_ledger_findings(session),
        *_broker_findings(session),
        *_disk_findings(session),
    ]


def _store_findings(session: Session, *, repair: bool) -> Iterator[str]:
    damaged = list(_damaged(session.store, checking.kept_strips(session.database)))
    for strip, why in damaged[:20]:
        yield f"strip {strip.key} is {why}"
    if not damaged:
        return
    if not repair:
        yield f"{len(damaged)} strips are damaged; `orchestrator doctor --repair` lets them be made again"
        return
    n = checking.forget_strips(session.database, [strip.id for strip, _ in damaged])
    yield f"{len(damaged)} strips were taken out of the ledger; `orchestrator retry RUN` makes the {n} items again"


def _damaged(store: Store, strips: Iterable[KeptStrip]) -> Iterator[tuple[KeptStrip, str]]:
    from joblib import Parallel, delayed  # noqa: PLC0415

    stream = iter(strips)
    with Parallel(n_jobs=_READERS, backend="threading") as threads:
        while page := list(islice(stream, _AT_ONCE)):
            checked = threads(delayed(_damage)(store, strip) for strip in page)
            yield from ((strip, why) for strip, why in zip(page, checked, strict=True) if why)


def _damage(store: Store, strip: KeptStrip) -> str:
    try:
        data = store.get(strip.key)
    except FileNotFoundError:
        return "gone from the store"
    return "" if hashlib.sha256(data).hexdigest() == strip.sha256 else "not what was written"


def _missing_files(session: Session) -> Iterator[str]:
    for key in checking.kept_files(session.database):
        if key not in session.store:
            yield f"{key} is gone from the store; plan the run again to have it made"


def _ledger_findings(session: Session) -> Iterator[str]:
    stuck = checking.stuck(session.database)
    if stuck.n_expired:
        yield f"{stuck.n_expired} claims ran out; a dispatcher puts them back within seconds"
    for run in stuck.planning_runs:
        yield f"run {run} was never planned to its end; submit its dataset again"


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
    folder = session.store.folder if session.store.folder.exists() else session.settings.home
    free = shutil.disk_usage(folder).free
    if free < _LOW_DISK_BYTES:
        yield f"{folder} has {free / 1e6:.0f} MB left; strips need about 60 KB a minute of audio"
