"""Clocks an hour apart: leases use the database's clock, so none is taken early."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from db.engine import Database
from db.schema.tables import Item
from db.schema.upgrade import upgrade
from tests import servers
from tests.chaos.calm import Calm, assert_same
from tests.chaos.machines import machines, submitted

pytestmark = pytest.mark.long


def another_clock(offset: str) -> dict[str, str]:
    """What gives a process another clock. Not `faketime` itself: killed, it leaves the process it has started."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    library = found[0] if found else servers.absent("libfaketime", "apt-get install faketime")
    return {"LD_PRELOAD": str(library), "FAKETIME": offset}


def started_at(log: Path) -> datetime:
    """The time at the head of a worker's log, by its own clock."""
    first = re.search(r"^\[(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),", log.read_text(), re.M)
    assert first
    return datetime.fromisoformat(first[1])


@pytest.mark.parametrize("offset", ["+1h", "-1h"])
def test_no_lease_is_taken_from_a_worker_whose_clock_is_an_hour_off(
    offset: str, tmp_path: Path, redis_url: str, postgres_url: str, undisturbed: Calm
) -> None:
    database = Database(postgres_url)
    upgrade(database)
    database.close()
    with machines(tmp_path, redis_url, database_url=postgres_url, concurrency=1) as cluster:
        run = submitted(cluster, undisturbed.data)
        cluster.start_worker("late", CHAOS="slow=0.3", **another_clock(offset))
        cluster.start_worker("right", CHAOS="slow=0.3")
        cluster.start_dispatcher()
        seen = cluster.until_over(run)
        assert_same(cluster.session, seen, undisturbed)
        with cluster.session.database.read() as connection:
            assert connection.execute(sa.select(sa.func.max(Item.attempts))).scalar_one() == 1
            by_worker = dict(connection.execute(sa.select(Item.worker, sa.func.count()).group_by(Item.worker)).all())
        assert set(by_worker) == {"late@chaos", "right@chaos"}
        assert cluster.made() == undisturbed.each_once
        apart = abs(started_at(cluster.log("late")) - started_at(cluster.log("right")))
        assert timedelta(minutes=55) < apart < timedelta(minutes=65)
