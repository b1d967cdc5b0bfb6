"""A network of its own, which can be cut, and a PostgreSQL that it reaches."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tests import servers
from tests.chaos.machines import kernel_power

HERE, THERE = "10.213.7.1", "10.213.7.2"


@contextmanager
def namespace() -> Iterator[str]:
    """A network of its own, joined to this one by a pair of virtual cards."""
    name = f"chaos{os.getpid()}"
    outside, inside = f"o{os.getpid()}", f"i{os.getpid()}"
    kernel_power("ip", "netns", "add", name)
    try:
        for words in (
            ("ip", "link", "add", outside, "type", "veth", "peer", "name", inside, "netns", name),
            ("ip", "address", "add", f"{HERE}/30", "dev", outside),
            ("ip", "link", "set", outside, "up"),
            ("ip", "-n", name, "address", "add", f"{THERE}/30", "dev", inside),
            ("ip", "-n", name, "link", "set", inside, "up"),
            ("ip", "-n", name, "link", "set", "lo", "up"),
        ):
            kernel_power(*words)
        yield name
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)


def within(name: str, *words: str) -> str:
    return kernel_power("ip", "netns", "exec", name, *words)


def unplug(name: str) -> None:
    """Takes the network's card down, without a word to the other end."""
    within(name, *["ip", "link", "set"], f"i{os.getpid()}", "down")


@contextmanager
def postgres_there(user: str | None) -> Iterator[servers.Postgres]:
    """A server that the network reaches at HERE, and this one also at 127.0.0.1."""
    with servers.private_folder("chorus-pg", owner=user) as folder, servers.postgres(folder, user) as first:
        first.service.end()
        (folder / "data" / "pg_hba.conf").write_text(f"host all all {HERE}/30 trust\nhost all all 127.0.0.1/32 trust\n")
        addresses = f"127.0.0.1,{HERE}"
        with servers.postgres_again(folder, user, first.port, listen_addresses=addresses) as server:
            yield server
