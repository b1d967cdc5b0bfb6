"""Revisions of files that are named by content: raised when equal inputs would give other bytes or another name."""

from __future__ import annotations

SHARDS = 4
"""Of shards and their index. Up to 3, names did not tell apart values that held the separator between them."""
