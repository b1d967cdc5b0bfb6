"""The envelope of a message: checked, and made anew from the parts that are known, before Celery sees it.

A client of the broker can put any bytes into a queue. Celery trusts the envelope: a missing id makes it reconnect for
ever, and an option such as a time limit acts on the work. Only what this system sends passes.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Collection, Mapping
from typing import Any
from uuid import uuid4

from kombu.utils import json as kombu_json

from tasks.runtime.refusals import Refusal, Refused

MAX_BYTES = 1 << 20
"""Largest message. The largest that is sent, with 200 ids, has 6 kB; JSON of 1 MiB takes at most 60 MB once parsed."""

_OPTIONS = ("compression", "timelimit", "eta", "expires")
_NAME = re.compile(r"[0-9A-Za-z_.@:-]{1,255}", re.ASCII)
_LONGEST_DESCRIPTION = 1000
_CONTROL = "celery.pidbox"
_CONTROL_FIELDS = {"method", "arguments", "destination", "pattern", "matcher", "ticket", "reply_to"}


def parsed(raw: bytes, max_bytes: int = MAX_BYTES) -> Any:
    """The JSON in a message. Raises: Refused."""
    if len(raw) > max_bytes:
        raise Refused(Refusal.TOO_LARGE)
    try:
        return json.loads(raw.decode())
    except (ValueError, RecursionError, MemoryError) as error:
        raise Refused(Refusal.NOT_JSON) from error


def work_message(payload: Any, queue: str, tasks: Collection[str]) -> dict[str, Any]:
    """A message of a queue of work, with nothing but the known parts of its envelope and a delivery tag of its own.

    payload: the parsed message.  tasks: names of the tasks that the queue carries.
    Unknown headers and properties are dropped. A copy of a message thus counts as another one.
    Raises: Refused.
    """
    body, headers, properties = _parts(payload)
    require_harmless(headers)
    task, key = headers.get("task"), headers.get("id")
    if not _is_name(task) or not _is_name(key):
        raise Refused(Refusal.ODD_ENVELOPE)
    if task not in tasks:
        raise Refused(Refusal.UNKNOWN_TASK)
    require_one_argument(_decoded(body, properties))
    is_again = headers.get("redelivered") is True
    origin, description = headers.get("origin"), headers.get("argsrepr")
    return _envelope(
        body,
        {
            "lang": "py", "task": task, "id": key, "root_id": key, "parent_id": None, "group": None, "retries": 0,
            "eta": None, "expires": None, "timelimit": [None, None], "origin": origin if _is_name(origin) else None,
            "argsrepr": description if _is_shown(description) else "", "kwargsrepr": "", "redelivered": is_again,
        },
        properties,
        {"exchange": "", "routing_key": queue, "redelivered": is_again},
        correlation_id=key,
    )  # fmt: skip


def control_message(payload: Any, exchange: str) -> dict[str, Any]:
    """A message that is no work: a question to workers, its answer, or an event for the monitor.

    Raises: Refused.
    """
    body, headers, properties = _parts(payload)
    if headers.get("compression"):
        raise Refused(Refusal.ODD_CONTROL)
    content = _decoded(body, properties)
    if exchange == _CONTROL:
        _require_control(content)
    known = {
        "clock": _number(headers.get("clock"), int),
        "expires": _number(headers.get("expires"), int | float),
        **{name: headers[name] for name in ("ticket", "hostname") if _is_name(headers.get(name))},
    }
    return _envelope(body, known, properties, {"exchange": exchange, "routing_key": ""})


def require_harmless(headers: Mapping[str, Any]) -> None:
    """Raise Refused if a header changes how Celery carries a message out. Nothing here sends such a header."""
    for name in _OPTIONS:
        value = headers.get(name)
        if value is not None and value != [None, None]:
            raise Refused(Refusal.OPTION)


def require_one_argument(content: Any) -> Any:
    """Return a body's one argument. Raises: Refused, also for callbacks, chains and chords."""
    match content:
        case [[argument], dict() as named, dict() as embedded]:
            if named or any(embedded.values()):
                raise Refused(Refusal.OPTION)
            return argument
    raise Refused(Refusal.ODD_CONTENT)


def _parts(payload: Any) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Body, headers and properties."""
    match payload:
        case {
            "body": str() as body,
            "content-type": "application/json",
            "content-encoding": "utf-8",
            "headers": dict() as headers,
            "properties": dict() as properties,
        }:
            return body, headers, properties
    raise Refused(Refusal.ODD_ENVELOPE)


def _decoded(body: str, properties: Mapping[str, Any]) -> Any:
    """The body as Celery will decode it."""
    encoding = properties.get("body_encoding")
    if encoding not in (None, "base64"):
        raise Refused(Refusal.ODD_ENVELOPE)
    try:
        return kombu_json.loads(base64.b64decode(body, validate=True) if encoding else body)
    except Exception as error:  # kombu makes dates and other objects of the JSON, which raise what they like
        raise Refused(Refusal.NOT_JSON) from error


def _envelope(
    body: str, headers: dict[str, Any], properties: Mapping[str, Any], delivery: dict[str, Any], **more: Any
) -> dict[str, Any]:
    return {
        "body": body,
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": headers,
        "properties": {
            "body_encoding": properties.get("body_encoding"),
            "delivery_info": delivery,
            "delivery_mode": 2,
            "delivery_tag": str(uuid4()),
            "priority": 0,
            **more,
        },
    }


def _require_control(content: Any) -> None:
    """Raise Refused unless the content is a command to workers, as Celery's control and the monitor send it.

    Patterns are refused: a hostile regular expression would block the worker for ever.
    """
    if not isinstance(content, dict) or not content.keys() <= _CONTROL_FIELDS:
        raise Refused(Refusal.ODD_CONTROL)
    if content.get("pattern") or content.get("matcher"):
        raise Refused(Refusal.ODD_CONTROL)
    arguments, destination = content.get("arguments") or {}, content.get("destination") or []
    answer_to = content.get("reply_to") or {"exchange": "none", "routing_key": "none"}
    names = [content.get("method"), content.get("ticket") or "none"]
    if not isinstance(arguments, dict) or not isinstance(destination, list) or not isinstance(answer_to, dict):
        raise Refused(Refusal.ODD_CONTROL)
    names += [answer_to.get("exchange"), answer_to.get("routing_key")]
    if not all(map(_is_name, names)):
        raise Refused(Refusal.ODD_CONTROL)


def _is_name(value: object) -> bool:
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def _is_shown(value: object) -> bool:
    """Whether a text may be shown in the monitor and the log."""
    return isinstance(value, str) and len(value) <= _LONGEST_DESCRIPTION and value.isprintable()


def _number(value: object, kind: Any) -> Any:
    """The value if it is a number of moderate size; None otherwise."""
    return value if isinstance(value, kind) and not isinstance(value, bool) and 0 <= value < 1 << 53 else None
