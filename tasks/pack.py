"""The task `pack`: writes the examples of strips into shards."""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from celery import shared_task

from db.queries.job_inputs import PlannedRun, StripRow, has_open_items, output_files, planned_run, strips
from db.store.interface import Store
from domain import revisions
from domain.digests import Digest, content_digest, digest_of
from domain.errors import Damaged, Impossible, MachineFault
from domain.results import FileRole, JobOutput, OutputFile, PackResult
from tasks.audio.preset import Preset
from tasks.audio.strip import Strip, decode_strip
from tasks.dataset.shards.metadata import as_numbers
from tasks.dataset.shards.shard import Example, shards
from tasks.dataset.split import leaky
from tasks.runtime.span_files import SpanFileMissing, fetched, made_again
from tasks.runtime.task import LedgerTask, Work

_LARGEST_INDEX_BYTES = 1 << 28


@shared_task(name="pack", base=LedgerTask, bind=True)
def pack(self: LedgerTask, message: dict[str, Any]) -> None:
    """Write the strips of one part of a run (subset or fold) into Parquet shards.

    Reads: the strips of the part, in an order that follows from the split's digest. Writes: the shards, then their
    index, then the job row.
    Idempotent: names and bytes of the shards follow from the strips and the split.
    """
    self.carry_out_job(message, shards_in_store)


def shards_in_store(work: Work) -> JobOutput:
    """Write the part's shards, unless another run has written them; return them and the index.

    Raises: Impossible if the job names no part of the data; Damaged if a strip is not what was written; MachineFault if
    strips are missing, which the run then makes again, or the ledger changes meanwhile; OSError if the store cannot be
    read.
    """
    run = planned_run(work.database, work.claim.run, work.claim.pipeline_id)
    fold, subset = work.claim.fold, work.claim.subset
    if fold is None or subset is None:
        raise Impossible(f"job {work.claim.id} names no part of the data to pack")
    is_leaky = work.claim.variant == leaky.VARIANT
    part = (work.database, run.id, run.pipeline_id, None if is_leaky else (fold, subset))
    shuffled = subset if is_leaky else None
    name = _named(run, shuffled)
    deque(name.add_rows(strips(*part)), maxlen=0)
    if has_open_items(work.database, run.id):  # asked after the rows were read: none of them may be left out
        raise MachineFault("items of the run are being made again; packing waits for them")
    key = f"shards/{name.text}"
    index_key = f"{key}/index.json"
    recorded = output_files(work.database, [index_key]).get(index_key)
    index = _index(work.store, index_key, recorded.sha256 if recorded else None)
    sizes: dict[str, int | None] = {}
    if index and _is_whole(work, index):
        sizes = {each: file.size_bytes for each, file in output_files(work.database, index["shards"]).items()}
    else:
        rows = _unchanged(strips(*part), name.text, _named(run, shuffled))
        try:
            index = _write(work.store, key, run, _examples(work, run, shuffled, rows), sizes)
        except SpanFileMissing as missing:
            raise made_again(work, strips(*part)) from missing
    return _output(index, sizes)


def _output(index: dict[str, Any], sizes: Mapping[str, int | None]) -> JobOutput:
    """Return the job output for an index. sizes: the known sizes of shards in bytes, by key."""
    sealed = _index_bytes(index)
    shard_files = (
        OutputFile(key, FileRole.SHARD, sizes.get(key), digest)
        for key, digest in zip(index["shards"], index["sha256"], strict=True)
    )
    index_file = OutputFile(f"{index['key']}/index.json", FileRole.INDEX, len(sealed), content_digest(sealed))
    result = PackResult(
        key=index["key"], shards=tuple(index["shards"]), sha256=tuple(index["sha256"]), n_examples=index["n_examples"],
        label_counts={int(label): n for label, n in index["label_counts"].items()},
        index_sha256=index_file.sha256, revision=revisions.SHARDS,
    )  # fmt: skip
    return JobOutput(result, (*shard_files, index_file))


@dataclass(frozen=True)
class _PartName:
    """The name of a part's shards: a digest of everything that determines their bytes."""

    digest: Digest

    def add_rows(self, rows: Iterable[StripRow]) -> Iterator[StripRow]:
        """Yield the rows, and add each to the name."""
        for row in rows:
            self.digest.add([row.digest, row.span, row.copy, row.label, row.group, row.recording, *row.metadata])
            yield row

    @property
    def text(self) -> str:
        return self.digest.hex()[:32]


