"""The undisturbed run, and the checks that every disturbed run must pass."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from db.engine import Database
from db.queries import status
from db.queries.unused import unused
from db.schema.tables import ATTEMPTS, Artifact, Item, Job, RunCounter
from domain.states import FINAL, RunState, State
from orchestrator.planning.request import Request
from orchestrator.progress import Snapshot
from orchestrator.session import Session
from tasks.dataset.shards.shard import read_shard
from tests.e2e.way import carried_out, files, home
from tests.recordings import write_class_folders

TONES = {"high": 6000.0, "low": 1000.0, "middle": 3000.0}
PACK = Request(until="pack")
N_RECORDINGS = 60


@dataclass(frozen=True)
class Calm:
    """What an undisturbed run left: strips and shards by key, with their digests."""

    data: Path
    files: dict[str, str]

    @property
    def each_once(self) -> Counter[str]:
        """Every recording, counted once."""
        return Counter(str(path.relative_to(self.data)) for path in self.data.rglob("*.wav"))

    def strips_without(self, *recordings: str) -> dict[str, str]:
        """Its strips, but for those of these recordings."""
        left_out = {hashlib.sha256((self.data / recording).read_bytes()).hexdigest() for recording in recordings}
        return {key: digest for key, digest in strips_in(self.files).items() if Path(key).stem[:64] not in left_out}


def dataset(folder: Path) -> Path:
    """Three classes of tones, twenty recordings of four seconds each: some ten messages."""
    return write_class_folders(folder / "tones", TONES, per_label=N_RECORDINGS // 3, seconds=4.0)


def calm(folder: Path) -> Calm:
    """The undisturbed run that all others are compared with: each recording is in one strip and in one example."""
    data = dataset(folder)
    with home(folder / "calm") as session:
        assert carried_out(session, data, PACK).run.state == RunState.DONE
        left = Calm(data, files(session, "strips", "shards"))
        assert len(strips_in(left.files)) == N_RECORDINGS
        assert packed(session) == left.each_once
        return left


def strips_in(found: dict[str, str]) -> dict[str, str]:
    """The strips among files of a store."""
    return {key: digest for key, digest in found.items() if key.startswith("strips/")}


def packed(session: Session) -> Counter[str]:
    """Examples in the store's shards, by recording."""
    shards = (session.store.folder / "shards").rglob("*.parquet")
    return Counter(recording for shard in shards for recording in read_shard(shard.read_bytes()).recordings)


def assert_same(session: Session, seen: Snapshot, calm: Calm, n_forgotten: int = 0) -> None:
    """Nothing lost, nothing twice: the files byte for byte, every recording done once and blamed never.

    n_forgotten: attempts that may have left no count: those under way when a command began again, or when the run was
    cancelled, or before a retry.
    """
    assert seen.run.state == RunState.DONE, [(job.kind, job.state, job.reason) for job in seen.jobs]
    assert files(session, "strips", "shards") == calm.files
    assert_rows_are_true(session.database, seen.run.id, strips_in(calm.files))
    assert_each_attempt_has_an_end(session.database, seen.run.id, n_forgotten)
    assert unused(session.database, seen.run.id).quarantined == []
    assert seen.items[State.DONE] == N_RECORDINGS


def assert_rows_are_true(database: Database, run: int, strips: dict[str, str]) -> None:
    """As many items as recordings, all final; the counters say what the rows say; each strip has its row, and no other.

    strips: digests by key, of the files in the store.
    """
    with database.read() as connection:
        items = connection.execute(sa.select(Item.recording_id, Item.state).where(Item.run_id == run)).all()
        jobs = connection.scalars(sa.select(Job.state).where(Job.run_id == run)).all()
        rows = connection.execute(sa.select(Artifact.key, Artifact.sha256)).all()
    assert len({recording for recording, _ in items}) == len(items)
    assert {state for _, state in items} | set(jobs) <= set(FINAL)
    counted = Counter(state for _, state in items)
    assert status.item_counts(database, run) == {str(state): counted[state] for state in State}
    assert sorted(map(tuple, rows)) == sorted(strips.items())


def assert_each_attempt_has_an_end(database: Database, run: int, n_forgotten: int = 0) -> None:
    """An item or job that is done was settled once; each further attempt was counted as a fault, a loss or a death.

    The counters know of as many attempts as the rows.  n_forgotten: attempts of each that may have left no count.
    """
    n_attempts = 0
    for table in (Item, Job):
        unended = table.attempts - table.faults - table.lost_claims - table.crashes
        with database.read() as connection:
            rows = connection.execute(sa.select(table.state, table.attempts, unended).where(table.run_id == run)).all()
        n_attempts += sum(attempts for _, attempts, _ in rows)
        assert {n for state, _, n in rows if state == State.DONE} <= set(range(1, 2 + n_forgotten)), table.__name__
    with database.read() as connection:
        counted = sa.select(sa.func.sum(RunCounter.n)).where(RunCounter.run_id == run, RunCounter.state == ATTEMPTS)
        assert connection.execute(counted).scalar_one() == n_attempts
