"""A list of ids in a statement, as one parameter.

One parameter per id would make a different statement for each length of the list, and SQLite caches every one.
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
    """Whether the column's value is one of the ids; false for an empty list."""
    return _IsOneOf(column, sa.bindparam(None, list(ids), type_=_IDS, unique=True))


_IDS = sa.JSON().with_variant(ARRAY(sa.BigInteger), "postgresql")


class _IsOneOf(FunctionElement[bool]):
    """Whether a column's value is one of the ids in one parameter."""

    type = sa.Boolean()
    inherit_cache = True

    def self_group(self, against: Any = None) -> _IsOneOf:  # noqa: ARG002  # SQLAlchemy's signature
        """Return self: it is a condition already. SQLAlchemy would compare a function's value with 1."""
        return self


@compiles(_IsOneOf, "sqlite")
def _is_one_of_sqlite(element: _IsOneOf, compiler: SQLCompiler, **kw: Any) -> str:
    column, ids = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"({column} IN (SELECT value FROM json_each({ids})))"  # noqa: S608  # both come from SQLAlchemy's compiler


@compiles(_IsOneOf, "postgresql")
def _is_one_of_postgresql(element: _IsOneOf, compiler: SQLCompiler, **kw: Any) -> str:
    column, ids = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"({column} = ANY ({ids}))"
