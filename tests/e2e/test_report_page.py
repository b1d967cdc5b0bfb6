"""A report as a browser meets it: nothing fetched, nothing complained about, nothing wider than a telephone."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tasks.report.html.page import JobReport, page
from tests.unit.report.examples import LABELS, jobs_of, report_of

WIDTHS_PX = (400, 1280)
LONG = "Luscinia_megarhynchos_" * 12


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folds, seeds, two models, a failure and a class with a name as long as a line."""
    labels = (LONG, *LABELS[1:])
    grid = [(fold, seed) for fold in (1, 2, 3) for seed in (0, 1)]
    jobs = [job for fold, seed in grid for job in jobs_of("cnn", labels, fold, seed=seed)]
    jobs += [*jobs_of("mlp", labels, 1, 0.5, seed=0), JobReport("train", "failed", "lstm", reason=LONG, worker=LONG)]
    path = tmp_path_factory.mktemp("report") / "run-1.html"
    path.write_text(page(report_of(jobs, labels)), encoding="utf-8")
    return path


@pytest.mark.parametrize("width_px", WIDTHS_PX)
def test_a_browser_fetches_nothing_complains_of_nothing_and_never_scrolls_sideways(
    width_px: int, browser: Browser, report: Path
) -> None:
    requests: list[str] = []
    complaints: list[str] = []
    tab = browser.new_page(viewport={"width": width_px, "height": 800})
    tab.on("request", lambda request: requests.append(request.url))
    tab.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.goto(report.as_uri(), wait_until="load")
    tab.eval_on_selector_all("details", "all => all.forEach(each => each.open = true)")
    content_px = tab.evaluate("document.documentElement.scrollWidth")
    title = tab.title()
    tab.close()
    assert [url for url in requests if not url.startswith("data:")] == [report.as_uri()]
    assert complaints == []
    assert content_px <= width_px
    assert title == "dawn, run 7f3a: Dawn Chorus"


@pytest.fixture(scope="module")
def report_of_many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A thousand classes."""
    labels = tuple(f"Genus{number % 97:02d} species{number:04d}" for number in range(1000))
    path = tmp_path_factory.mktemp("report") / "run-2.html"
    path.write_text(page(report_of(jobs_of("cnn", labels), labels)), encoding="utf-8")
    return path


@pytest.mark.parametrize("width_px", WIDTHS_PX)
def test_a_table_of_a_thousand_classes_is_searched_and_sorted(
    width_px: int, browser: Browser, report_of_many: Path
) -> None:
    complaints: list[str] = []
    tab = browser.new_page(viewport={"width": width_px, "height": 800})
    tab.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.goto(report_of_many.as_uri(), wait_until="load")
    box = tab.locator(".lookup").first
    rows = box.locator("tbody tr:visible")
    assert rows.count() == 1000
    box.get_by_role("button", name="F1").click()
    lowest = rows.first.locator("th").inner_text()
    box.get_by_role("button", name="F1").click()
    highest = rows.first.locator("td").nth(2).inner_text()
    box.get_by_role("searchbox").fill(" SPECIES0042 ")
    found = rows.all_inner_texts()
    said = box.locator("output").inner_text()
    content_px = tab.evaluate("document.documentElement.scrollWidth")
    tab.close()
    assert lowest == "Genus23 species0120"  # the first of the classes without test examples
    assert highest == "1.00"
    assert [text.split("\t")[0] for text in found] == ["Genus42 species0042"]
    assert said == "1 of 1,000"
    assert complaints == []
    assert content_px <= width_px
