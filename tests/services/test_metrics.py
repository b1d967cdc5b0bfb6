"""What `/metrics` says, scraped over HTTP from a real ledger and a real broker."""

from __future__ import annotations

import re
import signal
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from prometheus_client.parser import text_string_to_metric_families

from db.engine import Database
from db.ledger import control, feeding
from db.ledger.claims import Outcome
from db.ledger.presence import register
from db.queries.metrics import Gauges, LedgerMetrics
from db.schema.tables import Item, Run
from db.schema.upgrade import upgrade
from domain.reasons import Reason, ReasonCode
from domain.states import FINAL, Kind, RunKind, State
from domain.work import PlannedJob
from orchestrator.monitoring import prometheus
from orchestrator.monitoring.prometheus import Exporter, MetricsUnusable
from settings import Settings
from tests import servers
from tests.e2e.command import until
from tests.ledger_rows import EMPTY, done, output, small_run

Labels = frozenset[tuple[str, str]]


@contextmanager
def exporter(database_url: str, broker_url: str, tmp_path: Path) -> Iterator[Exporter]:
    port = servers.free_port()
    settings = Settings(home=tmp_path, database_url=database_url, broker_url=broker_url, metrics_port=port)
    with Exporter(settings) as running:
        running.measure()
        yield running


def scraped(running: Exporter) -> tuple[str, dict[tuple[str, Labels], float]]:
    began_s = time.monotonic()
    with urllib.request.urlopen(f"http://127.0.0.1:{running.port}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    assert time.monotonic() - began_s < 2.0, "a scrape waits for no measurement"
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return text, {(sample.name, frozenset(sample.labels.items())): sample.value for sample in samples}


def one(values: dict[tuple[str, Labels], float], name: str, **labels: str) -> float:
    return values[name, frozenset(labels.items())]


def test_the_agreed_names_tell_the_ledger_and_the_queues(database: Database, redis_url: str, tmp_path: Path) -> None:
    jobs = [PlannedJob("pack", fold=-1, subset=0), PlannedJob("train", "cnn", 0, -1, needs=(0,))]
    small = small_run(database, 6, jobs)
    register(database, "cpu-1@here", "here", "cpu", "CPU, 2 at a time")
    ledger = small.ledger("cpu-1@here", lease_s=60)
    first, second, third = ledger.claim_items(small.run, small.items[:3])
    ledger.settle_items([done(first), done(second), Outcome(third, State.QUARANTINED, EMPTY)])
    small.ledger("cpu-2@there", lease_s=0.05).claim_items(small.run, small.items[3:4])
    time.sleep(0.2)
    assert feeding.put_back_expired(database) == 1
    ledger.claim_items(small.run, small.items[4:5])
    with exporter(database.url, redis_url, tmp_path) as running:
        _, values = scraped(running)
        assert {state: one(values, "chorus_items", state=state) for state in State} == {
            "waiting": 2, "sent": 0, "running": 1, "done": 2, "quarantined": 1, "failed": 0, "cancelled": 0,
        }  # fmt: skip
        assert one(values, "chorus_items_finished_total", kind="preprocess", state="done") == 2
        assert one(values, "chorus_attempts_total") == 5
        assert one(values, "chorus_lease_expiries_total") == 1
        assert one(values, "chorus_quarantined", reason="empty", reason_code="empty") == 1
        assert 0 <= one(values, "chorus_worker_progress_age_seconds", worker="cpu-1@here", role="cpu") < 30
        assert {queue: one(values, "chorus_queue_messages", queue=queue) for queue in ("cpu", "gpu")} == {
            "cpu": 0, "gpu": 0,
        }  # fmt: skip
        assert one(values, "chorus_consumers", queue="gpu") == 0
        assert 0 < one(values, "chorus_oldest_waiting_seconds", queue="cpu") < 30, "two are not sent yet"
        assert one(values, "chorus_open", kind="preprocess", state="waiting") == 2
        assert one(values, "chorus_open", kind="train", state="waiting") == 1
        assert one(values, "chorus_items_finished_total", kind="render", state="failed") == 0
        assert one(values, "chorus_up", part="database") == one(values, "chorus_up", part="broker") == 1
        assert "cpu-2@there" not in str(values), "a worker that is gone and holds nothing is not shown"

        feeding.take_batches(database, small.run, 8, 1.0)
        time.sleep(0.3)
        running.measure()
        assert one(scraped(running)[1], "chorus_oldest_waiting_seconds", queue="cpu") >= 0.3


def test_a_training_shows_its_epochs_while_it_is_under_way_and_its_end_is_counted(
    database: Database, redis_url: str, tmp_path: Path
) -> None:
    small = small_run(database, 1, [PlannedJob("train", "cnn", 0, -1)])
    ledger = small.ledger("gpu-1@here")
    ledger.settle_items([done(claim) for claim in ledger.claim_items(small.run, small.items)])
    [ready] = feeding.take_jobs(database)
    with exporter(database.url, redis_url, tmp_path) as running:
        assert one(scraped(running)[1], "chorus_oldest_waiting_seconds", queue="gpu") >= 0
        claim = ledger.claim_job(small.run, ready.job, ready.kind)
        assert claim is not None
        for epoch in (1, 2):
            ledger.write_metrics(claim, epoch, {"loss": 1.0})
        running.measure()
        assert one(scraped(running)[1], "chorus_job_epoch", job=str(ready.job), model="cnn") == 2
        ledger.settle_job(claim, State.DONE, None, output(claim.kind))
        running.measure()
        values = scraped(running)[1]
        assert not any(name == "chorus_job_epoch" for name, _ in values)
        assert one(values, "chorus_items_finished_total", kind="train", state="done") == 1


def test_the_open_work_of_a_paused_run_is_not_counted_as_open(database: Database) -> None:
    small = small_run(database, 3, [PlannedJob("pack", fold=-1, subset=0)])
    measured = Gauges(database).measure()
    assert (measured.open["preprocess", "waiting"], measured.open["pack", "waiting"]) == (3, 1)
    assert measured.oldest_waiting_s["preprocess"] > 0
    control.pause(database, small.run)
    measured = Gauges(database).measure()
    assert set(measured.open.values()) == {0}
    assert measured.oldest_waiting_s["preprocess"] == 0
    assert measured.items["waiting"] == 3


def test_the_items_of_predictions_have_a_kind_of_their_own(database: Database) -> None:
    small = small_run(database, 3)
    with database.write() as connection:
        connection.execute(sa.update(Run).values(kind=RunKind.PREDICT))
    [first, *_] = small.ledger().claim_items(small.run, small.items[:1])
    small.ledger().settle_items([done(first)])
    measured = Gauges(database).measure()
    assert (measured.open["predict", "waiting"], measured.open["preprocess", "waiting"]) == (2, 0)
    assert (measured.finished["predict", "done"], measured.finished["preprocess", "done"]) == (1, 0)
    assert measured.oldest_waiting_s["predict"] > measured.oldest_waiting_s["preprocess"] == 0


def test_what_waits_in_the_ledger_while_the_broker_is_away_grows_older(database: Database) -> None:
    small = small_run(database, 3)
    before_s = Gauges(database).measure().oldest_waiting_s["preprocess"]
    feeding.take_batches(database, small.run, 8, 1.0)
    feeding.put_back_unsent(database, Item, small.items)
    time.sleep(0.2)
    assert Gauges(database).measure().oldest_waiting_s["preprocess"] >= before_s + 0.2


def test_every_kind_and_state_is_counted_from_nothing(database: Database) -> None:
    upgrade(database)
    finished = Gauges(database).measure().finished
    assert finished == {(kind, state): 0 for kind in ("preprocess", "predict", *Kind) for state in FINAL}


def test_what_is_tried_again_does_not_make_a_counter_fall(sqlite_url: str, redis_url: str, tmp_path: Path) -> None:
    database = Database(sqlite_url)
    small = small_run(database, 2)
    ledger = small.ledger()
    claims = ledger.claim_items(small.run, small.items)
    ledger.settle_items(
        [Outcome(claim, State.QUARANTINED, Reason(ReasonCode.MISSING, "missing: x")) for claim in claims]
    )
    with exporter(sqlite_url, redis_url, tmp_path) as running:
        assert feeding.close_runs(database) == [small.run]
        assert control.retry(database, small.run) == 2
        running.measure()
        values = scraped(running)[1]
        assert one(values, "chorus_items_finished_total", kind="preprocess", state="quarantined") == 2
        assert one(values, "chorus_items", state="quarantined") == 0
        assert not any(name == "chorus_quarantined" for name, _ in values)
    database.close()


def test_many_kinds_of_reasons_become_few_lines(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    codes = list(ReasonCode)
    small = small_run(database, len(codes))
    ledger = small.ledger()
    claims = ledger.claim_items(small.run, small.items)
    ledger.settle_items(
        [Outcome(claim, State.QUARANTINED, Reason(code, "why")) for code, claim in zip(codes, claims, strict=True)]
    )
    shown = Gauges(database).measure().quarantined
    assert len(shown) == 21
    assert sum(shown.values()) == len(codes) > 21
    database.close()


def test_a_measurement_reads_no_row_of_an_item_that_is_not_at_work(sqlite_url: str) -> None:
    """Its plan uses an index wherever the table of items is named, so a million items cost what a hundred do."""
    database = Database(sqlite_url)
    small = small_run(database, 300)
    ledger = small.ledger()
    ledger.settle_items(
        [Outcome(claim, State.QUARANTINED, EMPTY) for claim in ledger.claim_items(small.run, small.items[:3])]
    )
    asked: list[tuple[str, object]] = []
    sa.event.listen(
        database.engine, "before_cursor_execute", lambda c, cursor, text, values, *_: asked.append((text, values))
    )
    gauges = Gauges(database)
    gauges.measure()
    plans = []
    with database.engine.connect() as connection:
        for text, values in [pair for pair in asked if pair[0].lstrip().upper().startswith("SELECT")]:
            plans += [str(row) for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", values)]
    assert any("item" in plan for plan in plans)
    assert [plan for plan in plans if re.search(r"SCAN item\b(?!.* USING (COVERING )?INDEX ix_item_lease)", plan)] == []
    before = len(asked)
    gauges.measure()
    assert "reason_code" not in "".join(text for text, _ in asked[before:]), (
        "reasons that have not changed are not read again"
    )
    database.close()


def test_scrapes_go_on_while_the_database_and_the_broker_are_away_and_no_secret_is_shown(tmp_path: Path) -> None:
    user = servers.postgres_user()
    with (
        servers.private_folder("chorus-pg", owner=user) as folder,
        servers.private_folder("chorus-redis") as broker_folder,
        servers.redis(broker_folder) as broker,
        servers.postgres(folder, user) as server,
    ):
        server.execute('CREATE DATABASE "metrics"')
        secret = server.url("metrics").replace("chorus@", "chorus:hush-hush@")
        database = Database(secret)
        small_run(database, 3)
        with exporter(secret, servers.redis_url(broker_folder), tmp_path) as running:
            assert one(scraped(running)[1], "chorus_items", state="waiting") == 3
            server.service.end(signal.SIGKILL)
            broker.end(signal.SIGKILL)
            running.measure()
            text, values = scraped(running)
            assert one(values, "chorus_up", part="database") == one(values, "chorus_up", part="broker") == 0
            assert one(values, "chorus_items", state="waiting") == 3, "the last figures stay"
            assert "hush" not in text
        database.close()


def test_one_slow_answer_of_the_database_does_not_make_the_figures_stale(
    sqlite_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upgrade(Database(sqlite_url))
    began_s: list[float] = []
    measured = Gauges.measure

    def slow_at_first(gauges: Gauges) -> LedgerMetrics:
        began_s.append(time.monotonic())
        if len(began_s) == 1:
            time.sleep(1.0)
        return measured(gauges)

    monkeypatch.setattr(Gauges, "measure", slow_at_first)
    monkeypatch.setattr(prometheus, "_MEASURED_EVERY_S", 0.1)
    with exporter(sqlite_url, redis_url, tmp_path):
        # The workers are asked after each measurement, which takes a second; a rest would take twenty.
        until(lambda: len(began_s) > 4, within_s=18)


def test_a_database_that_is_always_slow_is_measured_a_twentieth_of_the_time(
    sqlite_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upgrade(Database(sqlite_url))
    n_measured, measured = 0, Gauges.measure

    def slow(gauges: Gauges) -> LedgerMetrics:
        nonlocal n_measured
        n_measured += 1
        time.sleep(0.5)
        return measured(gauges)

    monkeypatch.setattr(Gauges, "measure", slow)
    monkeypatch.setattr(prometheus, "_MEASURED_EVERY_S", 0.1)
    with exporter(sqlite_url, redis_url, tmp_path):
        time.sleep(6.0)
    assert n_measured <= 3, "the thread's first, the one asked for, and one more before it is known"


def test_an_address_that_is_taken_is_said_in_a_sentence(sqlite_url: str, redis_url: str, tmp_path: Path) -> None:
    upgrade(Database(sqlite_url))
    with exporter(sqlite_url, redis_url, tmp_path) as running:
        settings = Settings(home=tmp_path, database_url=sqlite_url, broker_url=redis_url, metrics_port=running.port)
        with pytest.raises(MetricsUnusable, match=f"127.0.0.1:{running.port}"), Exporter(settings):
            pass
    assert prometheus.MetricsUnusable.exit_code == 4
