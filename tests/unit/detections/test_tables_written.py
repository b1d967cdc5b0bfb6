"""Tables of detections, read back as other programs read them."""

from __future__ import annotations

import csv
import io
import json
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from domain.errors import UsageError
from tasks.dataset.recorders.clocks import Clock
from tasks.detections.class_tables import SpeciesNames
from tasks.detections.detection_tables import TableOptions, Threshold, write_tables
from tasks.detections.formats import FORMATS
from tasks.detections.publication import FolderInUse
from tasks.detections.score_file import ScoredRecording, ScoreFacts
from tests.score_facts import score_facts

FACTS = score_facts("wren", 'grey, "heron"', "noise")
NAMES = {"wren": SpeciesNames("Troglodytes troglodytes", "Eurasian Wren", "winwre4")}
ODD = 'nord/été, "1"\t2\n3\r.wav'
"""A path with a comma, quotes, a tab, both line ends and other letters than ASCII."""


def recording(number, uri, scores, duration_s, **facts) -> ScoredRecording:
    scores = np.array(scores, np.float32).reshape(-1, 3)
    return ScoredRecording(number, uri, f"/data/{uri}", duration_s, np.arange(len(scores)) * 5.0, scores, **facts)


CLOCK = Clock(datetime(2026, 5, 1, 6, 30), timedelta(hours=2), "GUANO", is_header=True)  # noqa: DTZ001
RECORDINGS = [
    recording(0, "a.wav", [[0.9, 0.05, 0.05], [0.1, 0.1, 0.8]], 9.5, clock=CLOCK),
    recording(1, "silent.wav", [], 0.1),
    recording(2, "broken.wav", [], 0.2, is_quarantined=True, reason="cannot be decoded: byte 12"),
    recording(3, "unknown.wav", [], float("nan"), is_quarantined=True, reason="missing"),
    recording(4, ODD, [[0.1, 0.1, 0.8], [0.2, 0.7, 0.1]], 8.0),
]


def options(*formats, **asked) -> TableOptions:
    thresholds = [Threshold(0.5, "default"), Threshold(0.25, "precision 0.9 on validation"), Threshold(0.5, "default")]
    return TableOptions("e" * 64, thresholds, formats or ("csv",), names=NAMES, **asked)


def tables(folder) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def rows_of(folder, name, delimiter=",", quoting=csv.QUOTE_MINIMAL) -> list[list[str]]:
    text = (folder / name).read_bytes().decode()
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quoting=quoting))


def test_csv(tmp_path):
    write_tables(tmp_path, FACTS, RECORDINGS, options())
    assert rows_of(tmp_path, "detections.csv") == [
        ["recording", "start_s", "end_s", "label", "scientific_name", "common_name", "score", "recorded_at_utc", "site",
         "model", "recorded_at_local"],
        ["a.wav", "0.0", "5.0", "wren", *NAMES["wren"][:2], "0.9", "2026-05-01T04:30:00Z", "", "3:cnn",
         "2026-05-01T06:30:00+02:00"],
        [ODD, "5.0", "8.0", 'grey, "heron"', "", "", "0.7", "", "nord", "3:cnn", ""],
    ]  # fmt: skip


def test_pandas_reads_the_csv_and_the_parquet_file_as_one_table(tmp_path):
    write_tables(tmp_path, FACTS, RECORDINGS, options("csv", "parquet"))
    text, columns = pd.read_csv(tmp_path / "detections.csv"), pd.read_parquet(tmp_path / "detections.parquet")
    assert text.columns.tolist() == columns.columns.tolist()
    assert columns["score"].dtype == np.float32
    pd.testing.assert_frame_equal(text.astype({"score": np.float32}), columns, check_dtype=False)


def test_raven_times_count_over_all_recordings_and_file_offsets_do_not(tmp_path):
    write_tables(tmp_path, FACTS, RECORDINGS, options("raven"))
    rows = rows_of(tmp_path, "detections.selections.txt", "\t", csv.QUOTE_NONE)
    path = '/data/nord/été, "1" 2 3 .wav'
    before = 9.5 + 0.1 + 0.2
    assert rows == [
        ["Selection", "View", "Channel", "Begin Time (s)", "End Time (s)", "Low Freq (Hz)", "High Freq (Hz)",
         "Common Name", "Species Code", "Confidence", "Begin Path", "File Offset (s)", "Scientific Name"],
        ["1", "Spectrogram 1", "1", "0.0", "5.0", "500.0", "12500.0", "Eurasian Wren", "winwre4", "0.9", "/data/a.wav",
         "0.0", "Troglodytes troglodytes"],
        ["2", "Spectrogram 1", "1", repr(before + 5), repr(before + 8), "500.0", "12500.0", 'grey, "heron"', "", "0.7",
         path, "5.0", ""],
    ]  # fmt: skip


