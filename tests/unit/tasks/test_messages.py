from __future__ import annotations

from typing import Any

import pytest

from tasks.messages import JobMessage, PreprocessMessage, UnknownMessage


def test_a_message_survives_its_json_form() -> None:
    for message in (PreprocessMessage(3, (1, 2)), JobMessage(3, 9)):
        assert type(message).from_dict(message.to_dict()) == message


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"run": 0},
        {"run": "1"},
        {"run": True},
        {"items": "1"},
        {"items": [0]},
        {"items": [1.0]},
        {"more": 1},
    ],
)
def test_anything_but_positive_ids_of_this_version_is_not_understood(change: dict[str, Any]) -> None:
    with pytest.raises(UnknownMessage):
        PreprocessMessage.from_dict({**PreprocessMessage(3, (1, 2)).to_dict(), **change})


def test_a_job_message_without_its_job_is_not_understood() -> None:
    with pytest.raises(UnknownMessage, match="fields"):
        JobMessage.from_dict({"version": 1, "run": 1})
