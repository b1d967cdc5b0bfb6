"""What a judging leaves in the store: files that are named by their own digests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePosixPath
from typing import TypeVar

from db.store.interface import Store
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
    """What a judging wrote under the key. Raises Damaged where it is gone, or is not what the key is named by."""
    try:
        data = store.get(key)
    except FileNotFoundError as error:
        raise Damaged(f"{key} is gone from the store") from error
    if not content_digest(data).startswith(PurePosixPath(key).stem):
        raise Damaged(f"{key} is not what was written")
    return understood(data)
