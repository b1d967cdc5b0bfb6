"""Writes the demo dataset: planned recordings, some broken files, and the csv."""

from __future__ import annotations

import csv
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from domain.errors import Impossible
from orchestrator.demo.rows import N_RECORDISTS, DemoRow, Planned, planned, row_of

if TYPE_CHECKING:
    from orchestrator.demo.sound import Studio

_REVISION = 1  # raise it when the same arguments give other bytes
_AUDIO, _TABLE, _NOTE = "train_audio", "train_metadata.csv", "ABOUT.txt"
_UNFINISHED = ".unfinished-"
_UNUSABLE_FILES = ("empty", "text", "truncated", "silent", "too-short", "unlabelled")


@dataclass(frozen=True)
class DemoFacts:
    """The contents of a demo dataset.

    n_recordings: usable files, with the exact copy.  n_authors: recordists, with the copy's.
    broken: names, as in the csv, of the files that cannot be used; each name says why.
    """

    root: Path
    n_recordings: int
    n_species: int
    n_authors: int
    broken: tuple[str, ...]


def make_dataset(folder: Path, seed: int = 2021, species: int = 27, recordings_per_species: int = 16) -> DemoFacts:
    """Make a dataset in BirdCLEF layout, unless the same one exists already.

    `train_metadata.csv` and `train_audio/<label>/<id>.ogg` (Vorbis, 32 kHz, mono, 6 to 12 s), the same bytes for the
    same arguments on one machine. They include one file of each unusable kind (`DemoFacts.broken`), one row twice, and
    one exact copy under another name and recordist. `ABOUT.txt` describes the dataset and marks it as complete.

    Raises:
        Impossible: the folder holds something else, or the numbers are not possible.
    """
    recordings = planned(seed, species, recordings_per_species)
    about = _about(f"seed {seed}, {species} species, {recordings_per_species} recordings each, revision {_REVISION}")
    if not _is_there(folder, about):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=_UNFINISHED, dir=folder) as unfinished:
            _write(Path(unfinished), seed, recordings)
            Path(unfinished, _NOTE).write_text(about, "utf-8")
            for name in (_AUDIO, _TABLE, _NOTE):  # the note comes last: it marks the dataset as complete
                Path(unfinished, name).replace(folder / name)
    return _facts(folder, recordings)


def _is_there(folder: Path, about: str) -> bool:
    note = folder / _NOTE
    if note.is_file() and note.read_text("utf-8") == about:
        return True
    if folder.exists() and (not folder.is_dir() or _others(folder)):
        raise Impossible(f"{folder} holds something that is not this demo; name a new folder or an empty one")
    return False


def _others(folder: Path) -> list[Path]:
    """The folder's entries, without leftovers of a killed demo."""
    return [path for path in folder.iterdir() if not path.name.startswith(_UNFINISHED)]


def _about(recipe: str) -> str:
    return (
        "A synthetic dataset: invented birds, sung by a program, recorded by nobody. CC0-1.0.\n"
        f"Made by `orchestrator demo` of Dawn Chorus: {recipe}.\n"
        "Some files are broken on purpose; their names say how.\n"
    )


def _facts(folder: Path, recordings: tuple[Planned, ...]) -> DemoFacts:
    copy = _copy_row(recordings)
    return DemoFacts(
        root=folder,
        n_recordings=len(recordings) + 1,
        n_species=len({each.species for each in recordings}),
        n_authors=len({each.recordist for each in recordings} | {copy.author}),
        broken=tuple(row.filename for row in _unusable_rows()),
    )


def _write(root: Path, seed: int, recordings: tuple[Planned, ...]) -> None:
    from orchestrator.demo.sound import Studio  # noqa: PLC0415  numpy and libsndfile, only when there is work

    studio, audio = Studio(seed), root / _AUDIO
    threads = ThreadPoolExecutor(os.cpu_count())
    try:
        for each, ogg in zip(recordings, threads.map(studio.recording, recordings), strict=True):
            _put(audio / each.row.filename, ogg)
    finally:  # otherwise Ctrl-C would wait for all songs
        threads.shutdown(cancel_futures=True)
    first = (audio / recordings[0].row.filename).read_bytes()
    _put(audio / _copy_row(recordings).filename, first)
    for name, ogg in _unusable_files(studio, first).items():
        _put(audio / row_of(0, name, 0).filename, ogg)
    rows = [each.row for each in recordings]
    _write_csv(root / _TABLE, [*rows, rows[0], _copy_row(recordings), *_unusable_rows()])


def _put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _write_csv(path: Path, rows: list[DemoRow]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, [field.name for field in fields(DemoRow)], lineterminator="\n")
        table.writeheader()
        table.writerows(asdict(row) for row in rows)


def _copy_row(recordings: tuple[Planned, ...]) -> DemoRow:
    """The first recording again, as if another recordist had published it."""
    copy = row_of(recordings[0].species, f"DC{100_000 + len(recordings)}", N_RECORDISTS)
    return replace(copy, secondary_labels=recordings[0].row.secondary_labels)


def _unusable_rows() -> tuple[DemoRow, ...]:
    rows = [row_of(0, name, 0) for name in _UNUSABLE_FILES]
    rows[-1] = replace(rows[-1], primary_label="")
    return (*rows, row_of(0, "missing", 0), replace(row_of(0, "outside", 0), filename="../outside.ogg"))


def _unusable_files(studio: Studio, good: bytes) -> dict[str, bytes]:
    """The bytes behind _unusable_rows, by name; `missing` and `outside` have none."""
    contents = (b"", b"This is a letter, not a song.\n" * 40, good[:3_000], studio.silence(6.0), studio.beep(0.03))
    return dict(zip(_UNUSABLE_FILES, (*contents, studio.beep(6.0)), strict=True))
