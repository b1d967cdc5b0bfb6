"""A home that version 0.1.0 left: its ledger, three of its strips, and its recordings, made again from a seed.

The recordings are the same bytes every time: whole numbers only, and no library that writes files.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import wave
from pathlib import Path

import numpy as np
import sqlalchemy as sa
from alembic import command

from db.engine import Database
from db.schema.upgrade import _config

VERSION = "0007"
"""Of the ledger's schema, as it is in the dump."""
_HERE = Path(__file__).parent
RATE_HZ = 32_000
STEPS = {"high": 4, "low": 32}
"""Samples of half a period of each class's square wave."""
PER_LABEL = 6
SILENT, BROKEN = "low/night.wav", "high/broken.wav"


def write_recordings(root: Path) -> Path:
    """Two classes of six recordings of a second; one recording of silence, and one that is no audio."""
    drawn = np.random.default_rng(20)
    for label, step in STEPS.items():
        (root / label).mkdir(parents=True, exist_ok=True)
        for number in range(PER_LABEL):
            wave_form = np.where(np.arange(RATE_HZ) // (step + number) % 2, 8_000, -8_000)
            _write(root / label / f"{label}-{number}.wav", wave_form + drawn.integers(-500, 500, RATE_HZ))
    _write(root / SILENT, np.zeros(RATE_HZ))
    (root / BROKEN).write_bytes(b"no audio")
    return root


def _write(path: Path, samples: np.ndarray) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE_HZ, 0, "NONE", ""))
        file.writeframes(samples.astype("<i2").tobytes())


def restore(folder: Path, url: str) -> Path:
    """The old home in a folder, its recordings beside it and its ledger at the URL; returns the home.

    A SQLite file is made by the dump itself. PostgreSQL gets the tables of that version and the same rows.
    """
    write_recordings(folder / "birds")
    home = folder / "home"
    shutil.copytree(_HERE / "store", home / "store")
    dump = (_HERE / "ledger.sql").read_text("utf-8").replace("@ROOT@", str(folder))
    if url.startswith("sqlite"):
        with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            connection.executescript(dump)
    else:
        with contextlib.closing(sqlite3.connect(folder / "old.sqlite")) as connection:
            connection.executescript(dump)
        _copy_rows(sa.create_engine(f"sqlite:///{folder / 'old.sqlite'}"), Database(url))
    return home


def _copy_rows(old: sa.Engine, database: Database) -> None:
    tables = sa.MetaData()
    tables.reflect(old)
    with old.connect() as source, database.write() as target:
        command.upgrade(_config(target), VERSION)
        for table in tables.sorted_tables:
            rows = [dict(row) for row in source.execute(sa.select(table)).mappings()]
            if not rows or table.name == "alembic_version":
                continue
            target.execute(sa.insert(table), rows)
            if "id" in table.c:
                sequence = f"pg_get_serial_sequence('{table.name}', 'id')"
                target.exec_driver_sql(f"SELECT setval({sequence}, (SELECT max(id) FROM {table.name}))")
    old.dispose()
    database.close()
