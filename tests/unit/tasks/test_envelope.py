"""Only a message that this system sends passes, with the known parts of its envelope and no others."""

from __future__ import annotations

import json
import logging
from random import Random
from typing import Any

import pytest

from tasks.runtime.envelope import MAX_BYTES, control_message, parsed, require_one_argument, work_message
from tasks.runtime.messages import ItemsMessage, JobMessage, MalformedMessage, UnknownMessage
from tasks.runtime.refusals import Refusal, Refusals, Refused
from tests import hostile_messages
from tests.hostile_messages import ID, message, raw, with_body

IDS = ItemsMessage(3, (1, 2)).to_dict()
TASKS = ["preprocess", "pack", "render"]
INNER = {"text for ids"}
"""Kinds whose envelope is good; `ItemsMessage` refuses them."""


def received(content: bytes) -> dict[str, Any]:
    return work_message(parsed(content), "cpu", TASKS)


def test_a_message_keeps_its_body_and_the_parts_that_are_known() -> None:
    sent = message(IDS)
    clean = received(raw(sent))
    assert clean["body"] == sent["body"]
    assert (clean["headers"]["id"], clean["headers"]["task"]) == (ID, "preprocess")
    assert clean["headers"]["argsrepr"] == "run 1: 2 items"
    assert clean["properties"]["delivery_info"] == {"exchange": "", "routing_key": "cpu", "redelivered": False}
    assert received(json.dumps(clean).encode())["body"] == sent["body"], "it passes again when it was put back"


def test_a_body_with_named_arguments_is_refused() -> None:
    assert require_one_argument([[IDS], {}, {"chain": None}]) == IDS
    with pytest.raises(Refused):
        require_one_argument([[IDS], {"x": 1}, {}])


def test_copies_of_a_message_are_told_apart() -> None:
    tags = {received(raw(message(IDS)))["properties"]["delivery_tag"] for _ in range(3)}
    assert len(tags) == 3
    assert ID not in tags


def test_unknown_headers_and_properties_are_dropped() -> None:
    sent = message(IDS, chord="x", stamps={"a": 1}, shadow="\x1b[31m", argsrepr="a\u202eb", origin=[1])
    sent["properties"]["reply_to"] = "elsewhere"
    clean = received(raw(sent))
    assert not clean["headers"].keys() & {"chord", "stamps", "shadow"}
    assert (clean["headers"]["argsrepr"], clean["headers"]["origin"]) == ("", None)
    assert "reply_to" not in clean["properties"]


@pytest.mark.parametrize("kind", sorted(set(hostile_messages.hostile(IDS)) - INNER))
def test_a_hostile_message_is_refused(kind: str) -> None:
    with pytest.raises(Refused):
        received(hostile_messages.hostile(IDS)[kind])


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("text", Refusal.NOT_JSON),
        ("large", Refusal.TOO_LARGE),
        ("no id", Refusal.ODD_ENVELOPE),
        ("time limit", Refusal.OPTION),
        ("compressed", Refusal.OPTION),
        ("callback", Refusal.OPTION),
        ("task of another queue", Refusal.UNKNOWN_TASK),
        ("two arguments", Refusal.ODD_CONTENT),
    ],
)
def test_the_reason_is_named(kind: str, why: Refusal) -> None:
    with pytest.raises(Refused) as refused:
        received(hostile_messages.hostile(IDS)[kind])
    assert refused.value.why == why


def test_a_message_of_a_later_version_passes_because_a_worker_may_know_it() -> None:
    later = {"version": 2, "anything": ["else"]}
    assert received(raw(message(later)))
    with pytest.raises(UnknownMessage):
        ItemsMessage.from_dict(later)


def test_two_thousand_messages_changed_at_random_pass_or_are_refused() -> None:
    """What passes has the shape that Celery and the tasks expect."""
    n_passed = 0
    for content in hostile_messages.fuzzed(message(IDS), 2_000, Random(7)):
        try:
            clean = received(content)
        except Refused:
            continue
        n_passed += 1
        assert isinstance(clean["headers"]["id"], str)
        assert clean["headers"]["task"] in TASKS
        assert clean["headers"]["timelimit"] == [None, None]
        assert clean["headers"]["expires"] is clean["headers"]["eta"] is None
        assert "compression" not in clean["headers"]
    assert 0 < n_passed < 1000


def test_a_message_at_the_limit_is_read_and_one_beyond_is_not() -> None:
    assert parsed(b'"' + b"x" * (MAX_BYTES - 2) + b'"')
    with pytest.raises(Refused):
        parsed(b'"' + b"x" * (MAX_BYTES - 1) + b'"')


def control(**fields: object) -> dict[str, Any]:
    asked = {"method": "ping", "arguments": {}, "destination": None, "pattern": None, "matcher": None}
    body = json.dumps(
        {**asked, "ticket": ID, "reply_to": {"exchange": "reply.celery.pidbox", "routing_key": ID}, **fields}
    )
    return {**with_body(None), "body": body, "headers": {"clock": 3, "expires": 1e9}, "properties": {}}


def test_a_question_to_workers_passes() -> None:
    clean = control_message(control(), "celery.pidbox")
    assert json.loads(clean["body"])["method"] == "ping"
    assert clean["headers"] == {"clock": 3, "expires": 1e9}


@pytest.mark.parametrize(
    "field",
    [
        {"method": None},
        {"method": "\x1b[2J"},
        {"arguments": [1]},
        {"destination": "all"},
        {"pattern": "(a+)+$", "matcher": "pcre"},
        {"reply_to": "cpu"},
        {"reply_to": {"exchange": []}},
        {"self": 1},
    ],
)
def test_an_odd_question_is_refused(field: dict[str, object]) -> None:
    with pytest.raises(Refused):
        control_message(control(**field), "celery.pidbox")


def test_a_clock_of_another_type_or_size_is_dropped() -> None:
    for clock in ("x", 1 << 60, -1, True, None, [1]):
        sent = {**control(), "headers": {"clock": clock}}
        assert control_message(sent, "celery.pidbox")["headers"]["clock"] is None


def test_refused_messages_are_logged_once_for_each_kind_and_power_of_ten(caplog: pytest.LogCaptureFixture) -> None:
    refusals = Refusals()
    with caplog.at_level(logging.ERROR, "chorus"):
        for _ in range(1234):
            refusals.add(Refusal.NOT_JSON)
        refusals.add(Refusal.OPTION)
    assert [record.getMessage().partition(": ")[2] for record in caplog.records] == [
        *(f"not JSON ({n} so far)" for n in (1, 10, 100, 1000)),
        "option that is never sent (1 so far)",
    ]
    assert refusals.take_unreported() == {Refusal.NOT_JSON: 1234, Refusal.OPTION: 1}
    assert not refusals.take_unreported()


def test_the_content_of_a_message_is_checked_by_its_task() -> None:
    for kind in (ItemsMessage, JobMessage):
        with pytest.raises(MalformedMessage):
            kind.from_dict("../../etc/passwd")
