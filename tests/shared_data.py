"""Where the shared real recordings are; tests that need them skip, saying so, where they are not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_BESIDE_THE_CHECKOUT = Path(__file__).resolve().parents[2] / "shared"


def shared_folder() -> Path | None:
    """The folder that holds `data/` and `bench/`: CHORUS_SHARED, or `shared` beside the checkout; None when absent."""
    folder = Path(os.environ.get("CHORUS_SHARED", _BESIDE_THE_CHECKOUT))
    return folder if (folder / "data").is_dir() else None


def shared_data(name: str) -> Path:
    """One of the shared datasets (`birds10`, `esc10`, `bad`); skips the calling test where it does not exist."""
    folder = shared_folder()
    if folder is None:
        pytest.skip("no shared recordings here; set CHORUS_SHARED to the folder that holds data/ to run this")
    return folder / "data" / name
