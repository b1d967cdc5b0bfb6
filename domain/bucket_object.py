"""The metadata of an object in a bucket."""

from __future__ import annotations

from typing import NamedTuple


class BucketObject(NamedTuple):
    """An object's metadata at the time of a request.

    key: relative to the prefix.  version: its ETag, which changes with its bytes.
    """

    key: str
    size_bytes: int
    version: str
