"""Rows of a query as values of a class, matched by column names."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

from sqlalchemy.engine import CursorResult, Result

_Value = TypeVar("_Value")


def rows_as(kind: type[_Value], result: CursorResult[Any] | Result[Any]) -> list[_Value]:
    """Return each row as a value of the dataclass or named tuple whose fields are the query's columns, in that order.

    The names are compared once for all rows: a dictionary per row would take a tenth of a claim's time.
    Raises: TypeError if the columns are not the fields.
    """
    names = tuple(field.name for field in fields(kind)) if is_dataclass(kind) else getattr(kind, "_fields", ())
    if tuple(result.keys()) != names:
        raise TypeError(f"{kind.__name__} has the fields {names}, and the query has the columns {tuple(result.keys())}")
    make: Any = kind
    return [make(*row) for row in result]
