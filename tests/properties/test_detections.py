"""Detections cover their windows once, and tables of single recordings hold what the combined table holds."""

from __future__ import annotations

import csv
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tasks.detections.detection import DetectionRules, detections_of
from tasks.detections.detection_tables import TableOptions, Threshold, write_tables
from tasks.detections.file_names import FileNames
from tasks.detections.score_file import ScoredRecording, ScoreFacts

FACTS = ScoreFacts(
    labels=("wren", "owl"), window_s=5.0, overlap_s=0.0, run=1, run_digest="", model="cnn", model_choice="",
    networks={}, pipeline_digest="", low_hz=0.0, high_hz=16000.0,
)  # fmt: skip
URIS = st.text(st.sampled_from('aAé./\\~%"\n\r\t, \udce9'), min_size=1, max_size=12)


@st.composite
def recordings(draw, number=0, uri="a.wav"):
    step_s = draw(st.sampled_from([5.0, 2.5, 3.7]))
    chosen = draw(st.lists(st.booleans(), max_size=12))
    starts = np.flatnonzero(chosen) * step_s
    scores = draw(
        st.lists(st.tuples(*[st.sampled_from([0.1, 0.5, 0.9])] * 2), min_size=len(starts), max_size=len(starts))
    )
    duration_s = len(chosen) * step_s + draw(st.sampled_from([0.25, 5.0]))
    values = np.array(scores, np.float32).reshape(-1, 2)
    return ScoredRecording(number, uri, f"/data/{uri}", duration_s, starts, values)


@given(recordings(), st.sampled_from([0.0, 2.5, 6.0]))
def test_every_window_above_its_threshold_is_in_one_merged_detection_and_no_detection_is_without_one(recording, gap_s):
    found = detections_of(recording, DetectionRules(5.0, np.full(2, 0.5, np.float32), merge_gap_s=gap_s))
    used = set()
    for window, label in zip(*np.nonzero(recording.scores >= 0.5), strict=True):
        start = recording.starts_s[window]
        end = min(start + 5.0, recording.duration_s)
        holders = [each for each in found if each.label == label and each.start_s <= start and end <= each.end_s]
        assert len(holders) == 1
        assert np.float32(holders[0].score) >= recording.scores[window, label]
        used.add(holders[0])
    assert used == set(found)
    assert all(each.end_s <= recording.duration_s for each in found)


@given(st.data(), st.lists(URIS, unique=True, max_size=5))
def test_tables_of_single_recordings_joined_are_the_combined_table(data, uris):
    run = [data.draw(recordings(number, uri)) for number, uri in enumerate(uris)]
    options = TableOptions("", [Threshold(0.5, "default")] * 2, per_recording=True)
    names = FileNames()
    with tempfile.TemporaryDirectory() as folder:
        write_tables(Path(folder), FACTS, run, options)
        single = [rows_of(Path(folder, "per_recording/csv", f"{names.name_of(uri)}.csv")) for uri in uris]
        combined = rows_of(Path(folder, "detections.csv"))
        assert len([path for path in Path(folder).rglob("*") if path.is_file()]) == len(uris) + 6
    assert [row for rows in single for row in rows[1:]] == combined[1:]
    assert all(rows[0] == combined[0] for rows in single)


def rows_of(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))
