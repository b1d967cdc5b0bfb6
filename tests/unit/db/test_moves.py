"""Lists of ids in statements have few lengths, and mean the same."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from db.moves import is_one_of
from db.tables import Item


@pytest.mark.parametrize(
    ("n", "n_listed"), [(0, 0), (1, 1), (2, 2), (3, 4), (4, 4), (5, 8), (200, 256), (257, 512), (1024, 1024)]
)
def test_a_list_is_as_long_as_a_power_of_two_and_holds_the_same(n: int, n_listed: int) -> None:
    condition = is_one_of(Item.id, range(7, 7 + n))
    (listed,) = condition.compile().params.values()
    assert len(listed) == n_listed
    assert set(listed) == set(range(7, 7 + n))


@pytest.mark.parametrize("n", [0, 1, 5])
def test_a_list_finds_what_is_in_it(n: int) -> None:
    numbers = sa.table("numbers", sa.column("n", sa.Integer))
    with sa.create_engine("sqlite://").connect() as connection:
        connection.exec_driver_sql("CREATE TABLE numbers (n INTEGER)")
        connection.execute(numbers.insert(), [{"n": number} for number in range(9)])
        found = connection.scalars(sa.select(numbers.c.n).where(is_one_of(numbers.c.n, list(range(2, 2 + n)))))
        assert list(found) == list(range(2, 2 + n))
