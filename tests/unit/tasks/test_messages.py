from __future__ import annotations

from typing import Any

import pytest

from domain.work import MAX_ITEMS_PER_MESSAGE
from tasks.runtime.messages import VERSION, ItemsMessage, JobMessage, MalformedMessage, UnknownMessage


def test_a_message_survives_its_json_form() -> None:
    for message in (ItemsMessage(3, (1, 2)), JobMessage(3, 9)):
        assert type(message).from_dict(message.to_dict()) == message


@pytest.mark.parametrize(
    "change",
    [
        {"version": 0},
        {"version": True},
        {"version": "2"},
        {"run": "../../etc/passwd"},
        {"run": 0},
        {"run": "1"},
        {"run": True},
        {"items": "1"},
        {"items": [0]},
        {"items": [1.0]},
        {"more": 1},
        {"items": list(range(1, MAX_ITEMS_PER_MESSAGE + 2))},
    ],
)
def test_anything_but_positive_ids_of_this_version_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(MalformedMessage):
        ItemsMessage.from_dict({**ItemsMessage(3, (1, 2)).to_dict(), **change})


@pytest.mark.parametrize("message", [5, None, "version", [1, 2], ["version", "run", "items"], [{}]])
@pytest.mark.parametrize("kind", [ItemsMessage, JobMessage])
def test_what_has_no_fields_is_refused(kind: type[ItemsMessage | JobMessage], message: Any) -> None:
    with pytest.raises(MalformedMessage, match="fields"):
        kind.from_dict(message)


def test_the_longest_message_that_is_sent_is_the_longest_that_is_understood() -> None:
    longest = ItemsMessage(1, tuple(range(1, MAX_ITEMS_PER_MESSAGE + 1)))
    assert ItemsMessage.from_dict(longest.to_dict()) == longest


def test_a_job_message_without_its_job_is_refused() -> None:
    with pytest.raises(MalformedMessage, match="job: Field required"):
        JobMessage.from_dict({"version": 1, "run": 1})


@pytest.mark.parametrize("kind", [ItemsMessage, JobMessage])
def test_a_later_version_is_left_to_others_whatever_its_fields(kind: type[ItemsMessage | JobMessage]) -> None:
    with pytest.raises(UnknownMessage, match="upgrade this worker"):
        kind.from_dict({"version": VERSION + 1, "anything": "else"})
