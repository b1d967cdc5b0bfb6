"""Whatever a TOML file says, it is a preset or is refused in a sentence that names the key."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.audio import preset as module
from tasks.audio.preset import Preset, PresetError, load_preset

KNOWN = load_preset("birdclef2021").as_dict()
KEYS = [(section, key) for section, values in KNOWN.items() if isinstance(values, dict) for key in values]

values: st.SearchStrategy[Any] = st.one_of(
    st.integers(-(10**20), 10**20),
    st.integers(0, 2000),
    st.floats(allow_nan=True, allow_infinity=True),
    st.booleans(),
    st.text("abz 09-_.", max_size=8),
    st.dates().map(str),
    st.sampled_from(["none", "stationary", 0, 1, 64, 0.5, 1e-9, 16_000, 75, 600]),
    st.lists(st.integers(), max_size=2),
)


def toml(value: Any) -> str:
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("presets") / "mine.toml"


def loaded(file: Path, text: str) -> Preset | str:
    file.write_text(text, encoding="utf-8")
    try:
        return load_preset(file)
    except PresetError as error:
        return str(error)


@given(st.lists(st.tuples(st.sampled_from(KEYS), values), max_size=4, unique_by=lambda pair: pair[0]))
def test_any_values_give_a_preset_or_a_sentence_with_one_of_their_keys(
    file: Path, changes: list[tuple[tuple[str, str], Any]]
) -> None:
    found = loaded(file, 'like = "birdclef2021"\n' + "\n".join(f"{a}.{b} = {toml(value)}" for (a, b), value in changes))
    if isinstance(found, str):
        assert any(f"{section}.{key}" in found for section, key in KEYS), found
    else:
        assert found.mel.n_mels * found.n_frames <= module._MOST_PIXELS
        assert found.chunks_per_span >= 1
        assert found.mel.n_mels * found.n_frames * found.chunks_per_span <= module.MOST_STRIP_PIXELS
        assert Preset.from_dict(json.loads(json.dumps(found.as_dict()))) == dataclasses.replace(found)


@given(st.text(max_size=200) | st.from_regex(r"(\[?[a-z]{0,9}\]? ?=? ?[0-9a-z.\"]{0,9}\n){0,9}", fullmatch=True))
def test_any_text_gives_a_preset_or_a_sentence(file: Path, text: str) -> None:
    found = loaded(file, text)
    assert isinstance(found, Preset) or len(found) > 20
