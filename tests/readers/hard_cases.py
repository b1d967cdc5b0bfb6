"""A prediction whose paths, classes and sites are hard to write, and its detections, found by hand."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tasks.dataset.recorders.clocks import Clock
from tasks.dataset.recorders.sites import Site, Sites
from tasks.detections.class_tables import SpeciesNames
from tasks.detections.detection_tables import TableOptions, Threshold, write_tables
from tasks.detections.formats import FORMATS
from tasks.detections.score_file import ScoredRecording, write_scores
from tests.score_facts import score_facts

HERON, BROKEN_NAME = 'grey, "heron"', "Größe\tnord\n2"
FACTS = score_facts("wren", HERON, BROKEN_NAME, "noise")
NAMES = {"wren": SpeciesNames("Troglodytes troglodytes", "Eurasian Wren", "winwre4")}
SITE = 'nord, "alt"'
ODD, RETURN, BYTES, BIRD = 'nord/été, "1"\t2\n3.wav', "c\rd.wav", "caf\udce9.wav", "鳥/🐦.wav"
"""Paths with a comma, quotes, a tab and a line feed; a carriage return; a byte that is not UTF-8; wide characters."""


def _recording(number: int, uri: str, scores: list[list[float]], duration_s: float, **facts) -> ScoredRecording:
    values = np.array(scores, np.float32).reshape(-1, 4)
    return ScoredRecording(number, uri, f"/data/{uri}", duration_s, np.arange(len(values)) * 5.0, values, **facts)


RECORDINGS = [
    _recording(
        0, "a.wav", [[0.9, 0.1, 0, 0], [0.1, 0.1, 0, 0.8]], 9.5,
        clock=Clock(datetime.fromisoformat("2026-05-01T04:30"), timedelta(0), "comment", is_header=True),
    ),
    _recording(1, "silent.wav", [], 0.25),
    _recording(2, "broken, 2.wav", [], 0.25, is_quarantined=True, reason='cannot be decoded: "byte 12", end'),
    _recording(3, "unknown.wav", [], float("nan"), is_quarantined=True, reason="missing"),
    _recording(4, ODD, [[0.1, 0.1, 0, 0.8], [0.2, 0.7, 0.1, 0]], 8.0),
    _recording(5, RETURN, [[0.1, 0.1, 0.8, 0]], 5.0),
    _recording(6, BYTES, [[0.6, 0.5, 0, 0]], 2.5),
    _recording(7, BIRD, [[1 / 3, 0, 0, 0.6]], 3.25),
]  # fmt: skip


class Expected(NamedTuple):
    """A detection. uri: as text of UTF-8.  clock_s: duration of the recordings before."""

    uri: str
    start_s: float
    end_s: float
    label: str
    score: float
    clock_s: float


DETECTIONS = [
    Expected("a.wav", 0.0, 5.0, "wren", 0.9, 0.0),
    Expected(ODD, 5.0, 8.0, HERON, 0.7, 10.0),
    Expected(RETURN, 0.0, 5.0, BROKEN_NAME, 0.8, 18.0),
    Expected("caf\\udce9.wav", 0.0, 2.5, "wren", 0.6, 23.0),
    Expected("caf\\udce9.wav", 0.0, 2.5, HERON, 0.5, 23.0),
    Expected(BIRD, 0.0, 3.25, "wren", 0.33333334, 25.5),
]
"""With the threshold 0.25. 0.33333334 is the shortest decimal number that names the float32 nearest to 1/3."""
SHOWN = {"wren": "Eurasian Wren", HERON: HERON, BROKEN_NAME: "Größe nord 2"}
"""Names in formats with one name: without tabs and line ends."""
SITES = {"a.wav": SITE, ODD: "nord", BIRD: "鳥"}
"""The table of sites names one recording; the others have the names of their folders."""
FLAT = {ODD: 'nord/été, "1" 2 3.wav', RETURN: "c d.wav"}
"""Paths in tables without quotes."""


def write_all(folder: Path, recordings: list[ScoredRecording] = RECORDINGS) -> Path:
    """Write the tables of all formats, and the scores as scores.parquet."""
    thresholds = [Threshold(0.25, 'precision 0.9, "validation"')] * 4
    sites = Sites(by_recording={"a.wav": Site(SITE)})
    options = TableOptions("e" * 64, thresholds, FORMATS, names=NAMES, per_recording=True, sites=sites)
    write_tables(folder, FACTS, recordings, options)
    write_scores(folder / "scores.parquet", FACTS, recordings)
    return folder


def scientific(label: str) -> str:
    """The scientific name of a class; "" if it has none."""
    return NAMES[label].scientific_name if label in NAMES else ""


def common(label: str) -> str:
    """The common name of a class; "" if it has none."""
    return NAMES[label].common_name if label in NAMES else ""


def csv_rows() -> list[tuple]:
    """The rows of detections.csv; "" for what is unknown."""
    return [
        (
            each.uri, each.start_s, each.end_s, each.label, scientific(each.label), common(each.label), each.score,
            "2026-05-01T04:30:00Z" if each.uri == "a.wav" else "", SITES.get(each.uri, ""), "3:cnn",
            "2026-05-01T04:30:00+00:00" if each.uri == "a.wav" else "",
        )
        for each in DETECTIONS
    ]  # fmt: skip


def raven_rows() -> list[tuple]:
    """The rows of the combined Raven table."""
    return [
        (
            number, "Spectrogram 1", 1, each.clock_s + each.start_s, each.clock_s + each.end_s, 500.0, 12500.0,
            SHOWN[each.label], "winwre4" if each.label == "wren" else "", each.score,
            f"/data/{FLAT.get(each.uri, each.uri)}", each.start_s, scientific(each.label),
        )
        for number, each in enumerate(DETECTIONS, 1)
    ]  # fmt: skip


def audacity_rows() -> list[tuple]:
    """The rows of the combined Audacity table."""
    return [(each.clock_s + each.start_s, each.clock_s + each.end_s, SHOWN[each.label]) for each in DETECTIONS]


def kaleidoscope_rows() -> list[tuple]:
    """The rows of kaleidoscope.csv."""
    return [
        (
            "/data", *each.uri.rpartition("/")[::2], each.start_s, each.end_s - each.start_s, SHOWN[each.label], "",
        )
        for each in DETECTIONS
    ]  # fmt: skip


def birdnet_rows() -> list[tuple]:
    """The rows of BirdNET_CombinedTable.csv."""
    return [
        (each.start_s, each.end_s, scientific(each.label), SHOWN[each.label], each.score, f"/data/{each.uri}")
        for each in DETECTIONS
    ]


QUARANTINE = [
    ("broken, 2.wav", 'cannot be decoded: "byte 12", end', 0.25),
    ("unknown.wav", "missing", ""),
]
THRESHOLDS = [
    ("wren", 0.25, 'precision 0.9, "validation"'),
    (HERON, 0.25, 'precision 0.9, "validation"'),
    (BROKEN_NAME, 0.25, 'precision 0.9, "validation"'),
    ("noise", "", "names no event, makes no detections"),
]
HEADERS = {
    "detections.csv": (
        "recording", "start_s", "end_s", "label", "scientific_name", "common_name", "score", "recorded_at_utc", "site",
        "model", "recorded_at_local",
    ),
    "detections.selections.txt": (
        "Selection", "View", "Channel", "Begin Time (s)", "End Time (s)", "Low Freq (Hz)", "High Freq (Hz)",
        "Common Name", "Species Code", "Confidence", "Begin Path", "File Offset (s)", "Scientific Name",
    ),
    "kaleidoscope.csv": ("INDIR", "FOLDER", "IN FILE", "OFFSET", "DURATION", "TOP1MATCH", "MANUAL ID"),
    "BirdNET_CombinedTable.csv": (
        "Start (s)", "End (s)", "Scientific name", "Common name", "Confidence", "File",
    ),
    "quarantine.csv": ("recording", "reason", "duration_s"),
    "thresholds.csv": ("label", "threshold", "why"),
}  # fmt: skip
ROWS = {
    "detections.csv": csv_rows(),
    "detections.selections.txt": raven_rows(),
    "kaleidoscope.csv": kaleidoscope_rows(),
    "BirdNET_CombinedTable.csv": birdnet_rows(),
    "quarantine.csv": QUARANTINE,
    "thresholds.csv": THRESHOLDS,
}
