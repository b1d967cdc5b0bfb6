"""A sender leaves no connection behind, whatever it asked and however its dispatcher ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest
import redis

from db.engine import Database
from db.schema.upgrade import upgrade
from orchestrator.broker import QueueMessage, Sender
from orchestrator.execution.dispatcher import Dispatcher
from orchestrator.execution.run import DispatcherThread
from settings import Settings

MESSAGE = QueueMessage({"version": 1, "run": 1, "items": [1]}, "")


@pytest.fixture
def n_connections(redis_url: str) -> Iterator[Callable[[], int]]:
    """Counts the broker's connections, without its own."""
    with redis.Redis(unix_socket_path=urlsplit(redis_url).path) as client:
        yield lambda: len(client.client_list()) - 1


def test_a_sender_closes_its_connection(redis_url: str, n_connections: Callable[[], int]) -> None:
    with Sender(Settings(broker_url=redis_url)) as sender:
        assert sender.send("preprocess", "cpu", [MESSAGE] * 3) == 3
        assert sender.queued("cpu") == 3
        assert n_connections() <= 2, "one for reading, one for sending"
        assert sender.workers() == {}
    assert n_connections() == 0


@pytest.mark.parametrize("error", [None, KeyError("a defect")])
def test_the_thread_of_a_dispatcher_closes_it_even_after_an_error(
    redis_url: str, sqlite_url: str, n_connections: Callable[[], int], error: Exception | None
) -> None:
    database, settings = Database(sqlite_url), Settings(broker_url=redis_url)
    upgrade(database)

    class OneStep(Dispatcher):
        def step(self) -> float:
            assert self._sender.queued("cpu") == 0
            assert n_connections() == 1
            if error:
                raise error
            return 60.0

    with DispatcherThread(OneStep(database, Sender(settings), settings)):
        pass
    assert n_connections() == 0
    database.close()
