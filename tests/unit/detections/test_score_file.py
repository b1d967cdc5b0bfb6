"""The scores of a run as a file: what is written is read, as the same bytes each time."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from tasks.dataset.recorders.clocks import Clock
from tasks.detections.score_file import ScoredRecording, ScoresError, read_scores, write_scores
from tests.score_facts import score_facts

FACTS = score_facts("wren", "noise", onnxruntime="1.32")


def recording(number, n_windows, **facts) -> ScoredRecording:
    scores = np.random.default_rng(number).random((n_windows, 2), np.float32)
    facts = {"duration_s": 5.0 * n_windows + 1, **facts}
    uri = facts.pop("uri", f"{number}.wav")
    return ScoredRecording(number, uri, f"/data/{uri}", starts_s=np.arange(n_windows) * 5.0, scores=scores, **facts)


def same(one: ScoredRecording, other: ScoredRecording) -> bool:
    plain = [
        (
            each.number, each.uri, each.path, repr(each.duration_s), each.clock, each.unusable,
            each.is_quarantined, each.reason, each.starts_s.tolist(), each.scores.tolist(),
        )
        for each in (one, other)
    ]  # fmt: skip
    return plain[0] == plain[1]


TIME = datetime(2026, 5, 1, 4, 30, 0, 250)  # noqa: DTZ001 - the zone is beside it
RECORDINGS = [
    recording(0, 2, clock=Clock(TIME, timedelta(hours=-3, minutes=-30), "GUANO", is_header=True)),
    recording(1, 0, duration_s=3.5),
    recording(4, 0, duration_s=float("nan"), is_quarantined=True, reason="cannot be decoded"),
    recording(
        5,
        1,
        clock=Clock(TIME, None, "Song Meter name", is_header=False),
        unusable=((0.0, 2.5), (5.0, 6.0)),
        uri='a\tb,"ü"\n.wav',
    ),
    recording(9, 20_000),
    recording(10, 0),
]


def test_recordings_are_read_as_they_were_written_also_without_windows_and_over_row_groups(tmp_path):
    write_scores(tmp_path / "scores.parquet", FACTS, RECORDINGS)
    facts, found = read_scores(tmp_path / "scores.parquet")
    assert facts == FACTS
    for one, other in zip(found, RECORDINGS, strict=True):
        assert same(one, other), other.uri


def test_equal_scores_give_equal_bytes(tmp_path):
    write_scores(tmp_path / "one", FACTS, RECORDINGS)
    write_scores(tmp_path / "two", FACTS, iter(RECORDINGS))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_run_without_recordings_has_a_file_with_its_facts(tmp_path):
    write_scores(tmp_path / "scores", FACTS, [])
    facts, found = read_scores(tmp_path / "scores")
    assert (facts, list(found)) == (FACTS, [])


def test_pandas_reads_a_row_a_window(tmp_path):
    write_scores(tmp_path / "scores.parquet", FACTS, RECORDINGS[:2])
    table = pd.read_parquet(tmp_path / "scores.parquet")
    assert table["uri"].tolist() == ["0.wav", "0.wav", "1.wav"]
    assert table["start_s"].tolist()[:2] == [0.0, 5.0]
    np.testing.assert_array_equal(np.stack(table["scores"][:2]), RECORDINGS[0].scores)
    assert table["scores"][2] is None


def test_bytes_of_a_name_that_are_not_utf8_are_escaped(tmp_path):
    write_scores(tmp_path / "scores", FACTS, [recording(0, 0, uri="caf\udce9.wav")])
    assert next(read_scores(tmp_path / "scores")[1]).uri == "caf\\udce9.wav"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (replace(RECORDINGS[0], number=1), "comes after number 1"),
        (replace(RECORDINGS[0], number=2, scores=np.zeros((2, 3), np.float32)), r"shape \(2, 3\)"),
        (replace(RECORDINGS[0], number=2, scores=np.zeros((2, 2))), "float64 scores"),
        (replace(RECORDINGS[0], number=2, starts_s=np.array([5.0, 5.0])), "do not ascend"),
        (replace(RECORDINGS[0], number=2, duration_s=5.0), "starts after its end"),
        (replace(RECORDINGS[1], number=2, duration_s=float("nan")), "duration nan"),
        (replace(RECORDINGS[1], number=2, clock=Clock(TIME.astimezone(UTC), None, "name", is_header=False)), "a zone"),
        (replace(RECORDINGS[1], number=2, unusable=((3.0, 3.6),)), "the unusable stretches"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wrong_scores_are_refused_and_leave_no_file(tmp_path, wrong, words):
    with pytest.raises(ScoresError, match=words):
        write_scores(tmp_path / "scores", FACTS, [RECORDINGS[1], wrong])
    assert list(tmp_path.iterdir()) == []


def test_files_that_hold_no_scores_are_refused(tmp_path):
    path = tmp_path / "scores"
    path.write_bytes(b"no parquet")
    with pytest.raises(ScoresError, match="holds no scores"):
        read_scores(path)
    pd.DataFrame({"a": [1]}).to_parquet(path)
    with pytest.raises(ScoresError, match="no facts"):
        read_scores(path)


def test_a_changed_byte_among_the_scores_is_noticed(tmp_path):
    path = tmp_path / "scores"
    write_scores(path, FACTS, [recording(0, 100)])
    data = bytearray(path.read_bytes())
    at = data.find(recording(0, 100).scores.tobytes())
    assert at > 0
    data[at] ^= 1
    path.write_bytes(data)
    with pytest.raises(ScoresError):
        list(read_scores(path)[1])
