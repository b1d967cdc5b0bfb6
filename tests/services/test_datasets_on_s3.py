"""Datasets in a bucket are understood as the same files in a folder are, and read no more often than needed."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from db.ledger.claims import ItemClaim
from db.store.folder import FolderStore
from db.store.objects import Objects, StoreUnreachable
from domain.bucket_object import BucketObject
from domain.errors import MachineFault, UsageError
from domain.work import KnownFile
from orchestrator.planning.gather import measured_recordings
from orchestrator.planning.planner import dataset_at
from settings import Settings
from tasks.audio.preset import load_preset
from tasks.dataset import bucket
from tasks.dataset.bucket import Bucket
from tasks.dataset.layouts import LayoutError, Row, UnusableRow, open_layout
from tasks.dataset.manifest import FoundRecording, file_digest
from tasks.preprocess import strip_file
from tasks.runtime.sources import Sources
from tests.buckets import Server
from tests.recordings import write_class_folders, write_silence, write_tone

TONES = {"Grey heron": 6000.0, "Robin, Wren": 1000.0, "späß é": 3000.0}


def upload(folder: Path, url: str) -> None:
    objects = Objects(url, allows_plain_http=True)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            objects.put(path.relative_to(folder).as_posix(), path)


def bucket_at(url: str) -> Bucket:
    place = dataset_at(url, Settings())
    assert isinstance(place, Bucket)
    return place


def rows(place: Path | Bucket, **how: bool) -> list[tuple[object, ...]]:
    """Every row without its number: a walk of keys and one of folders need not agree on the order."""
    found = open_layout(place, **how).rows()
    return sorted((row._replace(line=0) for row in found), key=repr)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = write_class_folders(tmp_path / "tones", TONES, per_label=3, seconds=0.2)
    (root / "Robin, Wren" / ".hidden.wav").write_bytes(b"x")
    (root / "__MACOSX").mkdir()
    (root / "__MACOSX" / "x.wav").write_bytes(b"x")
    (root / "LICENSE").write_text("free")
    return root


def test_class_folders_are_those_of_the_folder(folder: Path, s3_url: str) -> None:
    upload(folder, s3_url)
    assert rows(bucket_at(s3_url)) == rows(folder)
    assert open_layout(bucket_at(s3_url)).name == open_layout(folder).name


def test_class_folders_within_train_and_test_within_one_folder_are_looked_through(
    folder: Path, s3_url: str, tmp_path: Path
) -> None:
    for subset in ("train", "test"):
        write_class_folders(tmp_path / "split" / "deep" / subset, TONES, per_label=2, seconds=0.1)
    upload(tmp_path / "split", s3_url)
    assert rows(bucket_at(s3_url)) == rows(tmp_path / "split")
    assert open_layout(bucket_at(s3_url)).notes == open_layout(tmp_path / "split").notes


@pytest.mark.parametrize("csv_at", ["train_metadata.csv", "meta/labels.csv"])
@pytest.mark.parametrize("is_named", [False, True])
@pytest.mark.parametrize("is_trusted", [False, True])
def test_a_csv_is_found_or_named_and_may_be_trusted(
    csv_at: str, is_named: bool, is_trusted: bool, folder: Path, s3_url: str
) -> None:
    table = folder / csv_at
    table.parent.mkdir(exist_ok=True)
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["primary_label", "filename", "author"])
        writer.writerows([label, f"{label}-{n}.wav", "somebody"] for label in TONES for n in range(4))
    upload(folder, s3_url)
    url, path = (f"{s3_url}/{csv_at}", table) if is_named else (s3_url, folder)
    found = rows(bucket_at(url), is_trusted=is_trusted)
    assert found == rows(path, is_trusted=is_trusted)
    assert sum(isinstance(row, UnusableRow) for row in open_layout(bucket_at(url), is_trusted=is_trusted).rows()) == (
        0 if is_trusted else 3
    )
    assert str(open_layout(bucket_at(url)).root) == s3_url


def test_recordings_have_the_digests_and_lengths_of_the_files_and_empty_ones_are_bad(folder: Path, s3_url: str) -> None:
    (folder / "Grey heron" / "nothing.wav").touch()
    write_silence(folder / "Grey heron" / "short.wav", 0)
    upload(folder, s3_url)
    here, there = (
        {
            entry.row.uri: entry[3:6]
            for entry in measured_recordings(open_layout(place), lambda _: {})
            if isinstance(entry, FoundRecording)
        }
        for place in (folder, bucket_at(s3_url))
    )
    assert here == there
    assert len(here) == 10
    [bad] = [
        entry
        for entry in measured_recordings(open_layout(bucket_at(s3_url)), lambda _: {})
        if isinstance(entry, UnusableRow)
    ]
    assert bad.reason == "empty: 0 bytes"


class Counted(Objects):
    """Objects that count what is asked of them."""

    def __init__(self, url: str) -> None:
        super().__init__(url, allows_plain_http=True)
        self.asked: list[str] = []

    def get_object(self, key: str, most_bytes: float = float("inf")) -> tuple[BucketObject, bytes | None]:
        self.asked.append(f"get {key}")
        return super().get_object(key, most_bytes)

    def head(self, key: str) -> BucketObject:
        self.asked.append(f"head {key}")
        return super().head(key)


def test_a_second_plan_asks_for_a_listing_and_reads_only_what_has_changed(folder: Path, s3_url: str) -> None:
    upload(folder, s3_url)
    first = [
        entry
        for entry in measured_recordings(open_layout(bucket_at(s3_url)), lambda _: {})
        if isinstance(entry, FoundRecording)
    ]
    known = {entry.row.uri: KnownFile(*entry[1:6]) for entry in first}
    changed = "Grey heron/Grey heron-1.wav"
    Objects(s3_url, allows_plain_http=True).put(changed, folder / "Grey heron" / "Grey heron-2.wav")
    objects = Counted(s3_url)
    second = list(measured_recordings(open_layout(Bucket(objects)), lambda uris: {uri: known[uri] for uri in uris}))
    assert objects.asked == [f"get {changed}"]
    assert [entry[3] for entry in second] == [
        known["Grey heron/Grey heron-2.wav"].digest if entry.row.uri == changed else known[entry.row.uri].digest
        for entry in second
    ]


def test_a_thousand_and_more_recordings_come_by_pages(s3_url: str) -> None:
    objects = Objects(s3_url, allows_plain_http=True)
    for number in range(1100):
        objects.put(f"robin/{number:05d}.wav", b"x")
    found = list(open_layout(bucket_at(s3_url)).rows())
    assert [row.uri for row in found if isinstance(row, Row)] == [f"robin/{number:05d}.wav" for number in range(1100)]


@pytest.mark.parametrize("long_bytes", [1 << 20, 1 << 30])
def test_every_span_of_a_recording_gives_the_strip_of_the_file_read_at_once_or_in_ranges(
    long_bytes: int, s3_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket, "LONG_BYTES", long_bytes)
    path = write_tone(tmp_path / "data" / "long.flac", 3000.0, 160.0)
    upload(tmp_path / "data", s3_url)
    digest, preset = file_digest(path), json.dumps(load_preset("birdclef2021").as_dict())
    here, there = FolderStore(tmp_path / "here"), FolderStore(tmp_path / "there")
    for root, store in ((str(tmp_path / "data"), here), (s3_url, there)):
        claims = [
            ItemClaim(
                span + 1,
                1,
                root,
                "long.flac",
                digest,
                path.stat().st_size,
                0,
                span,
                0,
                1,
                preset,
                is_on_trust=False,
                is_made=False,
            )
            for span in range(3)
        ]
        with Sources(claims, plain_http=True) as sources:
            made = [strip_file(claim, sources) for claim in claims]
        for strip in made:
            store.put(strip.facts.key, strip.data)
        keys = [strip.facts.key for strip in made]
    assert [here.get_unverified(key) for key in keys] == [there.get_unverified(key) for key in keys]


@pytest.mark.parametrize(
    ("url", "said"),
    [("s3://", "BUCKET"), ("s3://key:secret@bucket/x", "AWS_"), ("https://bucket/x", "s3://BUCKET/PREFIX")],
)
def test_what_is_no_place_on_s3_is_refused_in_a_sentence_without_its_secrets(url: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        dataset_at(url, Settings())
    assert "secret" not in str(refused.value)


def test_an_empty_prefix_and_a_csv_that_is_not_there_are_refused(s3_url: str) -> None:
    Objects(s3_url, allows_plain_http=True).put("x/y.txt", b"x")
    for url in (f"{s3_url}/elsewhere", f"{s3_url}/none.csv", s3_url):
        with pytest.raises(LayoutError):
            open_layout(bucket_at(url))


def test_a_bucket_that_does_not_exist_and_keys_that_are_wrong_are_the_machines_fault(
    s3_server: Server, s3_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StoreUnreachable, match="bucket"):
        open_layout(bucket_at("s3://no-such-bucket/x"))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-and-private")
    with pytest.raises(StoreUnreachable) as refused:
        open_layout(bucket_at(s3_url))
    assert "private" not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_server_that_goes_away_while_planning_ends_the_plan_and_blames_no_recording(
    folder: Path, s3_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(folder, s3_url)
    layout = open_layout(bucket_at(s3_url))
    monkeypatch.setattr(Objects, "get_object", _away)
    with pytest.raises(MachineFault, match="repeat the command later"):
        list(measured_recordings(layout, lambda _: {}))


def _away(self: Objects, key: str, most_bytes: float) -> tuple[BucketObject, bytes | None]:
    raise StoreUnreachable(f"{self.url}: no server answers")
