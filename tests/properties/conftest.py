"""How the random tests run: as long as an example takes on a busy machine, and with what reproduces a failure."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("unhurried", deadline=None, print_blob=True)
settings.load_profile("unhurried")
