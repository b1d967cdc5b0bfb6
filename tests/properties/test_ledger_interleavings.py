"""Whatever workers, the dispatcher and a person do, and in whatever order: one holder, one effect, true counters."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from itertools import count

import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine

from db.engine import Database
from db.ledger import control, feeding
from db.ledger.claims import ItemClaim, Ledger, Outcome
from db.queries import run_counts, status
from db.schema.tables import Item, Run
from db.schema.upgrade import upgrade
from domain.states import CLAIMABLE, FINAL, RunState, State
from tests.ledger_rows import DISK_FULL, SmallRun, another_run, counted_states, done, require_codes_and_limits

N_ITEMS = 4
_NUMBERS = count()
FAULTS = ("retries", "lost_claims", "expiries", "crashes")
ENDS = (State.DONE, State.QUARANTINED, State.FAILED, State.WAITING)
children = st.tuples(st.sampled_from(["w1", "w2"]), st.integers(1, 2))
"""A worker and the process of one of its children."""
some = st.sets(st.integers(0, N_ITEMS - 1), min_size=1)


class Interleaving(RuleBasedStateMachine):
    """One run of four items; `holders` is what the rules say, and the rows must agree."""

    claims = Bundle("claims")

    def __init__(self, database: Database) -> None:
        super().__init__()
        self._database = database

    @initialize()
    def plan(self) -> None:
        self.small: SmallRun = another_run(self._database, N_ITEMS, first=N_ITEMS * next(_NUMBERS))
        self.holders: dict[int, int] = {}
        """Item -> the fence of the claim that holds it."""
        self.children: dict[int, tuple[str, int]] = {}
        """Item -> the child that claimed it last."""
        self.met: Counter[str] = Counter()
        """Faults, by the names under which the run reports them."""
        self.fences = dict.fromkeys(self.small.items, 0)
        self.n_effects = dict.fromkeys(self.small.items, 0)

    def teardown(self) -> None:
        """Nothing of this run may run out during the next."""
        with self._database.write() as connection:
            connection.execute(sa.update(Item).where(Item.run_id == self.small.run).values(lease_until=None))

    def _ids(self, numbers: set[int]) -> list[int]:
        return [self.small.items[number] for number in sorted(numbers)]

    def _rows(self) -> dict[int, tuple[str, int]]:
        query = sa.select(Item.id, Item.state, Item.fence).where(Item.run_id == self.small.run)
        with self._database.read() as connection:
            return {item: (state, fence) for item, state, fence in connection.execute(query)}

    def _run_state(self) -> str:
        with self._database.read() as connection:
            return str(connection.execute(sa.select(Run.state).where(Run.id == self.small.run)).scalar_one())

    @rule(n=st.integers(1, 3))
    def feed(self, n: int) -> None:
        taken = feeding.take_batches(self._database, self.small.run, n, 1.0)
        assert not taken or self._run_state() == RunState.ACTIVE
        assert len(taken) <= n

    @rule(target=claims, child=children, numbers=some)
    def claim(self, child: tuple[str, int], numbers: set[int]) -> object:
        """A message is received, for the first time or again."""
        before, is_active = self._rows(), self._run_state() == RunState.ACTIVE
        made = self._ledger(child).claim_items(self.small.run, self._ids(numbers))
        free = {item for item in self._ids(numbers) if before[item][0] in CLAIMABLE}
        assert {claim.id for claim in made} == (free if is_active else set())
        for claim in made:
            assert claim.fence > self.fences[claim.id], "a fence came twice"
            self.holders[claim.id] = claim.fence
            self.children[claim.id] = child
        return multiple(*made)

    @rule(claim=claims)
    def heartbeat(self, claim: ItemClaim) -> None:
        is_wanted = self._run_state() != RunState.CANCELLED
        held = self.small.ledger().renew([claim])
        assert held == ({claim.id} if is_wanted and self._is_held(claim) else set())

    @rule(claim=claims, end=st.sampled_from(ENDS))
    def settle(self, claim: ItemClaim, end: State) -> None:
        """An attempt ends: that of the current holder or of one that lost its claim; it may have ended before."""
        is_held = self._is_held(claim)
        outcome = done(claim) if end == State.DONE else Outcome(claim, end, DISK_FULL)
        assert self.small.ledger().settle_items([outcome]) == is_held
        if is_held:
            self.n_effects[claim.id] += end == State.DONE
            self.met["retries"] += end == State.WAITING
            del self.holders[claim.id]

    @rule(numbers=some)
    def run_out(self, numbers: set[int]) -> None:
        """Leases run out, and the dispatcher looks."""
        ids = [item for item in self._ids(numbers) if item in self.holders]
        with self._database.write() as connection:
            connection.execute(sa.update(Item).where(Item.id.in_(ids)).values(lease_until=0.0))
        assert feeding.put_back_expired(self._database) == len(ids)
        self.met.update(lost_claims=len(ids), expiries=len(ids))
        for item in ids:
            del self.holders[item]

    @rule(numbers=some, child=children, is_own=st.booleans())
    def crash(self, numbers: set[int], child: tuple[str, int], is_own: bool) -> None:
        """A child dies with a message in its hands, of which it may hold all, some or nothing by now."""
        self._ledger(child).record_item_crash(self._ids(numbers), is_own=is_own, reason="signal 11 (SIGSEGV)")
        held = [item for item in self._ids(numbers) if item in self.holders and self.children[item] == child]
        self.met["crashes" if is_own and len(held) == 1 else "lost_claims"] += len(held)
        for item in held:
            del self.holders[item]

    @rule(worker=st.sampled_from(["w1", "w2"]), is_orderly=st.booleans())
    def end(self, worker: str, is_orderly: bool) -> None:
        """A worker ends, by itself or not, and all its children with it."""
        held = [item for item in self.holders if self.children[item][0] == worker]
        assert feeding.release(self._database, worker, is_orderly=is_orderly) == len(held)
        self.met["lost_claims"] += 0 if is_orderly else len(held)
        for item in held:
            del self.holders[item]

    @rule()
    def lose_messages(self) -> None:
        feeding.put_back_stale(self._database, Item, -1.0)

    @rule()
    def wait_for_retries(self) -> None:
        """Pauses before the next attempt pass."""
        with self._database.write() as connection:
            connection.execute(sa.update(Item).where(Item.run_id == self.small.run).values(retry_at=None))

    @rule(steer=st.sampled_from([control.pause, control.cancel]))
    def call_off(self, steer: object) -> None:
        steer(self._database, self.small.run)  # type: ignore[operator]

    @rule()
    def resume(self) -> None:
        control.resume(self._database, self.small.run)

    @rule()
    def retry(self) -> None:
        before = self._rows()
        n = control.retry(self._database, self.small.run)
        assert n <= sum(state in FINAL and state != State.DONE for state, _ in before.values())

    @rule()
    def close(self) -> None:
        ended = feeding.close_runs(self._database)
        if self.small.run in ended:
            assert all(state in FINAL for state, _ in self._rows().values())

    def _ledger(self, child: tuple[str, int]) -> Ledger:
        worker, process = child
        return self.small.ledger(worker, process=process)

    def _is_held(self, claim: ItemClaim) -> bool:
        return self.holders.get(claim.id) == claim.fence

    @invariant()
    def the_rows_say_what_the_rules_say(self) -> None:
        rows = self._rows()
        assert {item for item, (state, _) in rows.items() if state == State.RUNNING} == set(self.holders)
        for item, (state, fence) in rows.items():
            assert fence >= self.fences[item], "a fence went back"
            self.fences[item] = fence
            assert self.holders.get(item, fence) == fence
            assert self.n_effects[item] == (state == State.DONE), "an effect came twice, or was lost"

    @invariant()
    def every_reason_has_a_code_and_no_counter_passes_its_limit(self) -> None:
        require_codes_and_limits(self._database, Item, self.small.run)

    @invariant()
    def nothing_of_a_cancelled_run_waits(self) -> None:
        if self._run_state() == RunState.CANCELLED:
            assert not {state for state, _ in self._rows().values()} & set(CLAIMABLE)

    @invariant()
    def every_fault_is_counted_and_none_forgotten(self) -> None:
        found = asdict(run_counts.faults(self._database, self.small.run))
        assert {name: found[name] for name in FAULTS} == {name: self.met[name] for name in FAULTS}

    @invariant()
    def the_counters_equal_the_rows(self) -> None:
        assert status.item_counts(self._database, self.small.run) == counted_states(self.small)


def test_any_interleaving_keeps_one_holder_one_effect_and_true_counters(database: Database) -> None:
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
