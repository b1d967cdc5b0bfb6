"""Whatever is killed, wiped, cut off or scaled in the middle of a run: the same strips and shards, byte for byte.

Slow: containers start, are killed and start again, and what they held waits for the end of its lease.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.cluster.containers import Stack, podman

WORK = ("/data/esc10/labels.csv", "--preset", "/data/twice.toml", "--until", "pack")
LONG_WORK = (*WORK[:2], "/data/fourfold.toml", *WORK[3:])
"""So much that containers which start in the middle of it have work left."""
THIS_RUN = "(SELECT max(id) FROM run)"
CUT_OFF_S = 60.0
TAKEN_OVER_WITHIN_S = 15.0
WORKS_AGAIN_WITHIN_S = 240.0
BACK_WITHIN_S = 30.0


@pytest.fixture(scope="module")
def undisturbed(stack: Stack) -> dict[str, str]:
    """What an undisturbed run leaves."""
    return _left_by(stack)


@pytest.fixture(autouse=True)
def three_workers(stack: Stack) -> None:
    if len(stack.containers("cpu-worker")) != 3:
        stack.up(cpu_worker=3)


def _left_by(
    stack: Stack, disturb: Mapping[float, Callable[[], None]] | None = None, work: tuple[str, ...] = WORK
) -> dict[str, str]:
    """Strips and shards of a run that makes everything anew."""
    stack.forget()
    run = stack.submit(*work)
    stack.await_done(run, disturb)
    counts = stack.counts(run)
    assert counts["done"] == sum(counts.values()), counts
    return stack.files("strips", "shards")


def test_a_killed_cpu_worker(stack, undisturbed):
    assert _left_by(stack, {0.3: lambda: stack.kill(stack.containers("cpu-worker")[0])}) == undisturbed


def test_scaling_from_one_to_three_and_back(stack):
    """One worker has to have work left for as long as two more take to start."""
    undisturbed = _left_by(stack, work=LONG_WORK)
    stack.scale_down("cpu-worker", 1)

    def up() -> None:
        stack.up(cpu_worker=3)
        hosts = {_host(name) for name in stack.containers("cpu-worker")}
        assert len(hosts) == 3
        give_up = time.monotonic() + WORKS_AGAIN_WITHIN_S
        while (seen := _hosts_at_work(stack)) != hosts:
            assert time.monotonic() < give_up, seen
            assert stack.sql(f"SELECT count(*) > 0 FROM item WHERE run_id = {THIS_RUN} AND state <> 'done'") == [["t"]]
            time.sleep(0.2)
        stack.scale_down("cpu-worker", 1)

    assert _left_by(stack, {0.1: up}, LONG_WORK) == undisturbed
    assert len(_hosts_at_work(stack)) == 3
    assert stack.sql(f"SELECT max(attempts), max(lost_claims) FROM item WHERE run_id = {THIS_RUN}") == [["1", "0"]]


def test_a_killed_dispatcher_is_followed_by_the_one_that_stood_by(stack, undisturbed):
    took_s: list[float] = []

    def kill() -> None:
        active, began_s = _dispatching(stack), time.monotonic()
        podman("kill", active)
        while _dispatching(stack) in ("", active):
            assert time.monotonic() - began_s < TAKEN_OVER_WITHIN_S
            time.sleep(0.1)
        took_s.append(time.monotonic() - began_s)
        podman("start", active)

    assert _left_by(stack, {0.3: kill}) == undisturbed
    assert took_s[0] < TAKEN_OVER_WITHIN_S
    print(f"the second dispatcher took over after {took_s[0]:.1f} s")


def test_a_killed_broker_whose_volume_is_kept_and_then_wiped(stack, undisturbed):
    def wipe() -> None:
        broker = stack.only("redis")
        podman("kill", broker)
        podman("wait", broker)
        volume = Path(podman("volume", "inspect", f"{stack.project}_redis", "--format", "{{.Mountpoint}}"))
        for path in volume.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        podman("start", broker)

    assert _left_by(stack, {0.2: lambda: stack.kill(stack.only("redis")), 0.6: wipe}) == undisturbed


def test_a_killed_database(stack, undisturbed):
    def kill() -> None:
        stack.kill(stack.only("postgres"))
        stack.await_database()

    assert _left_by(stack, {0.3: kill}) == undisturbed


def test_a_worker_cut_off_for_a_minute_and_joined_again_has_no_double_effect(stack, undisturbed):
    """A connection whose other end is gone without a word is given up after twenty seconds, and tried again."""
    network, cut = f"{stack.project}_default", stack.containers("cpu-worker")[-1]
    host = _host(cut)
    cut_at_s: list[float] = []

    def cut_off() -> None:
        podman("network", "disconnect", network, cut)
        cut_at_s.append(time.monotonic())

    assert _left_by(stack, {0.3: cut_off}) == undisturbed
    ((disturbed,),) = stack.sql(f"SELECT {THIS_RUN}")
    ended = _rows(stack, disturbed)
    time.sleep(max(0.0, cut_at_s[0] + CUT_OFF_S - time.monotonic()))
    podman("network", "connect", network, cut)
    time.sleep(BACK_WITHIN_S)  # whatever it still wanted to write, it has tried by now
    assert (_rows(stack, disturbed), stack.files("strips", "shards")) == (ended, undisturbed)
    give_up = time.monotonic() + WORKS_AGAIN_WITHIN_S
    while True:
        assert _left_by(stack) == undisturbed
        if host in _hosts_at_work(stack):
            break
        assert time.monotonic() < give_up, stack.log(cut)[-3000:]
    assert _rows(stack, disturbed) == ended


def _rows(stack: Stack, run: str) -> list[list[str]]:
    """All that the ledger says of the run's items, and how many of each state it counts."""
    items = stack.sql(
        f"SELECT id, state, attempts, fence, worker, finished_at FROM item WHERE run_id = {run} ORDER BY id"
    )
    return [*items, *stack.sql(f"SELECT state, sum(n) FROM counter WHERE run_id = {run} GROUP BY 1 ORDER BY 1")]


def _host(container: str) -> str:
    return podman("inspect", container, "--format", "{{.Config.Hostname}}")


def _hosts_at_work(stack: Stack) -> set[str]:
    """Hosts that have claimed items of the last run."""
    rows = stack.sql(f"SELECT DISTINCT worker FROM item WHERE run_id = {THIS_RUN} AND worker IS NOT NULL")
    return {row[0].partition("@")[2] for row in rows}


def _dispatching(stack: Stack) -> str:
    """The container of the leading dispatcher; "" if there is none."""
    holder = stack.sql(
        "SELECT host(client_addr) FROM pg_locks JOIN pg_stat_activity USING (pid) "
        "WHERE locktype = 'advisory' AND granted AND application_name = 'dawn-chorus dispatcher'"
    )
    address = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    addresses = {podman("inspect", name, "--format", address): name for name in stack.containers("dispatcher")}
    return addresses.get(holder[0][0], "another's") if holder else ""