def test_audacity_labels_have_six_decimals_and_no_header(tmp_path):
    write_tables(tmp_path, FACTS, RECORDINGS, options("audacity"))
    assert (tmp_path / "detections.labels.txt").read_text("utf-8") == (
        '0.000000\t5.000000\tEurasian Wren\n14.800000\t17.800000\tgrey, "heron"\n'
    )


def test_kaleidoscope_divides_the_path_into_root_folder_and_file(tmp_path):
    write_tables(tmp_path, FACTS, RECORDINGS, options("kaleidoscope"))
    folder, file = ODD.split("/")
    assert rows_of(tmp_path, "kaleidoscope.csv") == [
        ["INDIR", "FOLDER", "IN FILE", "OFFSET", "DURATION", "TOP1MATCH", "MANUAL ID"],
        ["/data", "", "a.wav", "0.0", "5.0", "Eurasian Wren", ""],
        ["/data", folder, file, "5.0", "3.0", 'grey, "heron"', ""],
    ]


def test_birdnet(tmp_path):
    write_tables(tmp_path, FACTS, RECORDINGS, options("birdnet"))
    assert rows_of(tmp_path, "BirdNET_CombinedTable.csv") == [
        ["Start (s)", "End (s)", "Scientific name", "Common name", "Confidence", "File"],
        ["0.0", "5.0", "Troglodytes troglodytes", "Eurasian Wren", "0.9", "/data/a.wav"],
        ["5.0", "8.0", "", 'grey, "heron"', "0.7", f"/data/{ODD}"],
    ]


@pytest.mark.parametrize("format_", FORMATS)
def test_tables_without_detections_have_their_header(tmp_path, format_):
    write_tables(tmp_path / "full", FACTS, RECORDINGS, options(format_))
    write_tables(tmp_path / "empty", FACTS, [], options(format_))
    name = next(name for name in tables(tmp_path / "empty") if name not in OTHERS)
    if format_ == "parquet":
        full, empty = (pq.read_table(tmp_path / each / name) for each in ("full", "empty"))
        assert (empty.schema, empty.num_rows) == (full.schema, 0)
    else:
        full, empty = ((tmp_path / each / name).read_text("utf-8") for each in ("full", "empty"))
        assert empty == ("" if format_ == "audacity" else full[: full.index("\n") + 1])


OTHERS = {"metadata.json", "quarantine.csv", "thresholds.csv", "effort.csv", "detection_history.csv"}


def test_each_recording_that_was_analysed_has_a_table_of_its_own(tmp_path):
    write_tables(tmp_path, FACTS, RECORDINGS, options("csv", "raven", per_recording=True))
    odd = "nord/été, %221%22%092%0A3%0D.wav"
    assert {name for name in tables(tmp_path) if name.startswith("per_recording/")} == {
        f"per_recording/{format_}/{name}{ending}"
        for format_, ending in (("csv", ".csv"), ("raven", ".selections.txt"))
        for name in ("a.wav", "silent.wav", odd)
    }
    combined = rows_of(tmp_path, "detections.csv")
    assert rows_of(tmp_path, f"per_recording/csv/{odd}.csv") == [combined[0], combined[2]]
    raven = rows_of(tmp_path, f"per_recording/raven/{odd}.selections.txt", "\t", csv.QUOTE_NONE)
    assert [raven[1][at] for at in (0, 3, 4, 11)] == ["1", "5.0", "8.0", "5.0"]


def test_thresholds_quarantine_and_metadata_stand_beside_the_tables(tmp_path):
    written = write_tables(tmp_path, FACTS, RECORDINGS, options(merge_gap_s=2.0))
    assert rows_of(tmp_path, "thresholds.csv") == [
        ["label", "threshold", "why"],
        ["wren", "0.5", "default"],
        ['grey, "heron"', "0.25", "precision 0.9 on validation"],
        ["noise", "", "names no event, makes no detections"],
    ]
    assert rows_of(tmp_path, "quarantine.csv") == [
        ["recording", "reason", "duration_s"],
        ["broken.wav", "cannot be decoded: byte 12", "0.2"],
        ["unknown.wav", "missing", ""],
    ]
    metadata = json.loads((tmp_path / "metadata.json").read_bytes())
    assert metadata["counts"] == {
        "n_recordings": 5, "n_windows": 4, "n_detections": 2, "n_quarantined": 2, "n_out_of_sequence": 1,
        "by_label": {"wren": 1, 'grey, "heron"': 1, "noise": 0},
        "by_time_source": {"header": 1, "none": 4}, "by_zone": {"header": 1},
    }  # fmt: skip
    assert written.by_label == metadata["counts"]["by_label"]
    assert (metadata["run"], metadata["model"], metadata["scores_digest"]) == (7, "3:cnn", "e" * 64)
    assert metadata["thresholds"] == {"wren": 0.5, 'grey, "heron"': 0.25, "noise": None}
    assert metadata["threshold_reasons"] == {
        "wren": "default",
        'grey, "heron"': "precision 0.9 on validation",
        "noise": "names no event, makes no detections",
    }
    assert "at most 2.0 s" in metadata["merge_rule"]
    assert "1 quarantined recording of unknown duration" in metadata["sequence"]
    assert (metadata["warnings"], metadata["is_complete"]) == (list(written.time_warnings), True)


