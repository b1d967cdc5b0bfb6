"""A full disk under the store, the database or the broker: the run waits for space and continues."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from db.engine import Database
from db.schema.upgrade import upgrade
from tests.chaos.calm import Calm, assert_same
from tests.chaos.machines import Broker, at_milestones, begun, machines, small_disk, soon

pytestmark = pytest.mark.long

FULL_FOR_S = 15


def fill(disk: Path) -> None:
    """Fills the disk, and frees the space after a while."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
    soon(FULL_FOR_S, ballast.unlink)


@pytest.mark.parametrize("place", ["store", "database", "broker"])
def test_a_full_disk_costs_time_and_nothing_else(
    place: str, tmp_path: Path, broker_folder: Path, undisturbed: Calm
) -> None:
    with ExitStack() as stack:
        disks = {
            name: stack.enter_context(small_disk(folder, "8m")) if name == place else folder
            for name, folder in {"store": tmp_path / "s", "database": tmp_path / "d", "broker": broker_folder}.items()
        }
        broker = stack.enter_context(Broker(disks["broker"]))
        disks["database"].mkdir(exist_ok=True)
        url = f"sqlite:///{disks['database'] / 'ledger.sqlite'}"
        database = Database(url)
        upgrade(database)
        database.close()
        settings = {"store_url": str(disks["store"]), "database_url": url}
        cluster = stack.enter_context(machines(tmp_path, broker.url, **settings))
        run = begun(cluster, undisturbed.data, CHAOS="slow=0.2")
        disturb = at_milestones(lambda: fill(disks[place]))
        seen = cluster.until_over(run, disturb)
        assert not disturb.left
        assert_same(cluster.session, seen, undisturbed)
