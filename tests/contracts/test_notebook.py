"""The notebook is a clean file, and its page names all that `dawn_chorus` offers."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path

import dawn_chorus

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_notebook_has_no_outputs() -> None:
    notebook = json.loads((DOCS / "notebook.ipynb").read_text("utf-8"))
    assert notebook["nbformat"] == 4
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert len(code) > 5
    assert [cell for cell in code if cell["outputs"] or cell["execution_count"] is not None] == []


def public_functions(kind: type) -> set[str]:
    return {name for name, _ in inspect.getmembers(kind, inspect.isfunction) if not name.startswith("_")}


def test_the_page_on_notebooks_names_every_function_and_no_other() -> None:
    page = (DOCS / "howto" / "notebook.md").read_text("utf-8")
    classes = {"home": dawn_chorus.OpenHome, "run": dawn_chorus.RunTables, "model": dawn_chorus.LoadedModel}
    for name, kind in classes.items():
        assert set(re.findall(rf"`{name}\.(\w+)\(", page)) == public_functions(kind), name
    functions = {name for name in dawn_chorus.__all__ if inspect.isfunction(getattr(dawn_chorus, name))}
    assert functions <= set(re.findall(r"dawn_chorus\.(\w+)\(", page))
