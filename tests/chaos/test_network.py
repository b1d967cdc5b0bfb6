"""A worker behind a bad network: cut off from broker and database, or losing three packets in ten."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from db.engine import Database
from db.schema.upgrade import upgrade
from tests import servers
from tests.chaos.calm import Calm, assert_same
from tests.chaos.machines import at_milestones, machines, soon, submitted
from tests.chaos.networks import HERE, namespace, postgres_there, within

pytestmark = pytest.mark.long


def n_dropped(name: str) -> int:
    """Number of packets that its rules have dropped."""
    rules = within(name, "iptables", "-nvxL").splitlines()
    return sum(int(line.split()[0]) for line in rules if " DROP " in line)


def cut(name: str, seconds: float) -> None:
    """Drops all packets in both directions for so many seconds."""
    for chain in ("INPUT", "OUTPUT"):
        within(name, "iptables", "-A", chain, "-j", "DROP")
    soon(seconds, heal, name)


def heal(name: str) -> None:
    """Lets every packet pass; the rules stay behind, with their counts."""
    for chain in ("INPUT", "OUTPUT"):
        within(name, "iptables", "-I", chain, "-j", "ACCEPT")


def lose(name: str, share: str) -> None:
    """Drops incoming packets at random."""
    within(name, *f"iptables -A INPUT -m statistic --mode random --probability {share} -j DROP".split())


@pytest.mark.parametrize("fault", ["cut for 90 s", "30 % loss"])
def test_a_bad_network_heals_without_a_double_effect(fault: str, tmp_path: Path, undisturbed: Calm) -> None:
    user, port = servers.postgres_user(), servers.free_port()
    with ExitStack() as stack:
        name = stack.enter_context(namespace())
        broker = stack.enter_context(servers.private_folder("chorus-chaos"))
        command = [str(servers.redis_binary()), "--port", str(port), "--bind", HERE, "--protected-mode", "no"]
        stack.enter_context(servers.running([*command, "--save", "", "--dir", str(broker)], broker))
        server = stack.enter_context(postgres_there(user))
        server.execute('CREATE DATABASE "chaos"')
        url = server.url("chaos").replace("127.0.0.1", HERE)
        database = Database(url)
        upgrade(database)
        database.close()
        cluster = stack.enter_context(machines(tmp_path, f"redis://{HERE}:{port}/0", database_url=url))
        run = submitted(cluster, undisturbed.data)
        cluster.start_worker("far", prefix=["ip", "netns", "exec", name], CHAOS="slow=0.3")
        cluster.start_dispatcher()
        disturb = at_milestones(lambda: cut(name, 90) if fault.startswith("cut") else lose(name, "0.3"))
        seen = cluster.until_over(run, disturb, limit_s=600)
        assert not disturb.left
        assert n_dropped(name) > 20, "the network was as good as ever"
        assert_same(cluster.session, seen, undisturbed)
