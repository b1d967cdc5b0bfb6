"""Clocks an hour apart: leases are reckoned by the database's clock, so none is taken early."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import sqlalchemy as sa

from db.schema import upgrade
from db.session import Database
from db.tables import Item
from tests import services
from tests.chaos.machines import Calm, assert_same, machines, submitted

pytestmark = [pytest.mark.chaos, pytest.mark.long]


@pytest.mark.parametrize("offset", ["+1h", "-1h"])
def test_no_lease_is_taken_from_a_worker_whose_clock_is_an_hour_off(
    offset: str, tmp_path: Path, redis_url: str, postgres_url: str, undisturbed: Calm
) -> None:
    faketime = shutil.which("faketime") or services.absent("faketime", "apt-get install faketime")
    database = Database(postgres_url)
    upgrade(database)
    database.close()
    with machines(tmp_path, redis_url, database_url=postgres_url, concurrency=1) as cluster:
        run = submitted(cluster, undisturbed.data)
        prefix = [faketime, "-f", offset]
        cluster.start_worker("late", prefix=prefix, CHAOS="slow=0.3")
        cluster.start_worker("right", CHAOS="slow=0.3")
        cluster.start_dispatcher()
        seen = cluster.until_over(run)
        assert_same(cluster.session, seen, undisturbed)
        with cluster.session.database.read() as connection:
            assert connection.execute(sa.select(sa.func.max(Item.attempts))).scalar_one() == 1
            by_worker = dict(connection.execute(sa.select(Item.worker, sa.func.count()).group_by(Item.worker)).all())
        assert set(by_worker) == {"late@chaos", "right@chaos"}
