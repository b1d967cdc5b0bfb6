"""Jobs, whatever is done to them and in whatever order: one holder, one effect, in the order of their needs."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine

from db.engine import Database
from db.ledger import control, feeding
from db.ledger.claims import JobClaim, Ledger
from db.queries import status
from db.schema.tables import Job, JobFile
from db.schema.upgrade import upgrade
from domain.states import CLAIMABLE, FINAL, Kind, RunState, State
from domain.work import PlannedJob
from tests.ledger_rows import DISK_FULL, SmallRun, another_run, done, output, require_codes_and_limits

JOBS = (
    PlannedJob("pack", fold=-1, subset=0),
    PlannedJob("train", "cnn", 0, -1, needs=(0,)),
    PlannedJob("evaluate", "cnn", 0, -1, needs=(0, 1)),
    PlannedJob("render", needs=(0, 1, 2), even_failed=True),
)
ENDS = (State.DONE, State.DONE, State.FAILED, State.WAITING, State.CANCELLED)
_NUMBERS = count(1000)
children = st.tuples(st.sampled_from(["w1", "w2"]), st.integers(1, 2))
numbers = st.integers(0, len(JOBS) - 1)


class Interleaving(RuleBasedStateMachine):
    """A run whose items are done, and its four jobs; `holders` is what the rules say, and the rows must agree."""

    claims = Bundle("claims")

    def __init__(self, database: Database) -> None:
        super().__init__()
        self._database = database

    @initialize()
    def plan(self) -> None:
        self.small: SmallRun = another_run(self._database, 1, JOBS, first=next(_NUMBERS))
        ledger = self.small.ledger()
        ledger.settle_items([done(claim) for claim in ledger.claim_items(self.small.run, self.small.items)])
        self.jobs = [job.id for job in status.jobs(self._database, self.small.run)]
        self.holders: dict[int, tuple[int, tuple[str, int]]] = {}
        """Job -> the fence of the claim that holds it, and the child that has the claim."""
        self.fences = dict.fromkeys(self.jobs, 0)
        self.effects: dict[int, int] = {}
        """Job -> the fence of the claim that did it."""

    def teardown(self) -> None:
        """Nothing of this run may be sent or run out during the next."""
        with self._database.write() as connection:
            of_run = sa.update(Job).where(Job.run_id == self.small.run)
            connection.execute(of_run.values(lease_until=None, state=State.CANCELLED))

    def _rows(self) -> dict[int, tuple[str, int, dict[str, str]]]:
        query = sa.select(Job.id, Job.state, Job.fence, Job.result).where(Job.run_id == self.small.run)
        with self._database.read() as connection:
            return {job: (state, fence, result) for job, state, fence, result in connection.execute(query)}

    def _run_state(self) -> str:
        return next(line.state for line in status.run_lines(self._database) if line.id == self.small.run)

    def _ledger(self, child: tuple[str, int]) -> Ledger:
        worker, process = child
        return self.small.ledger(worker, process=process)

    def _is_held(self, claim: JobClaim) -> bool:
        return self.holders.get(claim.id, (0, None))[0] == claim.fence

    @rule(limit=st.sampled_from([None, 1]))
    def feed(self, limit: int | None) -> None:
        before = self._rows()
        for ready in feeding.take_jobs(self._database, self.small.run, limit=limit):
            assert self._run_state() == RunState.ACTIVE
            row = JOBS[self.jobs.index(ready.job)]
            met = FINAL if row.even_failed else (State.DONE,)
            assert all(before[self.jobs[needed]][0] in met for needed in row.needs)

    @rule(target=claims, number=numbers, kind=st.one_of(st.none(), st.sampled_from(Kind)), child=children)
    def claim(self, number: int, kind: Kind | None, child: tuple[str, int]) -> object:
        """A message is received, for the first time or again; it may name another task than the job's."""
        job, own = self.jobs[number], JOBS[number].kind
        is_free = self._rows()[job][0] in CLAIMABLE and self._run_state() == RunState.ACTIVE
        made = self._ledger(child).claim_job(self.small.run, job, kind or own)
        assert (made is not None) == (is_free and (kind or own) == own)
        if made is None:
            return multiple()
        assert made.fence > self.fences[job], "a fence came twice"
        self.holders[job] = made.fence, child
        return made

    @rule(claim=claims)
    def heartbeat(self, claim: JobClaim) -> None:
        is_wanted = self._run_state() != RunState.CANCELLED
        held = self.small.ledger().renew([claim])
        assert held == ({claim.id} if is_wanted and self._is_held(claim) else set())

    @rule(claim=claims)
    def finish_an_epoch(self, claim: JobClaim) -> None:
        before = list(status.metrics(self._database, claim.id))
        self.small.ledger().write_metrics(claim, 1, {"fence": claim.fence})
        is_held = self._is_held(claim)
        assert list(status.metrics(self._database, claim.id)) == ([(1, "fence", claim.fence)] if is_held else before)

    @rule(claim=claims, end=st.sampled_from(ENDS))
    def settle(self, claim: JobClaim, end: State) -> None:
        """An attempt ends: that of the current holder or of one that lost its claim; it may have ended before."""
        is_held, is_off = self._is_held(claim), self._run_state() == RunState.CANCELLED
        left = output(claim.kind, f"file-{claim.fence}") if end == State.DONE else None
        assert self.small.ledger().settle_job(claim, end, DISK_FULL, left) == is_held
        if not is_held:
            return
        del self.holders[claim.id]
        state = self._rows()[claim.id][0]
        if end == State.DONE:
            self.effects[claim.id] = claim.fence
        if end == State.CANCELLED:
            assert state == (State.CANCELLED if is_off else State.WAITING)

    @rule(number=numbers)
    def run_out(self, number: int) -> None:
        """A lease runs out, and the dispatcher looks."""
        job = self.jobs[number]
        with self._database.write() as connection:
            connection.execute(sa.update(Job).where(Job.id == job, Job.state == State.RUNNING).values(lease_until=0.0))
        assert feeding.put_back_expired(self._database) == (job in self.holders)
        self.holders.pop(job, None)

    @rule(claim=claims, child=children, is_own=st.booleans())
    def crash(self, claim: JobClaim, child: tuple[str, int], is_own: bool) -> None:
        """A child dies with a message in its hands; perhaps another one has the claim."""
        self._ledger(child).record_job_crash(claim.id, is_own=is_own, reason="signal 9 (SIGKILL)")
        if self.holders.get(claim.id, (0, None))[1] == child:
            del self.holders[claim.id]

    @rule(worker=st.sampled_from(["w1", "w2"]), is_orderly=st.booleans())
    def end(self, worker: str, is_orderly: bool) -> None:
        held = [job for job, (_, child) in self.holders.items() if child[0] == worker]
        assert feeding.release(self._database, worker, is_orderly=is_orderly) == len(held)
        for job in held:
            del self.holders[job]

    @rule()
    def lose_messages(self) -> None:
        feeding.put_back_stale(self._database, Job, -1.0, tuple(Kind))

    @rule()
    def wait_for_retries(self) -> None:
        with self._database.write() as connection:
            connection.execute(sa.update(Job).where(Job.run_id == self.small.run).values(retry_at=None))

    @rule(steer=st.sampled_from([control.pause, control.cancel]))
    def stop(self, steer: Callable[[Database, int], object]) -> None:
        steer(self._database, self.small.run)

    @rule()
    def resume(self) -> None:
        control.resume(self._database, self.small.run)

    @rule()
    def retry(self) -> None:
        """Jobs that are done again lose their effect, and a worker that holds one finds another fence."""
        was_active = self._run_state() == RunState.ACTIVE
        n = control.retry(self._database, self.small.run)
        assert not (n and was_active)
        if n:
            rows = self._rows()
            self.holders = {job: held for job, held in self.holders.items() if rows[job][0] == State.RUNNING}
            self.effects = {job: fence for job, fence in self.effects.items() if rows[job][0] == State.DONE}

    @rule()
    def call_off(self) -> None:
        feeding.cancel_blocked_jobs(self._database)

    @rule()
    def close(self) -> None:
        if self.small.run in feeding.close_runs(self._database):
            assert all(state in FINAL for state, _, _ in self._rows().values())

    @invariant()
    def the_rows_say_what_the_rules_say(self) -> None:
        rows = self._rows()
        assert {job for job, (state, _, _) in rows.items() if state == State.RUNNING} == set(self.holders)
        for job, (_, fence, _) in rows.items():
            assert fence >= self.fences[job], "a fence went back"
            self.fences[job] = fence
            assert self.holders.get(job, (fence, None))[0] == fence

    @invariant()
    def what_is_done_was_done_once_by_whoever_held_it(self) -> None:
        rows = self._rows()
        effects = {job: result["key"] for job, (state, _, result) in rows.items() if state == State.DONE}
        assert effects == {job: f"file-{fence}" for job, fence in self.effects.items()}

    @invariant()
    def a_done_job_has_the_files_of_the_claim_that_did_it_and_no_others(self) -> None:
        query = sa.select(JobFile.job_id, JobFile.key).join(Job, Job.id == JobFile.job_id)
        with self._database.read() as connection:
            of_run = connection.execute(query.where(Job.run_id == self.small.run, Job.state == State.DONE)).all()
        assert sorted(map(tuple, of_run)) == sorted((job, f"file-{fence}") for job, fence in self.effects.items())

    @invariant()
    def every_reason_has_a_code_and_no_counter_passes_its_limit(self) -> None:
        require_codes_and_limits(self._database, Job, self.small.run)

    @invariant()
    def nothing_of_a_cancelled_run_waits(self) -> None:
        if self._run_state() == RunState.CANCELLED:
            assert not {state for state, _, _ in self._rows().values()} & set(CLAIMABLE)


def test_any_interleaving_of_jobs_keeps_one_holder_and_one_effect(database: Database) -> None:
    """Slow: with many examples, on PostgreSQL, thousands of transactions."""
    upgrade(database)
    often = settings(
        max_examples=settings().max_examples * 2 // 5,
        stateful_step_count=40,
        deadline=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    run_machine(lambda: Interleaving(database), settings=often)
