"""Our Raven and Audacity tables, read by crowsetta."""

from __future__ import annotations

from pathlib import Path

import crowsetta
import pytest

from tests.readers.hard_cases import BIRD, DETECTIONS, SHOWN, write_all

pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword")  # of pandas 3.1; crowsetta 5.1 uses it

BOXES = [(each.clock_s + each.start_s, each.clock_s + each.end_s, SHOWN[each.label]) for each in DETECTIONS]


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_all(tmp_path_factory.mktemp("tables") / "full")


def test_raven_selections_are_boxes_in_time_and_frequency(tables: Path) -> None:
    raven = crowsetta.formats.bbox.Raven.from_file(tables / "detections.selections.txt", annot_col="Common Name")
    boxes = raven.to_annot().bboxes
    assert [(box.onset, box.offset, box.label) for box in boxes] == BOXES
    assert {(box.low_freq, box.high_freq) for box in boxes} == {(500.0, 12500.0)}


def test_audacity_labels_are_a_sequence_of_segments(tables: Path) -> None:
    labels = crowsetta.formats.seq.AudSeq.from_file(tables / "detections.labels.txt")
    found = zip(labels.start_times, labels.end_times, labels.labels, strict=True)
    assert [(float(start_s), float(end_s), label) for start_s, end_s, label in found] == BOXES


def test_the_table_of_one_recording_counts_from_its_start(tables: Path) -> None:
    path = tables / "per_recording" / "raven" / f"{BIRD}.selections.txt"
    [box] = crowsetta.formats.bbox.Raven.from_file(path, annot_col="Common Name").to_bbox()
    assert (box.onset, box.offset, box.label) == (0.0, 3.25, "Eurasian Wren")
