"""docs/reference/models.md says what the code does."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path

from tasks.audio.preset import load_preset
from tasks.model.spec import TrainingSettings
from tasks.model.training.stream import WINDOW_BYTES
from tasks.model.zoo import MODELS

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "models.md").read_text(encoding="utf-8")


def test_every_model_of_the_zoo_is_on_the_page_and_no_other():
    table = PAGE.split("## Inputs")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == set(MODELS)


def test_the_page_tells_the_default_of_every_training_setting():
    told = {}
    for names, values in re.findall(
        r"^\| (`[a-z_`, ]+) \| ([^|]+) \|", PAGE.split("| setting |")[1].split("\n\n")[0], re.MULTILINE
    ):
        told |= dict(zip(re.findall(r"`(\w+)`", names), values.split(", "), strict=True))
    assert {name: value.strip() for name, value in told.items()} == {
        name: shown(value) for name, value in asdict(TrainingSettings()).items()
    }


def shown(value):
    if isinstance(value, bool):
        return "on" if value else "off"
    return value if isinstance(value, str) else f"{value:g}"


def test_the_page_names_the_size_of_a_window():
    reference, broad = (load_preset(name) for name in ("birdclef2021", "broadband"))
    n, n_broad = (WINDOW_BYTES // (preset.mel.n_mels * preset.n_frames) for preset in (reference, broad))
    megabytes = WINDOW_BYTES // 1_000_000
    assert f"{megabytes} MB of spectrograms: {n:,} of `birdclef2021`, {n_broad:,} of `broadband`" in PAGE
