"""Files that evaluations write to the store, each named by its own digest."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from db.store.interface import Store
from db.store.keys import named_digest
from domain.digests import content_digest
from domain.errors import Damaged
from domain.results import FileRole, OutputFile

_T = TypeVar("_T")


_ENDINGS = {FileRole.EVALUATION: "json", FileRole.OUTCOMES: "parquet", FileRole.PICTURES: "npz"}


def write(store: Store, data: bytes, role: FileRole) -> OutputFile:
    """Write the file under a key made from its digest and the file extension of its role."""
    digest = content_digest(data)
    key = f"evaluations/{digest[:32]}.{_ENDINGS[role]}"
    store.put(key, data)
    return OutputFile(key, role, len(data), digest)


def read(store: Store, key: str, parse: Callable[[bytes], _T]) -> _T:
    """Return what an evaluation wrote under the key, as parsed by `parse`.

    Raises: Damaged if the file is missing or its digest is not the one in the key.
    """
    try:
        return parse(store.get(key, named_digest(key)))
    except FileNotFoundError as error:
        raise Damaged(f"{key} is missing from the store") from error
