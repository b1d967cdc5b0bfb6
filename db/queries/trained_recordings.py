"""Recordings of a prediction that its model was trained on."""

from __future__ import annotations

import sqlalchemy as sa

from db.engine import Database
from db.schema.tables import Item, Recording, Run
from domain.subsets import HOLDOUT, Subset


def n_trained_on(database: Database, run: int) -> int:
    """Return how many recordings of a prediction have the bytes of a recording that its model was trained on.

    The validation subset counts as training: it chose the weights. The mean of all folds has seen every recording.
    0 for a model of files, whose training is not in this ledger.
    """
    with database.read() as connection:
        options = connection.scalar(sa.select(Run.options).where(Run.id == run)) or {}
        source = options.get("prediction", {}).get("source")
        if not source:
            return 0
        is_in_folds, is_test = Item.fold != HOLDOUT, Item.subset == Subset.TEST
        is_left_out = sa.and_(is_in_folds, Item.fold == source["fold"]) if source["fold"] is not None else sa.false()
        was_seen = sa.or_(sa.and_(is_in_folds, ~is_left_out), sa.and_(~is_in_folds, ~is_test))
        seen = (
            sa.select(Recording.digest).join(Item).where(Item.run_id == source["run"], was_seen, Recording.digest != "")
        )
        own = sa.select(sa.func.count(Item.recording_id.distinct())).join(Recording)
        return connection.scalar(own.where(Item.run_id == run, Recording.digest.in_(seen))) or 0
