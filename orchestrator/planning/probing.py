"""Headers of recordings, read in child processes: one that crashes or hangs libsndfile costs a child, never the plan.

A child takes a few recordings at a time over a socket that dies with its parent, answers in JSON, and has limits:
memory, processor time for each recording, open files, no core dump. Bytes that are far away are asked of the parent in
ranges.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path
from queue import LifoQueue
from typing import Any

from domain.errors import MachineFault, Unreadable, Unusable
from tasks.audio.recording import Facts, probe
from tasks.audio.source import Place, Remote, name_of
from workers import limits

_ROOT = Path(__file__).resolve().parents[2]
_COMMAND = (sys.executable, "-m", "orchestrator.planning.probing")
_MOST_CHILDREN = 4
_TRIES = 2
"""A child may be killed by somebody: only a recording that ends a second one is to blame."""
_MEMORY_BYTES = 1 << 30
_LONGEST_S = 10.0
"""Of a processor's time, for one header; a thousand times what the longest of them takes."""
_LONGEST_ANSWER_BYTES = 1 << 20
_LONGEST_SAID = 1000


class Probes:
    """A few children that read headers, each begun when all others are busy. Threads may ask at once, and wait."""

    def __init__(self, n_children: int | None = None) -> None:
        n = n_children or min(_MOST_CHILDREN, os.cpu_count() or 1)
        self._idle: LifoQueue[_Child | None] = LifoQueue()  # the last one used comes first, those not begun at last
        for _ in range(n):
            self._idle.put(None)
        self._n = n

    def __enter__(self) -> Probes:
        return self

    def __exit__(self, *_: object) -> None:
        for child in [self._idle.get() for _ in range(self._n)]:  # whoever still asks gives its own back first
            if child:
                child.end()

    def probe(self, places: Sequence[Place]) -> list[Facts | Exception]:
        """Of each what its header says, as `tasks.audio.recording.probe` tells it, or the error it raises.

        Unusable, also for a recording that ends its reader; an OSError is the machine's. Many at once cost little more
        than one. Raises MachineFault where no child can be started.
        """
        answers = self._answers(places) if len(places) > 1 else None
        return answers or [self._alone(place) for place in places]

    def _alone(self, place: Place) -> Facts | Exception:
        for _ in range(_TRIES):
            if answers := self._answers([place]):
                return answers[0]
        return Unreadable(f"{name_of(place)} ends the process that reads its header")

    def _answers(self, places: Sequence[Place]) -> list[Facts | Exception] | None:
        """None where the child ended over one of them."""
        child = self._idle.get()
        try:
            child = child or _Child()
            return child.answers(places)
        except _Ended:
            if child:
                child.end()
            child = None
            return None
        finally:
            self._idle.put(child)


class _Ended(Exception):
    """The child is gone, or says what makes no sense."""


class _Child:
    """A process that reads headers, as its parent sees it."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603  # this interpreter and this module
                [*_COMMAND, str(theirs.fileno())],
                pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd=_ROOT,
                start_new_session=True,  # Ctrl-C is for the parent, and the child ends with it
            )  # fmt: skip
        self._talk = Connection(ours.detach())
        try:
            self._answer()
        except _Ended as error:
            self.end()
            raise MachineFault("the process that reads headers of recordings does not start") from error

    def answers(self, places: Sequence[Place]) -> list[Facts | Exception]:
        """As `Probes.probe`. Raises _Ended."""
        self._send(json.dumps([_asked(place) for place in places]).encode())
        answer, failed = self._answer(), dict[int, OSError]()
        while "range" in answer:
            at, start, stop = map(int, answer["range"])
            self._send(_fetched(places, at, start, stop, failed))
            answer = self._answer()
        if len(answer.get("found", ())) != len(places):
            raise _Ended
        return [failed.get(at) or _told(told) for at, told in enumerate(answer["found"])]

    def _send(self, data: bytes) -> None:
        try:
            self._talk.send_bytes(data)
        except OSError as error:
            raise _Ended from error

    def _answer(self) -> dict[str, Any]:
        try:
            answer = json.loads(self._talk.recv_bytes(_LONGEST_ANSWER_BYTES))
        except (EOFError, OSError, ValueError) as error:
            raise _Ended from error
        if not isinstance(answer, dict):
            raise _Ended
        return answer

    def end(self) -> None:
        """It holds nothing that would be missed."""
        self._talk.close()
        self._process.kill()
        self._process.wait()


def _asked(place: Place) -> dict[str, Any]:
    if isinstance(place, Remote):
        return {"name": place.name, "size_bytes": place.size_bytes}
    return {"path": str(Path(place).absolute())}


def _fetched(places: Sequence[Place], at: int, start: int, stop: int, failed: dict[int, OSError]) -> bytes:
    """A range of a remote one of the places; nothing where it cannot be had, and why is noted."""
    place = places[at]
    try:
        return place.fetch(start, stop) if isinstance(place, Remote) else b""
    except OSError as error:
        failed.setdefault(at, error)
        return b""


def _told(told: dict[str, Any]) -> Facts | Exception:
    try:
        if "unusable" in told:
            return Unreadable(str(told["unusable"]))
        if "errno" in told:
            return OSError(told["errno"], str(told["said"]))
        return Facts(**told)
    except TypeError as error:
        raise _Ended from error


def _serve(descriptor: int) -> None:
    """The child: answers until its parent is gone."""
    limits.leave_no_core_dump()
    limits.limit_child(_MEMORY_BYTES)
    talk = Connection(descriptor)
    with contextlib.suppress(EOFError, ConnectionError):
        talk.send_bytes(b"{}")
        while True:
            asked = json.loads(talk.recv_bytes())
            found = [_found(one, at, talk) for at, one in enumerate(asked)]
            talk.send_bytes(json.dumps({"found": found}).encode())


def _found(asked: dict[str, Any], at: int, talk: Connection) -> dict[str, Any]:
    def fetch(start: int, stop: int) -> bytes:
        talk.send_bytes(json.dumps({"range": [at, start, stop]}).encode())
        if not (data := talk.recv_bytes()):
            raise OSError(errno.EIO, "its parent could not fetch it")
        return data

    limits.limit_processor_time(_LONGEST_S)
    place = asked["path"] if "path" in asked else Remote(asked["name"], asked["size_bytes"], fetch)
    try:
        return asdict(probe(place))
    except Unusable as error:
        return {"unusable": str(error)[:_LONGEST_SAID]}
    except OSError as error:
        return {"errno": error.errno or errno.EIO, "said": error.strerror or str(error)}
    except MemoryError:
        return {}  # which makes no sense: this process is not to be trusted further


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
