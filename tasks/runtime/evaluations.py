"""Files that evaluations leave in the store; each is named by its own digest."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from db.store.interface import Store
from db.store.keys import named_digest
from domain.digests import content_digest
from domain.errors import Damaged
from domain.results import FileRole, LeftFile

_T = TypeVar("_T")


_ENDINGS = {FileRole.EVALUATION: "json", FileRole.OUTCOMES: "parquet", FileRole.PICTURES: "npz"}


def keep(store: Store, data: bytes, role: FileRole) -> LeftFile:
    """Writes the file under a name made of its digest, with the ending of its role."""
    digest = content_digest(data)
    key = f"evaluations/{digest[:32]}.{_ENDINGS[role]}"
    store.put(key, data)
    return LeftFile(key, role, len(data), digest)


def read(store: Store, key: str, understood: Callable[[bytes], _T]) -> _T:
    """Return what an evaluation wrote under the key.

    Raises: Damaged, where the file is gone, or its digest is not the one in the key.
    """
    try:
        return understood(store.get(key, named_digest(key)))
    except FileNotFoundError as error:
        raise Damaged(f"{key} is gone from the store") from error
