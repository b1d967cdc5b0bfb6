"""What a judging leaves in the store: files that are named by their own digests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePosixPath
from typing import TypeVar

from db.store.interface import Store
from domain.digests import content_digest
from domain.errors import Damaged

_T = TypeVar("_T")


def keep(store: Store, data: bytes, kind: str) -> str:
    """Writes the file; returns its key. kind: what its name ends in, without a dot."""
    key = f"evaluations/{content_digest(data)[:32]}.{kind}"
    store.put(key, data)
    return key


def read(store: Store, key: str, understood: Callable[[bytes], _T]) -> _T:
    """What a judging wrote under the key. Raises Damaged where it is gone, or is not what the key is named by."""
    try:
        data = store.get(key)
    except FileNotFoundError as error:
        raise Damaged(f"{key} is gone from the store") from error
    if not content_digest(data).startswith(PurePosixPath(key).stem):
        raise Damaged(f"{key} is not what was written")
    return understood(data)
