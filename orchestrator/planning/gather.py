"""A dataset, read once as a stream: its recordings in columns, and its unusable rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from db.engine import Database
from db.ledger import planning
from domain.errors import Impossible
from domain.plural import counted
from domain.work import KnownFile
from orchestrator.planning.probing import Probes
from tasks.audio.chunk import n_spans
from tasks.audio.preset import Preset
from tasks.dataset.index import RecordingIndex
from tasks.dataset.layouts import Layout, UnusableRow
from tasks.dataset.manifest import Entry, FoundRecording, Lookup, Summary, recordings, trusted

_READERS = 8
"""Threads that hash files, and wait for the processes that read headers: they mostly wait for the disk."""
_REPORTED_EVERY = 100

Progress = Callable[[int], None]
"""Receives the number of rows read so far."""


@dataclass
class Gathered:
    """What was found: counts for people, and what a split needs of each recording."""

    index: RecordingIndex
    summary: Summary = field(default_factory=Summary)


@dataclass(frozen=True)
class Sink:
    """Where recordings and unusable rows go, a batch at a time."""

    keep: Callable[[list[FoundRecording]], object]
    reject: Callable[[list[UnusableRow]], object]


def gather(
    layout: Layout,
    presets: Sequence[Preset],
    found: Iterator[Entry],
    sink: Sink,
    report: Progress,
) -> Gathered:
    """Reads every row of the layout once.

    presets: each cuts a recording into spans in its own way.

    Raises:
        Impossible: no recording is usable.
    """
    gathered = Gathered(RecordingIndex(len(presets)))
    counting = reporting(found, report)
    while batch := list(islice(counting, planning.BATCH)):
        for entry in batch:
            gathered.summary.add(entry)
        good = [entry for entry in batch if isinstance(entry, FoundRecording)]
        sink.keep(good)
        for entry in good:
            cuts = [n_spans(entry.n_frames, entry.rate_hz, entry.size_bytes, preset) for preset in presets]
            gathered.index.add(entry, cuts)
        sink.reject([entry for entry in batch if isinstance(entry, UnusableRow)])
    if not len(gathered.index):
        reasons = "; ".join(f"{counted(n, 'time')} {code.words}" for code, n in gathered.summary.bad.most_common(3))
        raise Impossible(f"no usable recording in {layout.root}: {reasons or 'it holds no audio files'}")
    return gathered


def reporting(found: Iterator[Entry], report: Progress) -> Iterator[Entry]:
    """Yield the entries, and report their number now and then."""
    for n, entry in enumerate(found, start=1):
        if n % _REPORTED_EVERY == 0:
            report(n)
        yield entry


def measured_recordings(layout: Layout, lookup: Lookup) -> Iterator[Entry]:
    """Yield the layout's recordings; each file is hashed and measured unless the lookup knows it.

    Raises: MachineFault if a file cannot be read because of a fault of the machine.
    """
    with Probes() as probes:
        yield from recordings(layout.rows(), layout.root, lookup, probes.probe, _READERS)


def trusted_recordings(layout: Layout, lookup: Lookup) -> Iterator[Entry]:
    """Yield the layout's recordings without opening a file; the lookup returns what workers found in some of them."""
    return trusted(layout.rows(), lookup)


def nothing_known(_uris: list[str]) -> dict[str, KnownFile]:
    """Every file is new."""
    return {}


def lookup_in(database: Database, dataset: int) -> Lookup:
    """What the ledger knows of the dataset's files."""
    if not planning.has_read_files(database, dataset):
        return nothing_known

    def known(uris: list[str]) -> dict[str, KnownFile]:
        return planning.known_files(database, dataset, uris)

    return known
