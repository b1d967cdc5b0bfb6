"""Reading of stored files, verified against the digest that the ledger recorded."""

from __future__ import annotations

import math

from domain.stored_file import verified


class VerifiedReading:
    """Base of all stores: returns bytes only after their SHA-256 was compared."""

    def get(self, key: str, sha256: str | None, most_bytes: float = math.inf) -> bytes:
        """Return the key's bytes, verified against the recorded SHA-256 or the beginning of one.

        Raises: FileNotFoundError; Damaged if the bytes do not match; TooLarge, before reading, if there are more than
        most_bytes.
        """
        return verified(self.get_unverified(key, most_bytes), key, sha256)

    def get_unverified(self, key: str, most_bytes: float = math.inf) -> bytes:
        """Return the key's bytes unverified; each store reads them in its own way."""
        raise NotImplementedError
