"""What an error means for the item or job whose attempt it ends."""

from __future__ import annotations

import pytest

from db.engine import DatabaseUnusable
from domain.errors import ChorusError, Damaged, Empty, Impossible, MachineFault, Silent, Unusable
from domain.reasons import Reason, ReasonCode
from domain.retry import Counters, Decision, Fail, Quarantine, Wait, decide, event_of


def subclasses(kind: type[Unusable]) -> list[type[Unusable]]:
    return [kind, *(deeper for sub in kind.__subclasses__() for deeper in subclasses(sub))]


def decision(error: BaseException) -> Decision:
    return decide(Counters(), event_of(error))


@pytest.mark.parametrize("kind", subclasses(Unusable))
def test_a_recordings_own_fault_quarantines_it_with_its_reason(kind: type[Unusable]) -> None:
    assert decision(kind("why")) == Quarantine(Reason(kind.code, f"{kind.code.words}: why"))


def test_codes_differ_where_people_must_tell_reasons_apart() -> None:
    assert Empty.code != Silent.code
    assert Empty.code.words != Silent.code.words


@pytest.mark.parametrize(
    "error",
    [OSError(28, "No space left"), MachineFault("x"), DatabaseUnusable("x"), RuntimeError("bug"), MemoryError()],
)
def test_the_machines_fault_and_the_unforeseen_are_tried_again(error: BaseException) -> None:
    assert isinstance(decision(error), Wait)
    assert event_of(error).reason.code == ReasonCode.MACHINE_FAULT


def test_an_impossible_request_fails() -> None:
    assert decision(Impossible("one class only")) == Fail(Reason(ReasonCode.IMPOSSIBLE, "one class only"))


def test_a_damaged_artifact_fails_at_once_and_the_way_back_is_told() -> None:
    ended = decision(Damaged("shards/ab/00000.parquet is cut short"))
    assert isinstance(ended, Fail)
    assert ended.reason.code == ReasonCode.DAMAGED_FILE
    assert ended.reason.sentence.startswith("shards/ab/00000.parquet is cut short; `orchestrator doctor --repair`")


def test_all_errors_have_one_root() -> None:
    assert issubclass(Unusable, ChorusError)
    assert issubclass(Impossible, ChorusError)
