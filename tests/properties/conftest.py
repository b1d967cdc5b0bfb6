"""How the random tests run: as long as an example takes on a busy machine, and with what reproduces a failure."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("few", max_examples=20, deadline=None, print_blob=True)
settings.register_profile("many", max_examples=100, deadline=None, print_blob=True)
settings.load_profile("few")
