"""The command line as a person or a script meets it: a process, two streams, an exit code."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ORCHESTRATOR = str(Path(sys.executable).with_name("orchestrator"))
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("CHORUS_")}


@dataclass(frozen=True)
class Answer:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one object on stdout."""
        return json.loads(self.out)

    @property
    def has_traceback(self) -> bool:
        return "Traceback" in self.err + self.out


def orchestrator(*words: str | Path, timeout_s: float = 500, **environment: str) -> Answer:
    """Runs a command to its end."""
    done = subprocess.run(
        [ORCHESTRATOR, *map(str, words)],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        env=ENVIRONMENT | environment,
        check=False,
    )
    return Answer(done.returncode, done.stdout, done.stderr)


@contextmanager
def started(*words: str | Path, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A command under way; it is interrupted, then killed, when the block ends."""
    command = [ORCHESTRATOR, *map(str, words)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT | environment
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                try:
                    process.communicate(timeout=60)
                except subprocess.TimeoutExpired:
                    process.kill()


def until(is_so: Callable[[], bool], within_s: float = 60) -> None:
    """Returns once `is_so` holds; fails when it takes too long."""
    give_up = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < give_up, f"not so within {within_s} s"
        time.sleep(0.1)


def processes_of(home: Path) -> list[int]:
    """Ids of all living processes that were started for a home."""
    mark = f"CHORUS_HOME={home}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                is_ours = mark in (entry / "environ").read_bytes().split(b"\0")
                is_alive = (entry / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
            except OSError:
                continue
            if is_ours and is_alive:
                found.append(int(entry.name))
    return found
