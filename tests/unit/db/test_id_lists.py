"""Ids in statements are one parameter, on both databases."""

from __future__ import annotations

import re
from collections.abc import Collection

import sqlalchemy as sa

from db.engine import Database
from db.id_lists import is_one_of
from db.schema.tables import Item, Table
from domain.states import CLAIMABLE

NUMBERS = sa.table("numbers", sa.column("n", sa.BigInteger))


def test_finds_what_is_among_the_ids(database: Database) -> None:
    """One list after the other, so that later ones find what SQLAlchemy has compiled for the first."""
    lists: list[Collection[int]] = [[], [2], range(2, 7), {5: "a", 3: "b"}, range(-3000, 3000), [2**62, 7]]
    numbers = {*range(9), 2**62}
    with database.write() as connection:
        connection.exec_driver_sql("CREATE TABLE numbers (n BIGINT)")
        connection.execute(NUMBERS.insert(), [{"n": n} for n in numbers])
        for ids in lists:
            found = connection.scalars(sa.select(NUMBERS.c.n).where(is_one_of(NUMBERS.c.n, ids)))
            others = connection.scalars(sa.select(NUMBERS.c.n).where(~is_one_of(NUMBERS.c.n, ids)))
            assert set(found) == {*ids} & numbers
            assert set(others) == numbers - {*ids}


def test_lists_of_all_lengths_are_one_statement(database: Database) -> None:
    how = {"dialect": database.engine.dialect, "compile_kwargs": {"render_postcompile": True}}
    assert len({str(is_one_of(Item.id, range(n)).compile(**how)) for n in (0, 1, 2, 300)}) == 1


def test_sqlite_looks_items_up_by_their_ids(sqlite_url: str) -> None:
    """It must not walk through a run's items, of which there may be a hundred million."""
    database = Database(sqlite_url)
    is_free = (is_one_of(Item.id, [1, 2]), Item.run_id == 1, Item.state.in_(CLAIMABLE))
    for query in (sa.select(Item.id).where(*is_free).order_by(Item.id), sa.select(Item.span).where(is_free[0])):
        asked = query.compile(database.engine, compile_kwargs={"render_postcompile": True})
        with database.write() as connection:
            Table.metadata.create_all(connection)
            values = tuple("[1]" for _ in asked.positiontup or ())
            steps = [row.detail for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {asked}", values)]
        (of_items,) = [step for step in steps if " item " in step]
        assert of_items.startswith("SEARCH")
        assert re.search(r"\b(row)?id=\?\)", of_items)
    database.close()
