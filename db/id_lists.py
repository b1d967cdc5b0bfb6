"""A list of ids in a statement, as one parameter.

As a parameter each they would make a statement of their own for each length, and SQLite keeps what it has prepared.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


def is_one_of(column: sa.SQLColumnExpression[int], ids: Collection[int]) -> sa.ColumnElement[bool]:
    """Whether the column's value is among the ids; of none it is not."""
    return _Among(column, sa.bindparam(None, list(ids), type_=_IDS, unique=True))


_IDS = sa.JSON().with_variant(ARRAY(sa.BigInteger), "postgresql")


class _Among(FunctionElement[bool]):
    """Whether a column's value is among the ids of one parameter."""

    type = sa.Boolean()
    inherit_cache = True

    def self_group(self, against: Any = None) -> _Among:  # noqa: ARG002  # SQLAlchemy's name
        """A condition by itself: SQLAlchemy would have a function's answer compared with 1."""
        return self


@compiles(_Among, "sqlite")
def _among_sqlite(element: _Among, compiler: SQLCompiler, **kw: Any) -> str:
    column, ids = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"({column} IN (SELECT value FROM json_each({ids})))"  # noqa: S608  # both are SQLAlchemy's


@compiles(_Among, "postgresql")
def _among_postgresql(element: _Among, compiler: SQLCompiler, **kw: Any) -> str:
    column, ids = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"({column} = ANY ({ids}))"
