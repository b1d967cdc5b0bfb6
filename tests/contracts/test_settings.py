"""Settings and their page say the same."""

from __future__ import annotations

import re
from pathlib import Path

from settings import Settings

ROOT = Path(__file__).resolve().parents[2]


def test_every_setting_stands_on_its_page_with_its_default_and_no_other_does() -> None:
    page = (ROOT / "docs" / "reference" / "settings.md").read_text()
    rows = {
        name: default.strip()
        for name, default in re.findall(r"^\| `CHORUS_(\w+)` \|[^|]*\|([^|]*)\|", page, re.MULTILINE)
    }
    assert set(rows) == {name.upper() for name in Settings.model_fields}
    for name, field in Settings.model_fields.items():
        if isinstance(field.default, int | float) and field.default:
            assert rows[name.upper()] == f"{field.default:g}", name
