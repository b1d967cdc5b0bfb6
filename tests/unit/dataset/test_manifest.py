"""The manifest hashes and probes each file once, in the order of the rows, and reports bad rows in their place."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from domain.errors import MachineFault, Unreadable
from domain.reasons import Reason, ReasonCode
from domain.work import KnownFile
from tasks.audio.containers.opened import HeaderFacts
from tasks.dataset.layouts import Row, UnusableRow
from tasks.dataset.manifest import FoundRecording, Probe, Summary, recordings, trusted
from tasks.dataset.shards.metadata import UNKNOWN, Metadata


def row(uri: str, line: int = 1, **other: object) -> Row:
    fields = {"label": "wren", "secondary": (), "author": None, "group": None, "fold": None, "split": None, **other}
    return Row(uri=uri, line=line, **fields)  # type: ignore[arg-type]


def nothing_known(uris: list[str]) -> dict[str, KnownFile]:
    return {}


def one_second(path: Path) -> HeaderFacts:
    return HeaderFacts(n_frames=8000, rate_hz=8000, channels=1, format="WAV/PCM_16")


def each(probe: Callable[[Path], HeaderFacts]) -> Probe:
    """Make a probe of many recordings from a probe of one."""

    def facts_or_error(path: Path) -> HeaderFacts | Exception:
        try:
            return probe(path)
        except Exception as error:
            return error

    return lambda paths: [facts_or_error(path) for path in paths]  # type: ignore[arg-type]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for i in range(30):
        (tmp_path / f"{i}.wav").write_bytes(b"x" * (3_000_000 if i == 0 else i))
    return tmp_path


def test_recordings_keep_the_order_of_their_rows_and_have_the_digest_of_their_bytes(root: Path):
    rows = [row(f"{i}.wav", line=i) for i in range(30)]
    found = list(recordings(rows, root, nothing_known, each(one_second), 4))
    assert [entry.row for entry in found if isinstance(entry, FoundRecording)] == rows
    assert [entry.digest for entry in found if isinstance(entry, FoundRecording)] == [
        hashlib.sha256((root / f"{i}.wav").read_bytes()).hexdigest() for i in range(30)
    ]


def test_a_known_file_is_not_opened_again(root: Path):
    probed = []

    def probe(path: Path) -> HeaderFacts:
        probed.append(path.name)
        return HeaderFacts(n_frames=1, rate_hz=1, channels=1, format="WAV/PCM_16")

    first = list(recordings([row("1.wav"), row("2.wav")], root, nothing_known, each(probe), 2))
    known = {
        entry.row.uri: KnownFile(entry.size_bytes, entry.mtime_ns, "as before", 5, 5)
        for entry in first
        if isinstance(entry, FoundRecording)
    }
    probed.clear()
    (root / "2.wav").write_bytes(b"changed")
    one, two = recordings([row("1.wav"), row("2.wav")], root, lambda uris: known, each(probe), 2)
    assert isinstance(one, FoundRecording)
    assert isinstance(two, FoundRecording)
    assert (one.digest, one.n_frames) == ("as before", 5)
    assert two.digest == hashlib.sha256(b"changed").hexdigest()
    assert probed == ["2.wav"]


def test_known_files_are_looked_up_a_thousand_at_a_time_in_the_callers_thread(root: Path):
    asked: list[int] = []

    def known(uris: list[str]) -> dict[str, KnownFile]:
        assert threading.current_thread() is threading.main_thread()
        asked.append(len(uris))
        return {}

    rows = [row("1.wav")] * 2500
    assert len(list(recordings(rows, root, known, each(one_second), 2))) == 2500
    assert asked == [1000, 1000, 500]


def test_rows_are_read_one_batch_at_a_time(root: Path):
    drawn = []

    def rows() -> Iterator[Row]:
        for line in range(5000):
            drawn.append(line)
            yield row("1.wav", line)

    stream = recordings(rows(), root, nothing_known, each(one_second), 2)
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert len(drawn) <= 1000


def test_a_missing_file_and_a_bad_row_keep_their_places(root: Path):
    rows = [row("1.wav"), row("gone.wav", 7), UnusableRow(8, "z", ReasonCode.NOT_FOUND), row("2.wav")]
    _, gone, bad, _ = recordings(rows, root, nothing_known, each(one_second), 2)
    assert gone == UnusableRow(7, "gone.wav", ReasonCode.MISSING, "No such file or directory", gone.label)
    assert bad == rows[2]


def test_an_empty_file_is_a_bad_row(root: Path):
    (root / "empty.wav").touch()
    assert list(recordings([row("empty.wav", 3)], root, nothing_known, each(one_second), 1)) == [
        UnusableRow(3, "empty.wav", ReasonCode.EMPTY, "0 bytes", "wren")
    ]


def test_a_folder_in_place_of_a_file_is_a_bad_row(root: Path):
    (root / "folder").mkdir()
    (found,) = recordings([row("folder", 3)], root, nothing_known, each(one_second), 1)
    assert found == UnusableRow(3, "folder", ReasonCode.CANNOT_BE_READ, "Is a directory", found.label)


def test_unusable_audio_is_a_recording_without_length(root: Path):
    def probe(path: Path) -> HeaderFacts:
        raise Unreadable(f"{path.name} is no audio")

    (found,) = recordings([row("1.wav")], root, nothing_known, each(probe), 1)
    assert isinstance(found, FoundRecording)
    assert (found.n_frames, found.rate_hz) == (0, 0)
    assert found.digest == hashlib.sha256(b"x").hexdigest()


def test_a_file_that_changes_during_reading_is_a_bad_row(root: Path):
    def probe(path: Path) -> HeaderFacts:
        path.write_bytes(b"more")
        return HeaderFacts(n_frames=1, rate_hz=1, channels=1, format="WAV/PCM_16")

    (found,) = recordings([row("1.wav")], root, nothing_known, each(probe), 1)
    assert isinstance(found, UnusableRow)
    assert found.code == ReasonCode.CHANGED_WHILE_READ


def test_a_machine_without_file_handles_raises_a_machine_fault(root: Path):
    def probe(path: Path) -> HeaderFacts:
        raise OSError(24, "Too many open files")

    with pytest.raises(MachineFault, match=r"1\.wav cannot be read now: Too many open files"):
        list(recordings([row("1.wav")], root, nothing_known, each(probe), 1))


def test_the_summary_counts_recordings_classes_groups_and_bad_rows():
    summary = Summary()
    summary.add(FoundRecording(row("a", author="Ann", fold=1), 1_000_000, 0, "d1", 32_000 * 1800, 32_000))
    summary.add(FoundRecording(row("b", author="Ann", fold=2), 1_000_000, 0, "d2", 32_000 * 1800, 32_000))
    summary.add(FoundRecording(row("c", label="robin", split="test"), 500_000, 0, "d3", 0, 0))
    for uri in ("e/f.AIFF", "g.aiff"):
        reason = Reason(ReasonCode.HEADER_MISMATCH, f"{uri} is truncated")
        summary.add(FoundRecording(row(uri, author="Bo"), 0, 0, "d4", 0, 0, reason=reason))
    summary.add(UnusableRow(4, "d", ReasonCode.LABEL_TOO_LONG, "300 characters"))
    summary.add(UnusableRow(5, "e", ReasonCode.LABEL_TOO_LONG, "400 characters"))
    assert summary.as_dict() == {
        "recordings": 5,
        "unread": 0,
        "unmeasured": 3,
        "unmeasured_by_reason": [
            {
                "reason_code": "header_mismatch",
                "ending": "aiff",
                "recordings": 2,
                "example": "e/f.AIFF is truncated",
            },
            {"reason_code": "unknown", "ending": "c", "recordings": 1, "example": None},
        ],
        "bytes": 2_500_000,
        "duration_s": 3600.0,
        "groups": 3,
        "classes": {"robin": 1, "wren": 4},
        "classes_differing_by_case": [],
        "folds": {"1": 1, "2": 1},
        "splits": {"test": 1},
        "bad_rows": {"label too long": 2},
        "known": {},
        "unclear_cells": {},
    }
    assert summary.lines() == [
        "5 recordings, 2.5 MB, 1.00 h",
        "2 classes, from robin (1) to wren (4)",
        "classes: robin (1), wren (4)",
        "3 groups",
        "folds: 1: 1, 2: 1",
        "split: test: 1",
        "3 recordings cannot be used, so far as the headers say:",
        "  2 x aiff, header and content disagree: e/f.AIFF is truncated",
        "  1 x c, unknown: a worker will report the reason",
        "2 rows not used: label too long",
    ]


def test_the_summary_counts_known_places_and_times_and_shows_unclear_cells():
    summary = Summary()
    summary.add(FoundRecording(row("a", metadata=Metadata(52.5, 13.4, 5, None)), 1, 0, "d1", 1, 1))
    summary.add(FoundRecording(row("b", metadata=UNKNOWN._replace(month=6)), 1, 0, "d2", 1, 1))
    summary.add(FoundRecording(row("c", 4, unclear=("latitude '999'", "date 'in May'")), 1, 0, "d3", 1, 1))
    summary.add(FoundRecording(row("d", 5, unclear=("latitude '998'",)), 1, 0, "d4", 1, 1))
    assert summary.as_dict()["known"] == {"month": 2, "place": 1}
    assert summary.as_dict()["unclear_cells"] == {"date": 1, "latitude": 2}
    assert summary.lines()[-3:] == [
        "known: month of 2, place of 1",
        "1 date cell cannot be parsed, for example 'in May' in line 4; the date counts as unknown",
        "2 latitude cells cannot be parsed, for example '999' in line 4; the latitude counts as unknown",
    ]


def test_an_empty_manifest_has_a_summary():
    assert Summary().lines() == ["0 recordings, 0.0 MB, 0.00 h", "0 classes", "0 groups"]


def test_recordings_of_a_trusted_csv_count_as_unread_not_as_unusable():
    known = {"2.wav": KnownFile(10, 1, "d" * 64, 64_000, 32_000)}
    found = list(trusted([row("1.wav"), row("2.wav")], lambda uris: known))
    assert [(entry.digest, entry.is_on_trust) for entry in found] == [("", True), ("d" * 64, True)]
    summary = Summary()
    for entry in found:
        summary.add(entry)
    assert (summary.n_unread, summary.n_unmeasured, summary.duration_s) == (1, 0, 2.0)
    assert "1 recording not read (--trust-csv); workers find their digests and lengths" in summary.lines()
