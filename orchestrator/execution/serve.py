"""`orchestrator worker` and `orchestrator flower`: replace this process by a Celery worker or the monitor."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import NoReturn

from domain.errors import BrokerUnreachable, ChorusError, UsageError
from domain.states import RunState
from orchestrator.broker import answers, require_broker
from orchestrator.execution.flower import flower_command, flower_environment
from orchestrator.home import is_run_command_active
from orchestrator.waiting import Say
from settings import Settings
from workers.roles import CPU, GPU, ROLES, command, environment, sees_gpu


def become_worker(settings: Settings, role_name: str, concurrency: int | None, say: Say) -> NoReturn:
    """Replace this process by a worker of the role.

    Raises:
        UsageError: there is no such role.
        BrokerUnreachable: the broker does not answer.
        NoGpu: a GPU is required and this machine has none.
    """
    role = ROLES.get(role_name)
    if role is None:
        raise UsageError(f"there is no role {role_name!r}; a worker is {' or '.join(ROLES)}")
    require_broker(settings, say)
    if role is GPU:
        require_gpu_where_wanted(settings)
    if concurrency is not None:
        name = "concurrency" if role is CPU else "gpu_concurrency"
        settings = settings.model_copy(update={name: concurrency})
    argv = command(role, settings, f"{role.name}-{os.getpid()}@{socket.gethostname()}")
    os.chdir(Path(__file__).resolve().parents[2])
    os.execvpe(argv[0], argv, environment(role, settings))  # noqa: S606  # our own command line


def become_flower(settings: Settings, port: int, address: str, state: Path | None, say: Say) -> NoReturn:
    """Replace this process by the monitor.

    Raises:
        UsageError: no password is set.
        BrokerUnreachable: the broker does not answer.
    """
    if not settings.flower_password:
        raise UsageError(
            "Flower starts only with a password; name a file that holds one in CHORUS_FLOWER_PASSWORD_FILE"
        )
    require_broker(settings, say)
    argv = flower_command(port, address, state.absolute() if state else None)
    os.chdir(Path(__file__).resolve().parents[2])
    os.execvpe(argv[0], argv, flower_environment(settings, settings.flower_password))  # noqa: S606  # our own command line


class NoGpu(ChorusError):
    """A GPU is required, and this machine has none."""

    exit_code = 4


def require_gpu_where_wanted(settings: Settings, device: str = "auto") -> None:
    """Check that this machine has a GPU if the requested device or the settings require one.

    Raises:
        NoGpu: it has none.
    """
    is_wanted = device == "gpu" or (settings.require_gpu and device == "auto")
    if is_wanted and not sees_gpu(settings):
        raise NoGpu(
            "a GPU is required, and no GPU was found on this machine; fix its driver, or omit --device gpu, "
            "--require-gpu or CHORUS_REQUIRE_GPU"
        )


def require_dispatcher(settings: Settings) -> None:
    """Check that a dispatcher can feed a new run of this home.

    Raises:
        BrokerUnreachable: a `run` command holds the home's lock; it serves no other run.
    """
    if is_run_command_active(settings):
        raise BrokerUnreachable(
            f"a `run` command is running in {settings.home} and serves no other run; wait until it ends, or choose "
            "another --home"
        )


def interrupted_run_lines(settings: Settings, run: int, state: str) -> list[str]:
    """Return a line for the user if no process works on an active run, as after a crash; otherwise nothing."""
    if state == RunState.ACTIVE and settings.is_broker_embedded and not answers(settings.socket):
        return [f"no process works on run {run}; continue with: {settings.command(f'resume {run}')}"]
    return []
