"""Revisions of file formats, increased if equal inputs give other bytes or another name than before."""

from __future__ import annotations

SHARDS = 4
"""Revision of shards and their index. Up to 3, names were ambiguous for values that contained the separator."""
