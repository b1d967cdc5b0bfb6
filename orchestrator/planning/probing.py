"""Reads the headers of recordings in child processes, so that a file that crashes libsndfile does not end the plan.

A child receives a few recordings at a time over a socket that closes with its parent, and answers in JSON. It has
limits: memory, processor time for each recording, open files, no core dump. It asks the parent for ranges of the bytes
of remote recordings.
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
from tasks.audio.containers.opened import HeaderFacts
from tasks.audio.recording import probe
from tasks.audio.source import Place, Remote, name_of
from workers import limits

_ROOT = Path(__file__).resolve().parents[2]
_COMMAND = (sys.executable, "-m", "orchestrator.planning.probing")
_MOST_CHILDREN = 4
_TRIES = 2
"""Something else may kill a child. A recording that ends two children is at fault."""
_MEMORY_BYTES = 1 << 30
_LONGEST_S = 10.0
"""Processor time for one header: a thousand times what the slowest header takes."""
_LONGEST_ANSWER_BYTES = 1 << 20
_LONGEST_SENTENCE = 1000
_KINDS = {kind.code.value: kind for kind in Unusable.__subclasses__()}


class Probes:
    """A few children that read headers; each is started when all others are busy. Safe to use from several threads."""

    def __init__(self, n_children: int | None = None) -> None:
        n = n_children or min(_MOST_CHILDREN, os.cpu_count() or 1)
        self._idle: LifoQueue[_Child | None] = LifoQueue()  # last used first; those not yet started, last
        for _ in range(n):
            self._idle.put(None)
        self._n = n

    def __enter__(self) -> Probes:
        return self

    def __exit__(self, *_: object) -> None:
        for child in [self._idle.get() for _ in range(self._n)]:  # waits for the children in use
            if child:
                child.end()

    def probe(self, places: Sequence[Place]) -> list[HeaderFacts | Exception]:
        """Return for each place the facts in its header, or the error that `tasks.audio.recording.probe` raised.

        The error is Unusable if the recording is at fault, also if it ended its child; OSError if the machine is. Many
        places in one call take little more time than one.
        Raises: MachineFault if no child can be started.
        """
        answers = self._answers(places) if len(places) > 1 else None
        return answers or [self._alone(place) for place in places]

    def _alone(self, place: Place) -> HeaderFacts | Exception:
        for _ in range(_TRIES):
            if answers := self._answers([place]):
                return answers[0]
        return Unreadable(f"{name_of(place)} ends the process that reads its header")

    def _answers(self, places: Sequence[Place]) -> list[HeaderFacts | Exception] | None:
        """Return the answers; None if a recording ended the child."""
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
    """The child has ended, or its answer cannot be understood."""


class _Child:
    """A process that reads headers, as its parent sees it."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603  # this interpreter and this module
                [*_COMMAND, str(theirs.fileno())],
                pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd=_ROOT,
                start_new_session=True,  # Ctrl-C goes to the parent only, and the child ends with it
            )  # fmt: skip
        self._talk = Connection(ours.detach())
        try:
            self._answer()
        except _Ended as error:
            self.end()
            raise MachineFault("the process that reads headers of recordings does not start") from error

    def answers(self, places: Sequence[Place]) -> list[HeaderFacts | Exception]:
        """Return the answers as `Probes.probe`. Raises: _Ended."""
        self._send(json.dumps([_asked(place) for place in places]).encode())
        answer, failed = self._answer(), dict[int, OSError]()
        while "range" in answer:
            at, start, stop = map(int, answer["range"])
            self._send(_fetched(places, at, start, stop, failed))
            answer = self._answer()
        if len(answer.get("found", ())) != len(places):
            raise _Ended
        return [failed.get(at) or _facts(found) for at, found in enumerate(answer["found"])]

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
        """End the process; it has no state to save."""
        self._talk.close()
        self._process.kill()
        self._process.wait()


def _asked(place: Place) -> dict[str, Any]:
    if isinstance(place, Remote):
        return {"name": place.name, "size_bytes": place.size_bytes}
    return {"path": str(Path(place).absolute())}


def _fetched(places: Sequence[Place], at: int, start: int, stop: int, failed: dict[int, OSError]) -> bytes:
    """Return a range of a remote place; no bytes if it cannot be read, with the error added to `failed`."""
    place = places[at]
    try:
        return place.fetch(start, stop) if isinstance(place, Remote) else b""
    except OSError as error:
        failed.setdefault(at, error)
        return b""


def _facts(answer: dict[str, Any]) -> HeaderFacts | Exception:
    try:
        if "unusable" in answer:
            return _KINDS.get(str(answer.get("code")), Unreadable)(str(answer["unusable"]))
        if "errno" in answer:
            return OSError(answer["errno"], str(answer["strerror"]))
        return HeaderFacts(**answer)
    except TypeError as error:
        raise _Ended from error


def _serve(descriptor: int) -> None:
    """Run the child: answer until the parent closes the socket."""
    limits.disable_core_dumps()
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
        return {"unusable": str(error)[:_LONGEST_SENTENCE], "code": error.code.value}
    except OSError as error:
        return {"errno": error.errno or errno.EIO, "strerror": error.strerror or str(error)}
    except MemoryError:
        return {}  # an answer that cannot be understood: the parent ends this process


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
