"""A child that the kernel killed for lack of memory is distinguished from one that was killed from outside."""

from __future__ import annotations

from pathlib import Path

from tasks.runtime.crashes import MemoryKills

KILLED = "Worker exited prematurely: signal 9 (SIGKILL) Job: 3."


def counters(folder: Path, machine: int, container: int) -> tuple[Path, Path]:
    files = folder / "vmstat", folder / "memory.events"
    files[0].write_text(f"nr_free_pages 5\noom_kill {machine}\npgfault 7\n")
    files[1].write_text(f"oom 9\noom_kill {container}\noom_group_kill 4\n")
    return files


def test_a_kill_for_lack_of_memory_says_so_once(tmp_path: Path) -> None:
    kills = MemoryKills(counters(tmp_path, 3, 1))
    assert kills.explained(KILLED) == KILLED
    counters(tmp_path, 4, 1)
    assert kills.explained(KILLED).startswith("the kernel killed it because memory ran out; ")
    assert kills.explained(KILLED) == KILLED
    counters(tmp_path, 4, 2)
    assert kills.explained("Worker exited prematurely: signal 11 (SIGSEGV).") == (
        "Worker exited prematurely: signal 11 (SIGSEGV)."
    )


def test_without_counters_a_kill_is_only_a_kill(tmp_path: Path) -> None:
    assert MemoryKills((tmp_path / "none",)).explained(KILLED) == KILLED
