"""Rows for the files of jobs, codes for reasons, and the glossary's words in tables and columns."""

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
"""Old and new names of columns of items and jobs."""
_PACKED_ORDER = "ix_item_run_id_pipeline_id_fold_{}_order_key"

_OF_WORK = (
    ("unreadable:", "unreadable"),
    ("empty:", "empty"),
    ("too short:", "too_short"),
    ("silent:", "silent"),
    ("unsupported format:", "unsupported_format"),
    ("header and content disagree:", "header_mismatch"),
    ("missing:", "missing"),
    ("changed since it was planned", "changed"),
    ("outside the dataset folder", "outside_dataset"),
    ("ended its process ", "crashed_worker"),
    ("still at work after ", "crashed_worker"),
    ("lost its worker ", "worker_lost"),
    ("Worker exited prematurely", "worker_lost"),
    ("its worker stopped answering", "worker_lost"),
    ("its worker ended", "worker_stopped"),
    ("given up after ", "machine_fault"),
    ("its strip was taken out of the ledger", "strip_removed"),
    ("its strip is gone from the store", "file_lost"),
    ("its file is gone from the store", "file_lost"),
    ("the run was cancelled", "cancelled_by_user"),
    ("needs a ", "need_failed"),
    ("%`orchestrator doctor --repair` marks it", "damaged_file"),
    ("% failed: %; `orchestrator retry ", "items_failed"),
)
_OF_ROWS = (
    ("empty:", "empty"),
    ("outside the dataset folder", "outside_dataset"),
    ("missing file", "not_found"),
    ("empty path", "empty_path"),
    ("unreadable path", "unreadable_path"),
    ("unprintable name", "unprintable_name"),
    ("duplicate path", "duplicate_path"),
    ("unreadable row", "unreadable_row"),
    ("no label", "no_label"),
    ("empty label", "empty_label"),
    ("label too long", "label_too_long"),
    ("unprintable label", "unprintable_label"),
    ("name too long", "name_too_long"),
    ("fold is not a number", "bad_fold"),
    ("unknown split word", "bad_split"),
    ("linked folder is not followed", "linked_folder"),
    ("folder cannot be opened", "locked_folder"),
    ("cannot be opened", "no_permission"),
    ("cannot be read", "cannot_be_read"),
    ("changed while it was read", "changed_while_read"),
)
_TABLES = ("item", "job", "bad_row")


def upgrade() -> None:
    """Adds the table of files and the codes of reasons, then renames.

    Workers of an older version would look for the old names: all of them are stopped before.
    """
    _add_job_files()
    _add_reason_codes()
    _rename(dict(_RENAMED), "tally", "counter")


def downgrade() -> None:
    """Undo the changes; results still name the files, and the codes of reasons are lost."""
    _rename({new: old for old, new in _RENAMED}, "counter", "tally")
    for name in _TABLES:
        op.drop_column(name, "reason_code")
    op.drop_index("ix_job_file_key", "job_file")
    op.drop_table("job_file")


def _add_job_files() -> None:
    """Add the table, with a row for each file that a job's result names; sizes were not recorded."""
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


def _rename(columns: dict[str, str], counters: str, counters_now: str) -> None:
    """Rename in place, without copying rows. Indexes named after their columns are created again."""
    subset = "side" if "side" in columns else "subset"
    op.drop_index(_PACKED_ORDER.format(subset), "item")
    for table in ("item", "job"):
        for name, name_now in columns.items():
            op.alter_column(table, name, new_column_name=name_now)
    names = ["run_id", "pipeline_id", "fold", columns[subset], "order_key"]
    op.create_index(_PACKED_ORDER.format(columns[subset]), "item", names)
    op.rename_table(counters, counters_now)
    if op.get_bind().dialect.name == "postgresql":  # SQLite never looks up a constraint by name
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
    """Key, role and SHA-256 of each file in a result of version 0.1.0 or older, each key once."""
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
    generated = zip_longest(result.get("synthetic_shards", ()), result.get("synthetic_sha256", ()))
    yield from ((key, "synthetic", digest) for key, digest in generated)


def _add_reason_codes() -> None:
    """Add the column, and fill it once from the beginnings of older versions' sentences."""
    for name in _TABLES:
        op.add_column(name, sa.Column("reason_code", sa.String(40), nullable=True))
        is_row = name == "bad_row"
        table = sa.table(name, sa.column("reason"), sa.column("reason_code"), sa.column("state"))
        beginnings = _OF_ROWS if is_row else _OF_WORK
        cases: list[tuple[sa.ColumnElement[bool], str]] = [
            (table.c.reason.like(f"{begin}%"), code) for begin, code in beginnings
        ]
        if not is_row:  # sentences of impossible requests and of repeated faults vary
            cases += [
                (table.c.state == "failed", "impossible"),
                (table.c.state.in_(("waiting", "sent")), "machine_fault"),
            ]
        code = sa.case(*cases, else_="unknown")
        op.execute(sa.update(table).where(table.c.reason.is_not(None)).values(reason_code=code))