def test_a_model_without_a_class_for_nothing_is_warned_of(tmp_path):
    facts = ScoreFacts(**{**vars(FACTS), "labels": ("wren", "owl", "crow")})
    written = write_tables(tmp_path, facts, RECORDINGS, options())
    assert "no class for sound without an event" in written.warnings[0]
    assert json.loads((tmp_path / "metadata.json").read_bytes())["warnings"][:1] == list(written.warnings)


def test_the_same_input_gives_the_same_bytes_also_over_tables_of_the_same_run(tmp_path):
    asked = options(*FORMATS, per_recording=True)
    write_tables(tmp_path / "one", FACTS, RECORDINGS, asked)
    write_tables(tmp_path / "two", FACTS, RECORDINGS[:1], options("raven", "birdnet", per_recording=True))
    write_tables(tmp_path / "two", FACTS, iter(RECORDINGS), asked)
    assert tables(tmp_path / "one") == tables(tmp_path / "two")


def test_tables_of_the_same_run_that_are_not_made_again_are_deleted_and_other_files_stay(tmp_path):
    write_tables(tmp_path, FACTS, RECORDINGS, options("raven", per_recording=True))
    (tmp_path / "my notes.txt").write_text("kept")
    write_tables(tmp_path, FACTS, RECORDINGS, options("csv"))
    assert set(tables(tmp_path)) == {"detections.csv", "my notes.txt", *OTHERS}


def test_tables_of_another_run_are_not_replaced(tmp_path):
    write_tables(tmp_path, FACTS, RECORDINGS, options())
    before = tables(tmp_path)
    for other, words in (({"run": 8}, "tables of run 7, not of run 8"), ({"run_digest": "c" * 64}, "another home")):
        with pytest.raises(FolderInUse, match=words):
            write_tables(tmp_path, ScoreFacts(**{**vars(FACTS), **other}), RECORDINGS, options())
    assert tables(tmp_path) == before


def test_files_that_tables_would_replace_are_refused(tmp_path):
    (tmp_path / "detections.csv").write_text("mine")
    with pytest.raises(FolderInUse, match=r"holds detections\.csv, but no metadata\.json"):
        write_tables(tmp_path, FACTS, RECORDINGS, options())
    (tmp_path / "metadata.json").write_text("[]")
    with pytest.raises(FolderInUse, match="of another program"):
        write_tables(tmp_path, FACTS, RECORDINGS, options())
    with pytest.raises(FolderInUse, match="is a file"):
        write_tables(tmp_path / "metadata.json", FACTS, RECORDINGS, options())


def test_a_failure_in_the_middle_leaves_the_earlier_tables(tmp_path):
    write_tables(tmp_path, FACTS, RECORDINGS, options())
    before = tables(tmp_path)

    def failing():
        yield RECORDINGS[0]
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_tables(tmp_path, FACTS, failing(), options("csv", "parquet"))
    assert tables(tmp_path) == before


def test_what_a_killed_command_left_is_cleared(tmp_path):
    (tmp_path / ".unfinished-abc").mkdir()
    (tmp_path / ".unfinished-abc" / "detections.csv").write_text("half")
    write_tables(tmp_path, FACTS, RECORDINGS, options())
    assert set(tables(tmp_path)) == {"detections.csv", *OTHERS}


def test_tables_of_a_command_that_was_killed_while_it_replaced_them_are_replaced(tmp_path):
    write_tables(tmp_path, FACTS, RECORDINGS, options("csv", "raven"))
    before = tables(tmp_path)
    unfinished = {"run": FACTS.run, "run_digest": FACTS.run_digest, "is_complete": False}
    (tmp_path / "metadata.json").write_text(json.dumps(unfinished))
    (tmp_path / "detections.csv").unlink()
    write_tables(tmp_path, FACTS, RECORDINGS, options("csv", "raven"))
    assert tables(tmp_path) == before


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"formats": ("xlsx",)}, "choose from csv, raven"),
        ({"formats": ()}, "the formats are none"),
        ({"formats": ("csv", "csv")}, "name each once"),
        ({"top_n": 0}, "use 1 or more"),
        ({"merge_gap_s": -1.0}, "use 0 or more"),
        ({"thresholds": [Threshold(1.5, "")]}, "a threshold is 1.5"),
    ],
    ids=str,
)
def test_options_out_of_range_are_refused(asked, words):
    with pytest.raises(UsageError, match=words):
        TableOptions(**{"scores_digest": "", "thresholds": [], **asked})


def test_one_threshold_is_needed_for_each_class(tmp_path):
    with pytest.raises(UsageError, match="1 thresholds for 3 classes"):
        write_tables(tmp_path, FACTS, [], TableOptions("", [Threshold(0.5, "default")]))
