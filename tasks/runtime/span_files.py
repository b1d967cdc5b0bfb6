"""The files of a run's spans, strips or scores, read by a job in the order of their rows."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol, TypeVar

from db.queries.integrity import make_strips_again
from db.store.interface import Store
from domain.errors import MachineFault
from domain.plural import counted
from tasks.runtime.task import Work, call_with_retries

_FILES_AHEAD = 16
_READS_WITHIN_S = 10.0
"""Failed reads are repeated for this long: a job reads thousands of files, and one failure would discard them all."""


class SpanFile(Protocol):
    """The row of a file, as the ledger has it."""

    @property
    def key(self) -> str:
        """Its key in the store."""

    @property
    def sha256(self) -> str:
        """SHA-256 of its bytes, in hex."""

    @property
    def size_bytes(self) -> int:
        """Its size."""


_Row = TypeVar("_Row", bound=SpanFile)


def fetched(store: Store, rows: Iterable[_Row]) -> Iterator[tuple[_Row, bytes]]:
    """Yield each file's bytes in the order of the rows. Threads read ahead, because stores may have a high latency.

    Raises: what `read_span_file` raises.
    """
    waiting: deque[tuple[_Row, Future[bytes]]] = deque()
    with ThreadPoolExecutor(_FILES_AHEAD, "spans") as threads:
        try:
            for row in rows:
                waiting.append((row, threads.submit(read_span_file, store, row)))
                if len(waiting) > _FILES_AHEAD:
                    yield _oldest(waiting)
            while waiting:
                yield _oldest(waiting)
        finally:
            threads.shutdown(cancel_futures=True)


def _oldest(waiting: deque[tuple[_Row, Future[bytes]]]) -> tuple[_Row, bytes]:
    row, data = waiting.popleft()
    return row, data.result()


def read_span_file(store: Store, row: SpanFile) -> bytes:
    """Return the file's bytes, verified.

    Raises: Damaged if they are not what was written (a larger file is not read, because it may not fit into memory);
    SpanFileMissing if the store does not hold it; OSError if the store cannot be read for some seconds.
    """
    try:
        return call_with_retries(lambda: store.get(row.key, row.sha256, row.size_bytes), _READS_WITHIN_S, OSError)
    except FileNotFoundError as error:
        raise SpanFileMissing(row.key) from error


class SpanFileMissing(Exception):
    """The store is there, and does not hold the file."""


def made_again(work: Work, rows: Iterable[SpanFile]) -> MachineFault:
    """Return all missing files to the run's items, and the error that ends this attempt to read them."""
    missing = []
    for row in rows:
        work.require_claim()
        if row.key not in work.store:
            missing.append(row.key)
    make_strips_again(work.database, missing)
    first = missing[0] if missing else "none"
    return MachineFault(
        f"the store {work.store.location} lacks {counted(len(missing), 'file')} of {work.claim.kind} job "
        f"{work.claim.id}, for example {first}; the run makes them again"
    )
