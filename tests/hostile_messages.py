"""Messages that no dispatcher sends: one of each kind, and a message changed at random."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator
from copy import deepcopy
from random import Random
from typing import Any

from tests.fuzzing import changed

ID = "e53fccaf-91a5-4964-98ba-09535374702a"
_ODD: list[Any] = [
    None, True, 0, -1, 1 << 70, 1e308, "", "x", "\x1b]0;title\x07", "\u202egnp.exe", "\ud800", "x" * 300, [], [None],
    {}, {"a": 1}, [[]], ["cpu"], {"__type__": "datetime", "__value__": "no time"}, {"__type__": [], "__value__": 1},
]  # fmt: skip


def message(ids: object, task: str = "preprocess", **headers: object) -> dict[str, Any]:
    """A message as Celery sends it, with these ids; headers: added or replaced ones."""
    body = json.dumps([[ids], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}])
    known = {
        "lang": "py", "task": task, "id": ID, "shadow": None, "eta": None, "expires": None, "group": None,
        "group_index": None, "retries": 0, "timelimit": [None, None], "root_id": ID, "parent_id": None,
        "argsrepr": "run 1: 2 items", "kwargsrepr": "", "origin": "gen1@host", "ignore_result": None,
        "replaced_task_nesting": 0, "stamped_headers": None, "stamps": {},
    }  # fmt: skip
    properties = {
        "correlation_id": ID, "reply_to": ID, "delivery_mode": 2, "priority": 0, "body_encoding": "base64",
        "delivery_info": {"exchange": "", "routing_key": "cpu"}, "delivery_tag": ID,
    }  # fmt: skip
    return {
        "body": base64.b64encode(body.encode()).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {**known, **headers},
        "properties": properties,
    }


def raw(payload: object) -> bytes:
    """The payload as it lies in a queue."""
    return json.dumps(payload).encode()


def with_body(content: object) -> dict[str, Any]:
    """A message whose body holds this content."""
    body = base64.b64encode(json.dumps(content).encode()).decode()
    return {**message(None), "body": body}


def hostile(ids: dict[str, Any]) -> dict[str, bytes]:
    """One message of each kind, by its name. ids: those of a good message."""
    good, embedded = message(ids), {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
    signature = {"task": "pack", "args": [ids], "kwargs": {}, "options": {}, "subtask_type": None}
    bomb = base64.b64encode(gzip.compress(b" " * (64 << 20))).decode()
    return {
        "text": b"garbage",
        "nothing": b"",
        "binary": bytes(range(256)),
        "utf-16": json.dumps(good).encode("utf-16"),
        "list": raw([good]),
        "number": b"1e999",
        "null": b"null",
        "long number": b"9" * 5000,
        "deep": b"[" * 200_000,
        "deep object": b'{"headers":' * 100_000,
        "large": raw({**good, "body": "x" * (2 << 20)}),
        "no properties": raw({name: part for name, part in good.items() if name != "properties"}),
        "no headers": raw({**good, "headers": None}),
        "no id": raw({**good, "headers": {**good["headers"], "id": None}}),
        "protocol 1": raw({**good, "headers": {}, "body": json.dumps({"task": "preprocess", "id": ID, "args": [ids]})}),
        "task of another queue": raw(message(ids, "train")),
        "unknown task": raw(message(ids, "os.system")),
        "celery's task": raw(message(ids, "celery.chain")),
        "pickle": raw({**good, "content-type": "application/x-python-serialize"}),
        "binary encoding": raw({**good, "content-encoding": "binary"}),
        "unknown body encoding": raw({**good, "properties": {**good["properties"], "body_encoding": "rot13"}}),
        "no base64": raw({**good, "body": "%%%"}),
        "compressed": raw({**message(ids, compression="application/x-gzip"), "body": bomb}),
        "time limit": raw(message(ids, timelimit=[0.01, 0.01])),
        "eta": raw(message(ids, eta="9999-12-31T23:59:59+00:00")),
        "expires": raw(message(ids, expires="0001-01-01T00:00:00")),
        "callback": raw(with_body([[ids], {}, {**embedded, "callbacks": [signature]}])),
        "chain": raw(with_body([[ids], {}, {**embedded, "chain": [signature]}])),
        "chord": raw(with_body([[ids], {}, {**embedded, "chord": signature}])),
        "keyword": raw(with_body([[], {"message": ids}, embedded])),
        "two arguments": raw(with_body([[ids, ids], {}, embedded])),
        "no argument": raw(with_body([[], {}, embedded])),
        "object": raw(with_body([[{"__type__": "datetime", "__value__": "no time"}], {}, embedded])),
        "text for ids": raw(message("../../etc/passwd")),
        "control characters": raw(message(ids, id="\x1b]0;secret\x07\n")),
    }


def fuzzed(good: dict[str, Any], n: int, draw: Random) -> Iterator[bytes]:
    """So many changed forms of a good message: a part replaced or left out, or its bytes changed."""
    for _ in range(n):
        if draw.random() < 0.3:
            yield changed(raw(good), draw)
            continue
        payload = deepcopy(good)
        for _ in range(draw.randint(1, 3)):
            _replace_part(payload, draw)
        yield raw(payload)


def _replace_part(payload: dict[str, Any], draw: Random) -> None:
    part: Any = payload
    while True:
        name = draw.choice(sorted(part))
        if isinstance(part[name], dict) and part[name] and draw.random() < 0.8:
            part = part[name]
            continue
        if draw.random() < 0.2:
            del part[name]
        else:
            part[name] = deepcopy(draw.choice(_ODD))
        if draw.random() < 0.1:
            part[draw.choice(["timelimit", "eta", "compression", "clock", "chord"])] = deepcopy(draw.choice(_ODD))
        return
