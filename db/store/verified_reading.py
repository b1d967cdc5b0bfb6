"""Reading a file of the store together with the digest that the ledger recorded for it."""

from __future__ import annotations

import math

from domain.stored_file import verified


class VerifiedReading:
    """What stores have in common: bytes leave them only after their SHA-256 was compared."""

    def get(self, key: str, sha256: str | None, most_bytes: float = math.inf) -> bytes:
        """Return the key's bytes, verified against the recorded SHA-256, which may be only its beginning.

        Raises: FileNotFoundError; Damaged, where they are not what was written; TooLarge, before any is read, where
        they are more than most_bytes.
        """
        return verified(self.get_unverified(key, most_bytes), key, sha256)

    def get_unverified(self, key: str, most_bytes: float = math.inf) -> bytes:
        """Return the key's bytes as they are; each store reads them in its own way."""
        raise NotImplementedError
