"""Dashboard and alerts ask for figures that there are, and are well made."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import servers

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana" / "dashboards" / "dawn-chorus.json").read_text())
ALERTS: dict[str, Any] = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())
PAGE = (DEPLOY.parent / "docs" / "reference" / "metrics.md").read_text()
FIGURES = {
    name: {label for label in labels.split(",") if label}
    for name, labels in re.findall(r"^\| `(chorus_\w+)(?:{([\w,]*)})?` \|", PAGE, re.MULTILINE)
}
"""Of the dispatcher, with their labels."""


def queries() -> list[str]:
    asked = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    return asked + [rule["expr"] for group in ALERTS["groups"] for rule in group["rules"]]


def test_the_dashboard_shows_every_figure_and_neither_it_nor_an_alert_asks_for_another() -> None:
    shown = {name for query in queries() for name in re.findall(r"chorus_\w+", query)}
    assert shown == set(FIGURES)


def test_labels_are_those_of_the_figures() -> None:
    for query in queries():
        known = {label for name in re.findall(r"chorus_\w+", query) for label in FIGURES[name]}
        grouped = {label.strip() for labels in re.findall(r"by \(([^)]*)\)", query) for label in labels.split(",")}
        chosen = {label for labels in re.findall(r"{([^}]*)}", query) for label in re.findall(r"(\w+)=", labels)}
        assert grouped | chosen <= known, query
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= {
                label for name in re.findall(r"chorus_\w+", target["expr"]) for label in FIGURES[name]
            }, panel["title"]


def test_no_panel_lies_on_another_and_each_says_what_it_is_for() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        assert panel["title"]
        assert panel["description"].endswith(".")
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells


@pytest.mark.parametrize(
    "words",
    [
        ("check", "rules", DEPLOY / "prometheus" / "alerts.yml"),
        ("check", "config", DEPLOY / "prometheus" / "prometheus.yml"),
        ("test", "rules", Path(__file__).with_name("alerts.yml")),
    ],
    ids=["rules", "settings", "what the alerts make of histories"],
)
def test_prometheus_agrees(words: tuple[str | Path, ...]) -> None:
    if shutil.which("promtool") is None:
        servers.absent("promtool", "apt-get install prometheus")
    done = subprocess.run(["promtool", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_alerts_say_what_to_do() -> None:
    rules = [rule for group in ALERTS["groups"] for rule in group["rules"]]
    assert [rule["alert"] for rule in rules] == [
        "NoProgress", "WorkerStalled", "NoDispatcher", "ManyQuarantined", "NoGpuWorker",
    ]  # fmt: skip
    assert all(rule["annotations"]["summary"] and rule["annotations"]["what_to_do"] for rule in rules)
