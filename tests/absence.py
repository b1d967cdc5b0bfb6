"""What a machine lacks: a test is skipped on a laptop and fails where CI=true."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def absent(service: str, remedy: str) -> NoReturn:
    """Skips the calling test, or fails it where CI=true."""
    sentence = f"{service} is not here; {remedy}"
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(f"{sentence} (CI=true: nothing may be missing)", pytrace=False)
    pytest.skip(sentence)
