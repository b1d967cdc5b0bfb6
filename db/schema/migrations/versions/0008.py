"""The files of finished jobs are rows of their own; tables and columns take the words of the glossary."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_PAGE = 1000
_RENAMED = (("own_deaths", "crashes"), ("losses", "lost_claims"), ("side", "subset"))
"""Columns of items and jobs, then and now."""
_PACKED_ORDER = "ix_item_run_id_pipeline_id_fold_{}_order_key"


def upgrade() -> None:
    """Adds the table, and a row for each file that a job's result names; sizes were not recorded. Then renames.

    Workers of an older version would look for the old names: all of them are stopped before.
    """
    op.create_table(
        "job_file",
        sa.Column("job_id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("role", sa.String(length=12), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=True),
        sa.Column("sha256", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name="fk_job_file_job_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", "key", name="pk_job_file"),
    )
    op.create_index("ix_job_file_key", "job_file", ["key"])
    _fill_job_files(op.get_bind())
    _rename({old: new for old, new in _RENAMED}, "tally", "counter")


def downgrade() -> None:
    """The results of the jobs still name the files."""
    _rename({new: old for old, new in _RENAMED}, "counter", "tally")
    op.drop_index("ix_job_file_key", "job_file")
    op.drop_table("job_file")


def _rename(columns: dict[str, str], counters: str, counters_now: str) -> None:
    """Renames in place: no row is copied. An index that is named after its columns is made again."""
    subset = "side" if "side" in columns else "subset"
    op.drop_index(_PACKED_ORDER.format(subset), "item")
    for table in ("item", "job"):
        for name, name_now in columns.items():
            op.alter_column(table, name, new_column_name=name_now)
    names = ["run_id", "pipeline_id", "fold", columns[subset], "order_key"]
    op.create_index(_PACKED_ORDER.format(columns[subset]), "item", names)
    op.rename_table(counters, counters_now)
    if op.get_bind().dialect.name == "postgresql":  # SQLite does not look a constraint up by its name
        for name in ("pk_{}", "fk_{}_run_id"):
            old, new = name.format(counters), name.format(counters_now)
            op.execute(f"ALTER TABLE {counters_now} RENAME CONSTRAINT {old} TO {new}")


def _fill_job_files(connection: sa.Connection) -> None:
    job = sa.table("job", sa.column("id", sa.BigInteger), sa.column("kind", sa.String), sa.column("result", sa.JSON))
    names = ("job_id", "key", "role", "sha256")
    file = sa.table("job_file", *map(sa.column, names))
    last = 0
    while True:
        query = sa.select(job.c.id, job.c.kind, job.c.result).where(job.c.id > last).order_by(job.c.id).limit(_PAGE)
        page = connection.execute(query).all()
        rows = [dict(zip(names, (row.id, *of), strict=True)) for row in page for of in _files(row.kind, row.result)]
        if rows:
            connection.execute(sa.insert(file), rows)
        if len(page) < _PAGE:
            return
        last = page[-1].id


def _files(kind: str, result: dict[str, Any]) -> Iterator[tuple[str, str, str | None]]:
    """Key, role and SHA-256 of each file that a result of version 0.1.0 or older names, each key once."""
    found: dict[str, tuple[str, str, str | None]] = {}
    for key, role, digest in _named(kind, result or {}):
        found.setdefault(key, (key, role, digest))
    yield from found.values()


def _named(kind: str, result: dict[str, Any]) -> Iterator[tuple[str, str, str | None]]:
    if kind == "pack":
        for key, digest in zip_longest(result.get("shards", ()), result.get("sha256", ())):
            yield key, "shard", digest
        if "key" in result:
            yield f"{result['key']}/index.json", "index", result.get("index_sha256")
    elif "key" in result:
        role = {"train": "model", "evaluate": "evaluation", "render": "report"}[kind]
        yield result["key"], role, result.get("sha256")
    for name, role in (("outcomes_key", "outcomes"), ("pictures_key", "pictures")):
        if name in result:
            yield result[name], role, None
    painted = zip_longest(result.get("synthetic_shards", ()), result.get("synthetic_sha256", ()))
    yield from ((key, "synthetic", digest) for key, digest in painted)
