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
from tasks.dataset.index import Roll
from tasks.dataset.layouts import BadRow, Layout
from tasks.dataset.manifest import Lookup, Recording, Summary, recordings, trusted

_READERS = 8
"""Threads that hash files, and wait for the processes that read headers: they mostly wait for the disk."""
_REPORTED_EVERY = 100

Progress = Callable[[int], None]
"""Receives the number of rows read so far."""


@dataclass
class Gathered:
    """What was found: counts for people, and what a split needs of each recording."""

    roll: Roll
    summary: Summary = field(default_factory=Summary)


@dataclass(frozen=True)
class Sink:
    """Where recordings and unusable rows go, a batch at a time."""

    keep: Callable[[list[Recording]], object]
    set_aside: Callable[[list[BadRow]], object]


def gather(
    layout: Layout, presets: Sequence[Preset], found: Iterator[Recording | BadRow], sink: Sink, report: Progress
) -> Gathered:
    """Reads every row of the layout once.

    presets: each cuts a recording into spans in its own way.

    Raises:
        Impossible: no recording is usable.
    """
    gathered = Gathered(Roll(len(presets)))
    counting = _reporting(found, report)
    while batch := list(islice(counting, planning.BATCH)):
        for entry in batch:
            gathered.summary.add(entry)
        good = [entry for entry in batch if isinstance(entry, Recording)]
        sink.keep(good)
        for entry in good:
            cuts = [n_spans(entry.n_frames, entry.rate_hz, entry.size_bytes, preset) for preset in presets]
            gathered.roll.add(entry, cuts)
        sink.set_aside([entry for entry in batch if isinstance(entry, BadRow)])
    if not len(gathered.roll):
        reasons = "; ".join(f"{counted(n, 'time')} {code.words}" for code, n in gathered.summary.bad.most_common(3))
        raise Impossible(f"no usable recording in {layout.root}: {reasons or 'it holds no audio files'}")
    return gathered


def _reporting(found: Iterator[Recording | BadRow], report: Progress) -> Iterator[Recording | BadRow]:
    for n, entry in enumerate(found, start=1):
        if n % _REPORTED_EVERY == 0:
            report(n)
        yield entry


def looked_at(layout: Layout, lookup: Lookup) -> Iterator[Recording | BadRow]:
    """The layout's recordings; each file is hashed and measured unless the lookup knows it."""
    with Probes() as probes:
        yield from recordings(layout.rows(), layout.root, lookup, probes.probe, _READERS)


def taken_on_trust(layout: Layout, lookup: Lookup) -> Iterator[Recording | BadRow]:
    """The layout's recordings without opening a file. The lookup knows what workers found in some of them."""
    return trusted(layout.rows(), lookup)


def know_nothing(_uris: list[str]) -> dict[str, KnownFile]:
    """Every file is new."""
    return {}


def lookup_in(database: Database, dataset: int) -> Lookup:
    """What the ledger knows of the dataset's files."""
    if not planning.has_read_files(database, dataset):
        return know_nothing

    def known(uris: list[str]) -> dict[str, KnownFile]:
        return planning.known_files(database, dataset, uris)

    return known
