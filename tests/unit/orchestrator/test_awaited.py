from __future__ import annotations

from pathlib import Path

import pytest

from db.engine import DatabaseUnusable
from orchestrator.execution import waiting
from orchestrator.execution.dispatcher import BrokerUnreachable
from orchestrator.execution.waiting import awaited


class Service:
    """One that is there at the nth attempt."""

    def __init__(self, n: int, error: Exception) -> None:
        self.left, self.error = n, error

    def __call__(self) -> None:
        self.left -= 1
        if self.left:
            raise self.error


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "_PAUSE_S", 0.01)


@pytest.mark.parametrize("error", [DatabaseUnusable("no database"), BrokerUnreachable("no broker")])
def test_a_service_that_comes_later_is_waited_for_and_the_wait_is_said_once(
    error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    service = Service(4, error)
    awaited(service, wait_s=30)
    assert service.left == 0
    assert capsys.readouterr().err == f"waiting: {error}\n"


def test_without_patience_the_first_refusal_is_the_last() -> None:
    service = Service(2, DatabaseUnusable("no database"))
    with pytest.raises(DatabaseUnusable):
        awaited(service, wait_s=0)
    assert service.left == 1


def test_whoever_never_comes_is_given_up_with_the_reason() -> None:
    with pytest.raises(BrokerUnreachable, match="no broker"):
        awaited(Service(10**9, BrokerUnreachable("no broker")), wait_s=0.1)


def test_who_waits_is_well(tmp_path: Path) -> None:
    progress = tmp_path / "progress"
    with pytest.raises(DatabaseUnusable):
        awaited(Service(10**9, DatabaseUnusable("no database")), 0.1, progress)
    assert progress.exists()


def test_what_waiting_does_not_mend_is_not_waited_for() -> None:
    service = Service(3, ValueError("nonsense"))
    with pytest.raises(ValueError, match="nonsense"):
        awaited(service, wait_s=30)
    assert service.left == 2
