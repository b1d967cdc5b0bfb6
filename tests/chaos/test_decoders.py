"""Recordings that end or block their process are lost themselves and cost no other recording.

Slow: a process that ended is replaced, and its recordings are tried one by one.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from db.queries.unused import unused
from domain.reasons import ReasonCode
from domain.retry import MAX_CRASHES, MAX_LOSSES
from domain.states import RunState, State
from orchestrator.planning.request import Request
from tests.chaos.calm import assert_each_attempt_has_an_end, assert_rows_are_true
from tests.chaos.machines import Machines, begun, machines
from tests.e2e.command import until
from tests.e2e.way import carried_out, files, home
from tests.recordings import write_class_folders, write_tone

PREPROCESS = Request(until="preprocess")
REASONS = {
    "segfault": f"ended its process {MAX_CRASHES} times: Worker exited prematurely: signal 11 (SIGSEGV)",
    "forever": f"ended its process {MAX_CRASHES} times: still at work after 4 s",
    "gil": f"ended its process {MAX_CRASHES} times: still at work after 4 s",
    "memory": f"ended its process {MAX_CRASHES} times: Worker exited prematurely: signal 6 (SIGABRT)",
}


def with_killers(folder: Path, *names: str) -> Path:
    tones = write_class_folders(folder / "tones", {"low": 1000.0, "high": 5000.0}, per_label=10, seconds=0.5)
    for number, name in enumerate(names):
        write_tone(tones / "low" / f"{name}.wav", 700 + 10 * number, 0.5)  # bytes of its own
    return tones


@pytest.fixture(scope="module")
def good_strips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What an undisturbed run over the other recordings leaves."""
    folder = tmp_path_factory.mktemp("good")
    with home(folder / "calm") as session:
        assert carried_out(session, with_killers(folder), PREPROCESS).run.state == RunState.DONE
        return files(session, "strips")


def assert_others_are_as_ever(cluster: Machines, run: int, good_strips: dict[str, str]) -> None:
    """The strips of all others, byte for byte, and none of the deadly ones."""
    assert len(good_strips) == 20
    assert files(cluster.session, "strips") == good_strips
    assert_rows_are_true(cluster.session.database, run, good_strips)
    assert_each_attempt_has_an_end(cluster.session.database, run)


@pytest.mark.parametrize(
    ("names", "time_limit_s"),
    [
        (("segfault", "memory"), 900.0),
        pytest.param(("forever", "gil"), 4.0, marks=pytest.mark.long),
    ],  # a dead child is looked for up to 10 s
    ids=["crash", "hang"],
)
def test_deadly_recordings_are_quarantined_with_their_reason_and_all_others_are_done(
    names: tuple[str, ...], time_limit_s: float, tmp_path: Path, redis_url: str, good_strips: dict[str, str]
) -> None:
    data = with_killers(tmp_path, *names)
    with machines(tmp_path, redis_url, time_limit_s=time_limit_s, child_memory_mb=400) as cluster:
        run = begun(cluster, data, PREPROCESS)
        seen = cluster.until_over(run)
        assert seen.items[State.DONE] == 20
        assert_others_are_as_ever(cluster, run, good_strips)
        quarantined = unused(cluster.session.database, run).quarantined
        found = {Path(entry.recording).stem: entry.reason for entry in quarantined}
        assert {entry.reason_code for entry in quarantined} == {ReasonCode.CRASHED_WORKER}
        assert set(found) == set(names)
        for name in names:
            assert found[name].startswith(REASONS[name]), found
        assert cluster.n_restarts == 0, "a child's death ended its worker"
        until(lambda: len(cluster.children("a")) == 2, within_s=30)


@pytest.mark.long
def test_a_recording_whose_process_is_killed_from_outside_is_given_up_only_after_ten_times(
    tmp_path: Path, redis_url: str, good_strips: dict[str, str]
) -> None:
    data = with_killers(tmp_path, "vanish")
    with machines(tmp_path, redis_url) as cluster:
        run = begun(cluster, data, PREPROCESS)
        assert cluster.until_over(run).items[State.DONE] == 20
        [given_up] = unused(cluster.session.database, run).quarantined
        assert given_up.reason_code == ReasonCode.WORKER_LOST
        assert given_up.reason.startswith(f"lost its worker {MAX_LOSSES} times: Worker exited prematurely: signal 9")
        assert_others_are_as_ever(cluster, run, good_strips)


@pytest.mark.long
def test_a_recording_that_stops_the_heartbeat_takes_no_other_down_with_it(
    tmp_path: Path, redis_url: str, good_strips: dict[str, str]
) -> None:
    """The lease runs out long before the time limit: the message comes again, and its items one by one."""
    data = with_killers(tmp_path, "gil")
    with machines(tmp_path, redis_url, time_limit_s=8.0, lease_s=1.0) as cluster:
        run = begun(cluster, data, PREPROCESS)
        seen = cluster.until_over(run)
        assert seen.run.state == RunState.DONE
        assert (seen.items[State.DONE], seen.items[State.QUARANTINED]) == (20, 1)
        assert_others_are_as_ever(cluster, run, good_strips)
        until(lambda: len(cluster.children("a")) == 2, within_s=30)
