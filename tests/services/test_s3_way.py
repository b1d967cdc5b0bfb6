"""Dataset and store on a real S3 server, real workers: byte for byte what a folder gives, whatever the server does."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from db.queries.unused import unused
from db.store.objects import Objects
from domain.errors import MachineFault
from domain.states import RunState, State
from orchestrator.monitoring.doctor import findings
from orchestrator.monitoring.summary import summary
from orchestrator.planning.planner import dataset_at
from orchestrator.planning.request import Request
from orchestrator.progress import Snapshot
from orchestrator.session import Session, local_report
from settings import Settings
from tests import buckets, servers
from tests.e2e.way import TONES, Way, carried_out, files, home
from tests.recordings import write_class_folders

KINDS = ("strips", "shards", "models", "evaluations")
QUICK = Request(models=("mlp",), training={"epochs": 1})


@pytest.fixture
def tones(tmp_path: Path) -> Path:
    return write_class_folders(tmp_path / "tones", TONES, per_label=8, seconds=1.0)


@pytest.fixture
def data_url(tones: Path, s3_url: str) -> str:
    uploaded(tones, f"{s3_url}/data")
    return f"{s3_url}/data"


def uploaded(folder: Path, url: str) -> None:
    objects = Objects(url, allows_plain_http=True)
    for path in sorted(folder.rglob("*.wav")):
        objects.put(path.relative_to(folder).as_posix(), path)


@pytest.fixture
def on_s3(s3_url: str, tmp_path: Path) -> Iterator[Session]:
    with home(tmp_path / "home", store_url=f"{s3_url}/store") as session:
        yield session


def objects_of(session: Session, *kinds: str) -> dict[str, str]:
    """SHA-256 of every object below these prefixes of the store, by key."""
    objects = Objects(session.store.location, allows_plain_http=True)
    found = {each.key for kind in kinds for each in objects.list_objects(kind)}
    return {key: hashlib.sha256(objects.get(key)).hexdigest() for key in found}


def test_strips_shards_models_and_scores_on_s3_are_those_of_a_folder(
    tones: Path, data_url: str, on_s3: Session, tmp_path: Path
) -> None:
    """Slow: two runs to the report, one in a folder and one on S3."""
    with home(tmp_path / "folder") as session:
        in_folder = carried_out(session, tones, QUICK)
        expected = files(session, *KINDS)
    seen = carried_out(on_s3, dataset_at(data_url, on_s3.settings), QUICK)
    assert seen.run.state == in_folder.run.state == RunState.DONE, [(job.kind, job.reason) for job in seen.jobs]
    assert seen.items == in_folder.items
    assert objects_of(on_s3, *KINDS) == expected
    report = summary(on_s3.database, on_s3.store, seen.run.id)["report"]
    assert report.startswith(on_s3.store.location)
    copy = Path(local_report(on_s3, report))
    assert copy.is_relative_to(tmp_path)
    assert "<html" in copy.read_text()
    assert [path.name for path in copy.parent.iterdir()] == [copy.name]
    assert findings(on_s3, repair=False) == []
    on_s3.store.remove(report.removeprefix(f"{on_s3.store.location}/"))
    with pytest.raises(MachineFault, match="is gone; run `orchestrator doctor --repair"):
        local_report(on_s3, report)
    [strip, *_] = objects_of(on_s3, "strips")
    on_s3.store.remove(strip)
    assert any(strip in finding and "is missing" in finding for finding in findings(on_s3, repair=False))


def test_a_trusted_csv_on_s3_is_read_by_workers_alone_and_a_second_run_does_nothing_again(
    tones: Path, s3_url: str, on_s3: Session
) -> None:
    uploaded(tones, f"{s3_url}/data")
    lines = [f"{path.relative_to(tones)},{path.parent.name}" for path in sorted(tones.rglob("*.wav"))]
    table = "\n".join(["path,label", *lines, "high/never-was.wav,high"])
    Objects(f"{s3_url}/data", allows_plain_http=True).put("list.csv", table.encode())
    place = dataset_at(f"{s3_url}/data/list.csv", on_s3.settings)
    wanted = Request(until="pack", trust_csv=True)
    first = carried_out(on_s3, place, wanted)
    assert (first.items[State.DONE], first.items[State.QUARANTINED]) == (24, 1)
    [lost] = unused(on_s3.database, first.run.id).quarantined
    assert lost.reason_code == "missing"
    before = objects_of(on_s3, "strips")
    second = carried_out(on_s3, place, replace(wanted, until="preprocess"))
    assert second.items == first.items
    assert objects_of(on_s3, "strips") == before
    with on_s3.database.read() as connection:
        attempts = connection.exec_driver_sql(
            f"SELECT SUM(attempts) FROM item WHERE run_id = {second.run.id} AND state = 'done'"
        )
        assert attempts.scalar() == 0


def test_an_object_that_was_replaced_is_reported_as_changed(tones: Path, s3_url: str, on_s3: Session) -> None:
    uploaded(tones, f"{s3_url}/data")
    objects = Objects(f"{s3_url}/data", allows_plain_http=True)

    def replace_one(way: Way, seen: Snapshot) -> None:
        objects.put("low/low-7.wav", tones / "high" / "high-1.wav")

    place = dataset_at(f"{s3_url}/data", on_s3.settings)
    seen = carried_out(on_s3, place, Request(until="preprocess"), disturb=replace_one)
    codes = {lost.recording: lost.reason_code for lost in unused(on_s3.database, seen.run.id).quarantined}
    assert set(codes) <= {"low/low-7.wav"}, codes
    assert set(codes.values()) <= {"changed"}


def test_a_server_that_goes_away_and_comes_back_costs_time_and_no_recording(tmp_path: Path) -> None:
    """Slow: failed reads are retried after growing pauses."""
    tones = write_class_folders(tmp_path / "tones", TONES, per_label=60, seconds=3.0)
    with (
        servers.private_folder("chorus-s3") as folder,
        ExitStack() as started,
        servers.environ((first := started.enter_context(buckets.seaweedfs(folder))).environment),
        home(tmp_path / "home", store_url="s3://birds/store") as session,
    ):
        uploaded(tones, "s3://birds/data")
        times_s: dict[str, float] = {}

        def cut(way: Way, seen: Snapshot) -> None:
            if not times_s and seen.items[State.DONE] >= 5:
                first.stop()
                times_s["away"] = time.monotonic()
            if len(times_s) == 1 and time.monotonic() - times_s["away"] > 4:
                started.enter_context(buckets.seaweedfs(folder, first))
                times_s["back"] = time.monotonic()

        seen = carried_out(session, dataset_at("s3://birds/data", Settings()), Request(until="preprocess"), cut)
        assert set(times_s) == {"away", "back"}, "the run was over before the server was away"
        assert seen.run.state == RunState.DONE
        assert seen.items[State.DONE] == 180
        assert len(objects_of(session, "strips")) == 180