def _named(run: PlannedRun, shuffled: int | None) -> _PartName:
    part = None if shuffled is None else [shuffled, run.split["digest"]]
    return _PartName(Digest([revisions.SHARDS, run.pipeline_digest, run.labels, part]))


def _unchanged(rows: Iterable[StripRow], known_as: str, name: _PartName) -> Iterator[StripRow]:
    """Yield the rows. Raises MachineFault after the last row if the rows have changed since the name was made."""
    yield from name.add_rows(rows)
    if name.text != known_as:
        raise MachineFault("the ledger's strips changed during packing; the job starts again")


def _index(store: Store, key: str, sha256: str | None) -> dict[str, Any] | None:
    """Return the index that an earlier packing of this ledger wrote; None means that the part is packed anew.

    key: of the index's file.  sha256: as this ledger recorded it. Without one, the index does not count: another ledger
    that shares the store may have written it.
    """
    if not sha256:
        return None
    try:
        data = store.get(key, sha256, _LARGEST_INDEX_BYTES)
    except (FileNotFoundError, Damaged):
        return None
    index: dict[str, Any] = json.loads(data)["index"]
    return index


def _index_bytes(index: dict[str, Any]) -> bytes:
    """Return the bytes of the index file. It also holds a digest of the index, for readers outside this system."""
    return json.dumps({"sha256": digest_of(index), "index": index}, indent=1).encode()


def _write(
    store: Store, key: str, run: PlannedRun, examples: Iterator[Example], sizes: dict[str, int | None]
) -> dict[str, Any]:
    """Write shards and index; return the index. sizes: receives the size of each shard in bytes, by key."""
    by_copy: Counter[tuple[int, bool]] = Counter()

    def each() -> Iterator[Example]:
        for example in examples:
            by_copy[example.label, example.copy > 0] += 1
            yield example

    names, digests = [], []
    for at, data in enumerate(shards(each(), run.split["digest"], run.pipeline_digest)):
        names.append(f"{key}/{at:05d}.parquet")
        digests.append(content_digest(data))
        sizes[names[-1]] = store.put(names[-1], data)
    originals = {str(label): n for (label, is_copy), n in sorted(by_copy.items()) if not is_copy}
    index = {
        "key": key, "shards": names, "sha256": digests, "n_examples": by_copy.total(), "label_counts": originals,
    }  # fmt: skip
    store.put(f"{key}/index.json", _index_bytes(index))
    return index


def _is_whole(work: Work, index: dict[str, Any]) -> bool:
    """Return whether every shard of the index exists with its recorded digest."""
    for key, digest in zip(index["shards"], index["sha256"], strict=True):
        work.require_claim()
        if key not in work.store or work.store.digest(key) != digest:
            return False
    return True


def _examples(work: Work, run: PlannedRun, shuffled: int | None, rows: Iterable[StripRow]) -> Iterator[Example]:
    """Yield an example for every chunk of the strips.

    shuffled: a subset of the leaky split; only its chunks are yielded, without augmented copies. None for the others.
    """
    number = {label: at for at, label in enumerate(run.labels)}
    chunks_per_span = Preset.from_dict(run.preset).chunks_per_span
    wanted = (row for row in rows if shuffled is None or not row.copy)
    for row, data in fetched(work.store, wanted):
        work.require_claim()
        strip = _strip(data, run, row)
        first, metadata = row.span * chunks_per_span, as_numbers(row.metadata)
        for number_in_span, spectrogram, features in zip(
            strip.numbers, strip.spectrograms, strip.features, strict=True
        ):
            chunk = first + number_in_span
            if shuffled is not None and leaky.subset(run.split["digest"], row.digest, chunk) != shuffled:
                continue
            yield Example(
                spectrogram, features, number[row.label], row.recording, row.digest, row.group,
                chunk=chunk, copy=row.copy, metadata=metadata,
            )  # fmt: skip


def _strip(data: bytes, run: PlannedRun, row: StripRow) -> Strip:
    try:
        strip = decode_strip(data)
    except Damaged as error:
        raise Damaged(f"{row.key}: {error}") from error
    if (strip.recording_digest, strip.span, strip.copy) != (row.digest, row.span, row.copy):
        raise Damaged(f"{row.key} contains the strip of another recording, span or copy")
    if strip.pipeline_digest != run.pipeline_digest:
        raise Damaged(f"{row.key} was made by another pipeline")
    return strip
