"""Every link in the documentation leads to a file and a heading that exist."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from db.queries.status import RunLine
from docs.generate import GENERATED
from docs.generate import PAGES as GENERATED_IN
from orchestrator.monitoring.workers import WorkerLine
from tasks.dataset.manifest import Summary
from tasks.detections.detection_tables import TablesWritten

ROOT = Path(__file__).parents[2]
PACKAGES = ("orchestrator", "tasks", "db", "domain", "workers")
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)\s]+)\)")


def headings(page: Path) -> set[str]:
    """Anchors that a page's headings get on GitHub: lower case, hyphens for blanks, punctuation dropped."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    broken = []
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in headings(target)):
            broken.append(link)
    assert broken == []


def test_every_page_is_linked_from_another() -> None:
    linked = {
        (page.parent / link.partition("#")[0]).resolve()
        for page in PAGES
        for link in LINK.findall(page.read_text(encoding="utf-8"))
        if not link.startswith("#")
    }
    assert {page.name for page in PAGES if page.is_relative_to(ROOT / "docs") and page not in linked} == set()


@pytest.mark.parametrize("name", GENERATED)
def test_a_generated_page_says_what_the_code_says(name: str) -> None:
    page = (GENERATED_IN / name).read_text(encoding="utf-8")
    assert page == GENERATED[name](), f"docs/reference/{name} is out of date; run `make docs`"


def test_every_sentence_that_troubleshooting_quotes_is_in_the_code() -> None:
    """Parts between values are compared: the page quotes the words around them."""
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    table = [row.split("|")[1] for row in page.splitlines() if row.startswith("| ")]
    quoted = [part.strip(" …") for cell in table for part in re.findall(r'"([^"]+)"', cell)]
    code = "".join(path.read_text(encoding="utf-8") for name in PACKAGES for path in (ROOT / name).rglob("*.py"))
    code = re.sub(r'"\n\s+f?"', "", code)
    assert len(quoted) > 5
    assert [part for part in quoted if re.sub(r"\d+", "{", part).partition("{")[0] not in code] == []


@pytest.mark.parametrize(
    ("command", "keys"),
    [
        ("`runs` prints", {field.name for field in fields(RunLine)}),
        ("`workers` prints", {field.name for field in fields(WorkerLine)}),
        ("`detections` prints", {"folder", *(field.name for field in fields(TablesWritten))}),
        ("`run --dry-run` and", set(Summary().as_dict()) - {"bad_rows"}),
    ],
    ids=["runs", "workers", "detections", "dry-run"],
)
def test_every_key_of_the_other_commands_is_on_the_page_on_json(command: str, keys: set[str]) -> None:
    page = (ROOT / "docs" / "reference" / "json.md").read_text(encoding="utf-8")
    table = page.partition(f"\n{command}")[2].split("\n\n")[1]
    documented = {name for row in table.splitlines() for name in re.findall(r"`([^`]+)`", row.split("|")[1])}
    assert keys
    assert keys <= documented
