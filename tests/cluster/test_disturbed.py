"""Whatever is killed, wiped, cut off or scaled in the middle of a run: the same strips and shards, byte for byte."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from tests.cluster.containers import Stack, podman

pytestmark = pytest.mark.cluster

WORK = ("/data/esc10/labels.csv", "--preset", "/data/twice.toml", "--until", "pack")
CUT_OFF_S = 60.0
TAKEN_OVER_WITHIN_S = 15.0
WORKS_AGAIN_WITHIN_S = 240.0


@pytest.fixture(scope="module")
def undisturbed(stack: Stack) -> dict[str, str]:
    """What an undisturbed run leaves."""
    return _left_by(stack)


@pytest.fixture(autouse=True)
def three_workers(stack: Stack) -> None:
    stack.up(cpu_worker=3)


def _left_by(stack: Stack, disturb=None) -> dict[str, str]:
    """Strips and shards of a run that makes everything anew."""
    stack.forget()
    run = stack.submit(*WORK)
    stack.await_done(run, disturb)
    counts = stack.counts(run)
    assert counts["done"] == sum(counts.values()), counts
    return stack.files("strips", "shards")


def test_a_killed_cpu_worker(stack, undisturbed):
    assert _left_by(stack, {0.3: lambda: stack.kill(stack.containers("cpu-worker")[0])}) == undisturbed


def test_scaling_from_one_to_three_and_back(stack, undisturbed):
    stack.scale_down("cpu-worker", 1)
    hosts = set()

    def up() -> None:
        stack.up(cpu_worker=3)

    def down() -> None:
        hosts.update(row[0] for row in stack.sql("SELECT DISTINCT worker FROM item WHERE worker IS NOT NULL"))
        stack.scale_down("cpu-worker", 1)

    assert _left_by(stack, {0.1: up, 0.7: down}) == undisturbed
    assert stack.sql("SELECT count(*) FROM item WHERE losses > 0 AND run_id = (SELECT max(id) FROM run)") == [["0"]]


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
    network, cut = f"{stack.project}_default", stack.containers("cpu-worker")[-1]
    cut_at_s: list[float] = []

    def cut_off() -> None:
        podman("network", "disconnect", network, cut)
        cut_at_s.append(time.monotonic())

    assert _left_by(stack, {0.3: cut_off}) == undisturbed
    time.sleep(max(0.0, cut_at_s[0] + CUT_OFF_S - time.monotonic()))
    podman("network", "connect", network, cut)
    host = podman("inspect", cut, "--format", "{{.Config.Hostname}}")
    give_up = time.monotonic() + WORKS_AGAIN_WITHIN_S
    while not _took_part(stack, host, undisturbed):
        assert time.monotonic() < give_up, stack.log(cut)[-3000:]


def _took_part(stack: Stack, host: str, undisturbed: dict[str, str]) -> bool:
    assert _left_by(stack) == undisturbed
    return stack.sql(
        f"SELECT count(*) > 0 FROM item WHERE run_id = (SELECT max(id) FROM run) AND worker LIKE '%@{host}'"
    ) == [["t"]]


def _dispatching(stack: Stack) -> str:
    """The container of the dispatcher whose turn it is; "" while it is nobody's."""
    holder = stack.sql(
        "SELECT host(client_addr) FROM pg_locks JOIN pg_stat_activity USING (pid) "
        "WHERE locktype = 'advisory' AND granted AND application_name = 'dawn-chorus dispatcher'"
    )
    address = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    addresses = {podman("inspect", name, "--format", address): name for name in stack.containers("dispatcher")}
    return addresses.get(holder[0][0], "another's") if holder else ""
