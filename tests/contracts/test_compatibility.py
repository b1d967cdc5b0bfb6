"""What scripts and monitors of version 1 rely on is still there: options, keys of `--json`, names of metrics."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import typer.main

from db.queries.run_counts import FaultCount
from orchestrator.cli.main import app
from orchestrator.monitoring.summary import _faults

DOCS = Path(__file__).resolve().parents[2] / "docs" / "reference"
PLACES = {"--home", "--broker-url", "--database-url", "--store-url"}
OF_A_RUN = {
    "--models", "--preset", "--folds", "--seeds", "--seed", "--split-seed", "--epochs", "--until", "--device",
    "--features", "--trust-csv", "--leak-meter", "--ablate", "--dry-run", "--json",
}  # fmt: skip
OPTIONS = {
    "run": PLACES | OF_A_RUN | {"--flower", "--flower-port"},
    "submit": PLACES | OF_A_RUN | {"--watch"},
    "watch": PLACES | {"--json"},
    "status": PLACES | {"--json"},
    "runs": PLACES | {"--json"},
    "resume": PLACES | {"--json", "--remote"},
    "retry": PLACES | {"--json", "--remote"},
    "cancel": PLACES,
    "report": PLACES | {"--open"},
    "demo": PLACES | {"--json"},
    "workers": PLACES | {"--json"},
    "worker": PLACES | {"--concurrency", "--require-gpu"},
    "dispatcher": PLACES,
    "flower": PLACES | {"--port", "--address", "--state"},
    "health": PLACES,
    "doctor": PLACES | {"--json", "--repair"},
    "models": {"--classes", "--layers", "--json"},
}
METRICS = {
    "chorus_up": {"part"},
    "chorus_ledger_age_seconds": set(),
    "chorus_items": {"state"},
    "chorus_open": {"kind", "state"},
    "chorus_items_finished_total": {"kind", "state"},
    "chorus_attempts_total": set(),
    "chorus_lease_expiries_total": set(),
    "chorus_quarantined": {"reason"},
    "chorus_oldest_waiting_seconds": {"queue"},
    "chorus_job_epoch": {"job", "model"},
    "chorus_worker_progress_age_seconds": {"worker", "role"},
    "chorus_queue_messages": {"queue"},
    "chorus_consumers": {"queue"},
    "chorus_refused_messages_total": {"reason"},
}
KEYS = {
    "run", "state", "recordings", "quarantined", "used_in_part", "failed", "jobs", "scores", "leak_meter", "ablation",
    "honesty", "faults", "artifacts", "report", "started_at", "finished_at", "bad_rows",
}  # fmt: skip


@pytest.mark.parametrize("command", OPTIONS)
def test_every_command_takes_the_options_that_it_took(command: str) -> None:
    group: Any = typer.main.get_command(app)
    taken = {word for option in group.commands[command].params for word in option.opts}
    assert OPTIONS[command] <= taken


def test_metrics_keep_their_names_and_labels() -> None:
    page = (DOCS / "metrics.md").read_text("utf-8")
    rows = re.findall(r"^\| `(chorus_\w+)(?:{([\w,]*)})?` \|", page, re.MULTILINE)
    named = {name: set(filter(None, labels.split(","))) for name, labels in rows}
    assert {name: labels & named[name] for name, labels in METRICS.items()} == METRICS


def test_the_page_of_json_has_the_keys_of_a_run() -> None:
    page = (DOCS / "json.md").read_text("utf-8")
    named = {re.split(r"[.\[]", key)[0] for key in re.findall(r"`([\w.\[\]]+)`", page)}
    assert named >= KEYS


def test_faults_have_their_old_and_new_keys() -> None:
    found = FaultCount(retries=1, lost_claims=2, expiries=3, crashes=4, quarantined=5, failed=6)
    assert _faults(found) == {**asdict(found), "losses": 2, "deaths": 4}
