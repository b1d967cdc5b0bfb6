"""Hypothesis profiles: no deadline, because machines may be busy; a failure prints how to reproduce it."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("few", max_examples=20, deadline=None, print_blob=True)
settings.register_profile("many", max_examples=100, deadline=None, print_blob=True)
settings.load_profile("few")
