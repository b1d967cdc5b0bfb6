"""A header that crashes or hangs its reader costs a child process, and never the plan."""

from __future__ import annotations

import errno
import os
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from domain.errors import MachineFault, Unreadable, Unusable
from orchestrator.planning import probing
from orchestrator.planning.gather import measured_recordings, nothing_known
from orchestrator.planning.probing import Probes
from tasks.audio.recording import probe
from tasks.audio.source import Remote
from tasks.dataset.layouts import open_layout
from tasks.dataset.manifest import FoundRecording
from tests.recordings import write_class_folders, write_tone

# A child whose libsndfile is as bad as the recording's name says.
BAD_CHILD = """
import ctypes, itertools, os, sys
from orchestrator.planning import probing
real = probing.probe
def probe(place):
    name = os.path.basename(str(place))
    if "crash" in name:
        ctypes.string_at(0)
    if "hang" in name:
        for _ in itertools.count():
            pass
    if "eat" in name:
        bytearray(1 << 32)
    return real(place)
probing.probe, probing._LONGEST_S = probe, 0.5
probing._serve(int(sys.argv[1]))
"""


@pytest.fixture
def probes() -> Iterator[Probes]:
    with Probes(2) as probes:
        yield probes


@pytest.fixture
def bad_probes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Probes]:
    monkeypatch.setattr(probing, "_COMMAND", (sys.executable, "-c", BAD_CHILD))
    with Probes(2) as probes:
        yield probes


def test_a_child_tells_what_the_header_says(probes: Probes, tmp_path: Path) -> None:
    paths = [write_tone(tmp_path / f"{number}.wav", 1000.0, 0.5 + number) for number in range(3)]
    assert probes.probe(paths) == [probe(path) for path in paths]
    assert probes.probe(paths[:1]) == [probe(paths[0])]
    assert probes.probe([]) == []


def test_what_is_wrong_with_a_recording_is_said_as_without_a_child(probes: Probes, tmp_path: Path) -> None:
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("no audio at all\n" * 100)
    for name in ("empty.wav", "text.wav", "gone.wav"):
        with pytest.raises(Unusable) as here:
            probe(tmp_path / name)
        [there] = probes.probe([tmp_path / name])
        assert isinstance(there, Unusable)
        assert str(there) == str(here.value)


def ranged(path: Path, failing: OSError | None = None) -> Remote:
    content = path.read_bytes()

    def fetch(start: int, stop: int) -> bytes:
        if failing:
            raise failing
        return content[start:stop]

    return Remote(path.name, len(content), fetch)


def test_a_recording_far_away_is_asked_of_the_parent_in_ranges(probes: Probes, tmp_path: Path) -> None:
    path = write_tone(tmp_path / "long.wav", 1000.0, 60.0)
    assert probes.probe([ranged(path)]) == [probe(path)]
    assert probes.probe([path, ranged(path), ranged(path)]) == [probe(path)] * 3


def test_a_network_that_fails_is_told_as_it_was_and_the_child_goes_on(probes: Probes, tmp_path: Path) -> None:
    path = write_tone(tmp_path / "a.wav", 1000.0, 1.0)
    away = ConnectionError(errno.ETIMEDOUT, "nobody answers")
    for _ in range(3):
        assert probes.probe([ranged(path, failing=away), path]) == [away, probe(path)]


@pytest.mark.parametrize("how", ["crash", "hang", "eat"])
def test_a_recording_that_ends_its_reader_is_named_and_the_next_one_is_read(
    bad_probes: Probes, tmp_path: Path, how: str
) -> None:
    good, bad = write_tone(tmp_path / "good.wav", 1000.0, 1.0), write_tone(tmp_path / f"{how}.wav", 1000.0, 1.0)
    began_s = time.monotonic()
    first, named, last = bad_probes.probe([good, bad, good])
    assert first == last == probe(good)
    assert isinstance(named, Unreadable)
    assert str(named) == f"{how}.wav ends the process that reads its header"
    assert time.monotonic() - began_s < 60
    assert bad_probes.probe([good]) == [probe(good)]


def test_a_child_that_somebody_killed_costs_no_recording(probes: Probes, tmp_path: Path) -> None:
    path = write_tone(tmp_path / "a.wav", 1000.0, 1.0)
    probes.probe([path])
    child = probes._idle.get()
    assert child is not None
    os.kill(child._process.pid, signal.SIGKILL)
    child._process.wait()
    probes._idle.put(child)
    assert probes.probe([path]) == [probe(path)]


def test_many_threads_may_ask_at_once(probes: Probes, tmp_path: Path) -> None:
    paths = [write_tone(tmp_path / f"{number}.wav", 1000.0, 0.1 * (number + 1)) for number in range(12)]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(lambda path: probes.probe([path]), paths)) == [[probe(path)] for path in paths]


def test_children_are_gone_when_the_plan_is(tmp_path: Path) -> None:
    with Probes(1) as probes:
        probes.probe([write_tone(tmp_path / "a.wav", 1000.0, 1.0)])
        child = probes._idle.get()
        probes._idle.put(child)
    assert child is not None
    assert child._process.returncode is not None


def test_a_reader_that_does_not_start_is_the_machines_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "_COMMAND", (sys.executable, "-c", "raise SystemExit(1)"))
    with Probes(1) as probes, pytest.raises(MachineFault, match="does not start"):
        probes.probe([write_tone(tmp_path / "a.wav", 1000.0, 1.0)])


def test_a_plan_goes_on_past_a_header_that_crashes_its_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "_COMMAND", (sys.executable, "-c", BAD_CHILD))
    root = write_class_folders(tmp_path / "data", {"high": 6000.0, "low": 1000.0}, per_label=3, seconds=1.0)
    write_tone(root / "low" / "crash.wav", 1000.0, 1.0)
    found = list(measured_recordings(open_layout(root), nothing_known))
    assert all(isinstance(entry, FoundRecording) and entry.digest for entry in found)
    assert {entry.row.uri for entry in found if isinstance(entry, FoundRecording) and not entry.n_frames} == {
        "low/crash.wav"
    }
    assert len(found) == 7
