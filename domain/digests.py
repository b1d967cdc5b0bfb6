"""Digests: names and numbers computed from bytes and values. No other module computes hashes.

A name made of several values must be unambiguous: ("a", "x|g") and ("a|x", "g") must give different names. `encoded`
ensures this. Some names keep an older encoding, because changing it would change every strip, every split or
every row of an existing ledger, and because each of them is unambiguous too: `augmentation_seed`, `uniform`,
`facts_digest` of `db.ledger.planning` (the `repr` of a tuple), `strip_key` of `tasks.preprocess` (digests and numbers)
and `identity_of` of `tasks.dataset.index` (one text after a fixed prefix).
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import IO, Any, TypeAlias

_BLOCK_BYTES = 1 << 20
Value: TypeAlias = "str | int | float | bool | Sequence[Value] | Mapping[str, Value] | None"

_AS_JSON = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)
_WRITERS: dict[type, Callable[[Any], str]] = {str: _AS_JSON.encode, int: repr, type(None): lambda _: "null"}


def encoded(value: Value) -> bytes:
    r"""Canonical JSON: sorted keys, no spaces, UTF-8. Different values give different bytes.

    Keys of mappings must be text. Lists and tuples are the same; 1, 1.0, True and "1" are not, nor are 0.0 and -0.0.
    Text is not normalised: NFC and NFD forms differ. Lone surrogates (bytes of a file name that are not UTF-8) are
    kept. The encoding never contains a line feed.

    >>> encoded(["a", "x|g"]), encoded(["a|x", "g"])
    (b'["a","x|g"]', b'["a|x","g"]')

    Raises: TypeError for anything that JSON does not have, such as bytes, sets or arrays.
    """
    text = _plain_list(value) if type(value) is list else ""
    return (text or _AS_JSON.encode(value)).encode("utf-8", "surrogatepass")


def _plain_list(values: list[Value]) -> str:
    """The JSON of a list of text, whole numbers and None, "" for other lists.

    Plans name two such lists an item; `JSONEncoder` builds an encoder for each, which takes three times as long.
    """
    try:
        return f"[{','.join([_WRITERS[type(value)](value) for value in values])}]"
    except KeyError:
        return ""


def digest_of(value: Value) -> str:
    """Return the SHA-256 of the value's encoding, 64 hexadecimal digits. Raises: TypeError as `encoded` does."""
    return hashlib.sha256(encoded(value)).hexdigest()


def number_of(value: Value) -> int:
    """Return the first 64 bits of the value's digest as a signed number. Raises: TypeError as `encoded` does."""
    return int.from_bytes(hashlib.sha256(encoded(value)).digest()[:8], "big", signed=True)


class Digest:
    """The SHA-256 of a stream of values: each is encoded and followed by a line feed."""

    def __init__(self, *first: Value) -> None:
        self._hash = hashlib.sha256()
        for value in first:
            self.add(value)

    def add(self, value: Value) -> None:
        """Add one more value. Raises: TypeError as `encoded` does."""
        self._hash.update(encoded(value) + b"\n")

    def hex(self) -> str:
        """64 hexadecimal digits of all values so far, in their order."""
        return self._hash.hexdigest()


def content_digest(data: bytes) -> str:
    """SHA-256 of bytes, 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def policy_source(script: str) -> str:
    """Return a script's digest as a Content-Security-Policy names it: "sha256-" and the base64 of the SHA-256."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"


def pieces_digest(pieces: Iterable[bytes | memoryview]) -> str:
    """SHA-256 of bytes that come in pieces, 64 hexadecimal digits."""
    whole = hashlib.sha256()
    for piece in pieces:
        whole.update(piece)
    return whole.hexdigest()


def file_digest(file: IO[bytes]) -> str:
    """Return the SHA-256 of an open file from its position to its end, 64 hexadecimal digits. Raises: OSError."""
    return pieces_digest(iter(lambda: file.read(_BLOCK_BYTES), b""))


def short_digest(text: str, key: bytes = b"") -> bytes:
    """8 bytes of BLAKE2b over one text, keyed with up to 64 bytes; for tables of millions of texts in memory."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8, key=key).digest()


def uniform(seed: int, *parts: str) -> float:
    """A number in [0, 1) that follows from the seed and the parts alone, on every machine.

    The encoding is unambiguous: ("ab", "c") and ("a", "bc") give different numbers. Splits depend on it, so it must not
    change.

    >>> uniform(1, "wren") == uniform(1, "wren"), uniform(1, "wren") == uniform(2, "wren")
    (True, False)
    """
    found = hashlib.sha256(ascii((seed, *parts)).encode("ascii")).digest()
    return (int.from_bytes(found[:8], "big") >> 11) / (1 << 53)


def augmentation_seed(pipeline_digest: str, recording_digest: str, chunk: int, copy: int) -> int:
    """Return a 32-bit seed for the augmented copy of a chunk. Strips depend on it, so its encoding must not change.

    Unambiguous, since both digests are 64 hexadecimal digits.
    """
    text = f"{pipeline_digest}/{recording_digest}/{chunk}/{copy}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
