"""How the dispatcher backs off from a broker that is away or full."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from db.engine import Database
from domain.errors import BrokerUnreachable
from domain.states import State
from domain.work import PlannedJob
from orchestrator.broker import QueueMessage, Sender
from orchestrator.execution.dispatcher import Dispatcher
from settings import Settings
from tests.ledger_rows import done, item_states, small_run


class Broker(Sender):
    """One that answers, and takes so many messages of those it is offered."""

    def __init__(self, takes: int, holds: int = 0) -> None:
        self.takes, self.holds, self.offered = takes, holds, 0

    def queued(self, queue: str) -> int:
        return self.holds

    def send(self, task: str, queue: str, messages: Sequence[QueueMessage]) -> int:
        self.offered += len(messages)
        return min(self.takes, len(messages))


class Away(Broker):
    """One that does not answer."""

    def queued(self, queue: str) -> int:
        raise BrokerUnreachable("broker redis://x does not answer")


@pytest.fixture
def database(sqlite_url: str) -> Database:
    return Database(sqlite_url)


def test_a_broker_may_be_away_for_as_long_as_it_likes(database: Database) -> None:
    """After a thousand failures, hours at ten seconds each, the doubled pause was a number too large to be one."""
    small_run(database, 1)
    dispatcher = Dispatcher(database, Away(0), Settings())
    pauses_s = [dispatcher.step() for _ in range(1100)]
    assert pauses_s[:6] == [0.5, 1.0, 2.0, 4.0, 8.0, 10.0]
    assert set(pauses_s[6:]) == {10.0}


def test_a_broker_that_is_full_is_offered_less_and_less_often(database: Database) -> None:
    small = small_run(database, 8)
    broker = Broker(takes=0)
    dispatcher = Dispatcher(database, broker, Settings())
    assert [dispatcher.step() for _ in range(6)] == [0.5, 1.0, 2.0, 4.0, 8.0, 10.0]
    assert item_states(small) == [State.WAITING] * 8
    broker.takes = 1
    assert dispatcher.step() == 10.0, "it took a part"
    assert State.SENT in item_states(small)
    broker.takes = 1000
    assert dispatcher.step() < 0.25
    assert item_states(small) == [State.SENT] * 8
    assert dispatcher.step() == 0.25


def test_a_job_that_the_broker_does_not_take_is_offered_less_and_less_often(database: Database) -> None:
    small = small_run(database, 1, [PlannedJob("pack", fold=-1, subset=subset) for subset in range(3)])
    ledger = small.ledger()
    ledger.settle_items([done(claim) for claim in ledger.claim_items(small.run, small.items)])
    broker = Broker(takes=0)
    dispatcher = Dispatcher(database, broker, Settings())
    assert [dispatcher.step() for _ in range(4)] == [0.5, 1.0, 2.0, 4.0]
    assert broker.offered == 4, "the first that was not taken ends the step"
    broker.takes = 1
    assert dispatcher.step() < 0.25


def test_a_window_is_filled_up_once_a_quarter_of_it_is_free(database: Database) -> None:
    small_run(database, 8)
    broker = Broker(takes=1000, holds=13)
    dispatcher = Dispatcher(database, broker, Settings(window_messages=16))
    dispatcher.step()
    assert broker.offered == 0
    broker.holds = 12
    dispatcher.step()
    assert broker.offered == 4


def test_a_window_of_one_message_is_filled_up(database: Database) -> None:
    small_run(database, 8)
    broker = Broker(takes=1000)
    Dispatcher(database, broker, Settings(window_messages=1)).step()
    assert broker.offered == 1
