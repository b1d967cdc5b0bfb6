from __future__ import annotations

from pathlib import Path

from orchestrator.execution.flower import flower_command, flower_environment
from settings import Settings


def test_the_monitor_only_reads_and_remembers_a_bounded_number_of_tasks() -> None:
    command = flower_command(5555, "127.0.0.1", None)
    assert "--read_only=True" in command
    assert "--max_tasks=10000" in command
    assert "--address=127.0.0.1" in command
    assert not any(word.startswith("--persistent") for word in command)


def test_what_the_monitor_has_seen_is_saved_while_it_runs() -> None:
    command = flower_command(5555, "127.0.0.1", Path("/state/flower"))
    assert {"--persistent=True", "--db=/state/flower", "--state_save_interval=10000"} <= set(command)


def test_the_password_is_in_the_environment_and_on_no_command_line() -> None:
    assert flower_environment(Settings(), "secret")["FLOWER_BASIC_AUTH"] == "chorus:secret"
    assert "secret" not in " ".join(flower_command(5555, "127.0.0.1", None))
