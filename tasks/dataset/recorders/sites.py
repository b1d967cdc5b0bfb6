"""Where recordings were made: a table of sites that the user gives, or the folders."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from pathlib import Path
from typing import NamedTuple

from domain.errors import UsageError
from tasks.dataset.layouts.columns import plain_name
from tasks.dataset.layouts.layout import LayoutError, printable
from tasks.dataset.layouts.place_and_time import MetadataColumns, metadata_of
from tasks.dataset.layouts.table import CsvTable, open_table
from tasks.dataset.recorders.recorded_at import zone_of

_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "recording": ("recording", "path", "file"),
    "folder": ("folder",),
    "site": ("site", "name"),
    "latitude": ("latitude", "lat"),
    "longitude": ("longitude", "lon", "long", "lng"),
    "timezone": ("timezone", "time_zone", "tz"),
}
_LONGEST_NAME = 1000


class Site(NamedTuple):
    """The place of recordings. latitude, longitude: degrees (WGS 84), or None.  zone: None if the table has none."""

    name: str
    latitude: float | None = None
    longitude: float | None = None
    zone: tzinfo | None = None
    is_listed: bool = False


@dataclass(frozen=True)
class Sites:
    """The sites of a table, by recording and by folder. Without a table, a site is the folder of its recordings."""

    by_recording: Mapping[str, Site] = field(default_factory=dict)
    by_folder: Mapping[str, Site] = field(default_factory=dict)

    def of(self, uri: str) -> Site:
        """Return the site of a recording.

        uri: relative to the root. Its own row wins; then the row of the folder it is in, by the path from the root;
        then of a folder above, the nearest first; then of its folder's name anywhere. Without a row, the site is the
        name of the folder, "" at the root.

        >>> Sites({}, {"north": Site("N1")}).of("2023/north/a.wav").name, Sites().of("2023/north/a.wav").name
        ('N1', 'north')
        """
        folder = uri.rpartition("/")[0]
        parent = folder.rpartition("/")[2]
        if not self.by_recording and not self.by_folder:
            return Site(parent)
        listed = (self.by_folder.get(each) for each in (*_upwards(folder), parent))
        found = self.by_recording.get(uri) or next((site for site in listed if site is not None), None)
        return found or Site(parent)


def read_sites(path: Path) -> Sites:
    """Read a table of sites: csv with columns `site`, `folder` or `recording`, and place and zone if known.

    A row belongs to one recording if it names one, else to a folder; to the folder named like the site if there is no
    column `folder`. A row takes about 300 bytes of memory.

    Raises: LayoutError, which names the line, if the table or a row cannot be used.
    """
    table = open_table(path)
    plain = [plain_name(name) for name in table.header]
    at = {
        meaning: next((plain.index(name) for name in names if name in plain), None)
        for meaning, names in _COLUMNS.items()
    }
    if at["recording"] is None and at["folder"] is None and at["site"] is None:
        raise LayoutError(
            f"{path.name} has none of the columns site, folder and recording; "
            f"it has {', '.join(table.header):.200}; rename one of them"
        )
    by_recording: dict[str, Site] = {}
    by_folder: dict[str, Site] = {}
    lines: dict[tuple[bool, str], int] = {}
    for line, cells in _rows(table, at):
        recording, folder = _tidy(cells["recording"]), _tidy(cells["folder"] or cells["site"])
        key = recording or folder
        if not key:
            raise _refused(path, line, "names neither a site nor a folder nor a recording")
        first = lines.setdefault((bool(recording), key), line)
        if first != line:
            raise _refused(path, line, f"names {key!r:.100} again, as line {first} does; keep one of them")
        (by_recording if recording else by_folder)[key] = _site(path, line, cells, key)
    return Sites(by_recording, by_folder)


def _rows(table: CsvTable, at: Mapping[str, int | None]) -> Iterator[tuple[int, dict[str, str]]]:
    for line, fields in table.records():
        if isinstance(fields, str):
            raise _refused(table.path, line, f"cannot be read: {fields}")
        yield line, {name: "" if position is None else fields[position].strip() for name, position in at.items()}


def _site(path: Path, line: int, cells: Mapping[str, str], key: str) -> Site:
    latitude, longitude = _place(path, line, (cells["latitude"], cells["longitude"]))
    try:
        zone = zone_of(cells["timezone"]) if cells["timezone"] else None
    except UsageError as error:
        raise _refused(path, line, f"is not usable: {error}") from error
    folder = cells["folder"] or (key.rpartition("/")[0] if cells["recording"] else key)
    name = printable(cells["site"] or _tidy(folder).rpartition("/")[2])
    if len(name) > _LONGEST_NAME:
        raise _refused(path, line, f"has a site name of {len(name)} characters; the limit is {_LONGEST_NAME}")
    return Site(name, latitude, longitude, zone, is_listed=True)


def _place(path: Path, line: int, cells: Sequence[str]) -> tuple[float | None, float | None]:
    metadata, unclear = metadata_of(cells, MetadataColumns(latitude=0, longitude=1))
    if unclear:
        raise _refused(path, line, f"has {' and '.join(unclear)}; write degrees such as 52.5 and -13.4")
    if bool(cells[0]) != bool(cells[1]):
        raise _refused(path, line, "has only one of latitude and longitude; write both or none")
    return metadata.latitude, metadata.longitude


def _refused(path: Path, line: int, fault: str) -> LayoutError:
    return LayoutError(f"line {line} of {path.name} {fault}")


def _upwards(folder: str) -> Iterator[str]:
    """Yield a folder and the folders above it, the root excluded."""
    while folder:
        yield folder
        folder = folder.rpartition("/")[0]


def _tidy(path: str) -> str:
    return re.sub(r"/+", "/", path.replace("\\", "/").removeprefix("./")).strip("/")
