"""A cpu worker's app of the next version: its messages have another number."""

from __future__ import annotations

from tasks.runtime import messages

messages.VERSION += 1

from workers.app import app  # noqa: E402  # after the version is set

__all__ = ["app"]
