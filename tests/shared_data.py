"""Where the shared real recordings are; tests that need them skip, saying so, where they are not."""

from __future__ import annotations

import csv
import os
import shutil
from collections import Counter
from collections.abc import Collection
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


def some_of_esc10(folder: Path, per_class_and_fold: int, folds: Collection[str] = "12345") -> Path:
    """A part of ESC-10 in an empty folder: so many clips of each of its ten classes in each of these folds."""
    whole = shared_data("esc10")
    with (whole / "labels.csv").open(newline="") as table:
        rows = list(csv.DictReader(table))
    kept, seen = [], Counter[tuple[str, str]]()
    for row in rows:
        seen[row["label"], row["fold"]] += 1
        if row["fold"] in folds and seen[row["label"], row["fold"]] <= per_class_and_fold:
            kept.append(row)
            (folder / row["path"]).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(whole / row["path"], folder / row["path"])
    with (folder / "labels.csv").open("w", newline="") as table:
        writer = csv.DictWriter(table, list(rows[0]))
        writer.writeheader()
        writer.writerows(kept)
    return folder
