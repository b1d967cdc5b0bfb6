"""Recordings on both sides of a split: tested, while their group or an exact copy is trained on."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import Any, NamedTuple

import sqlalchemy as sa

from db.engine import Database
from db.named_rows import rows_as
from db.schema.tables import Item, Recording
from domain.subsets import Subset

CROSSING_CSV = "-crossing.csv"
"""End of the name of the table beside a report."""

SIDE = sa.case((Item.fold >= 0, Item.fold), (Item.subset == Subset.TEST, -1), else_=-2)
"""One number for each side of a split: a fold, the test subset, or the rest."""


class Crossing(NamedTuple):
    """A tested recording that crosses. fold: -1 in a holdout."""

    recording: str
    label: str
    group: str
    fold: int

    @property
    def part(self) -> str:
        """Where it is tested."""
        return f"fold {self.fold}" if self.fold >= 0 else Subset.TEST.word


@dataclass(frozen=True)
class Crossings:
    """The recordings that cross, sorted by URI, and their groups."""

    recordings: tuple[Crossing, ...] = ()

    @property
    def groups(self) -> frozenset[str]:
        """The groups on both sides."""
        return frozenset(each.group for each in self.recordings)

    def as_csv(self) -> bytes:
        """A table with one row for each recording, in UTF-8."""
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(("recording", "label", "group", "part"))
        table.writerows((each.recording, each.label, each.group, each.part) for each in self.recordings)
        return text.getvalue().encode()


def crossings(database: Database, run: int, split: dict[str, Any], options: dict[str, Any]) -> Crossings:
    """The run's recordings that are tested and whose group, or an exact copy, is trained on.

    split, options: of the run. Rows are read only if the plan counted leaks, or could not because the csv was trusted.
    """
    if not split.get("leaks") and not options.get("trust_csv"):
        return Crossings()

    def on_both_sides(what: sa.SQLColumnExpression[str]) -> sa.Select[Any]:
        items = sa.select(what).select_from(Item).join(Recording, Recording.id == Item.recording_id)
        return items.where(Item.run_id == run, what != "").group_by(what).having(sa.func.count(sa.distinct(SIDE)) > 1)

    crosses = sa.or_(
        Item.group_name.in_(on_both_sides(Item.group_name)), Recording.digest.in_(on_both_sides(Recording.digest))
    )
    query = (
        sa.select(Recording.uri.label("recording"), Recording.label, Item.group_name.label("group"), Item.fold)
        .select_from(Item)
        .join(Recording, Recording.id == Item.recording_id)
        .where(Item.run_id == run, sa.or_(Item.fold >= 0, Item.subset == Subset.TEST), crosses)
        .distinct()
    )
    with database.read() as connection:
        return Crossings(tuple(sorted(rows_as(Crossing, connection.execute(query)))))
