"""A preset is read strictly, says what is wrong in a sentence, and is known by its values."""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

import tasks.audio.preset as preset_module
from domain.errors import Impossible
from tasks.audio.preset import Preset, PresetError, load_preset, preset_names


def test_the_default_preset_is_the_published_one(preset: Preset) -> None:
    assert preset.name == "birdclef2021"
    assert (preset.decode.rate_hz, preset.chunk.duration_s, preset.chunk.shortest_tail_s) == (32_000, 5.0, 2.5)
    assert (preset.mel.n_mels, preset.mel.fmin_hz, preset.mel.fmax_hz, preset.mel.hop_samples) == (
        48,
        500,
        12_500,
        1259,
    )
    assert preset.augment.copies == 0


def test_it_comes_back_from_json_as_it_was(preset: Preset) -> None:
    again = Preset.from_dict(json.loads(json.dumps(preset.as_dict())))
    assert again == preset
    assert again.digest == preset.digest


def test_built_in_names_are_listed() -> None:
    assert "birdclef2021" in preset_names()


def test_a_file_may_hold_only_what_differs(tmp_path: Path, preset: Preset) -> None:
    path = tmp_path / "bats.toml"
    path.write_text('like = "birdclef2021"\n[mel]\nn_mels = 64\n[augment]\ncopies = 2\n')
    bats = load_preset(path)
    assert bats.name == "bats"
    assert bats == replace(
        preset, name="bats", mel=replace(preset.mel, n_mels=64), augment=replace(preset.augment, copies=2)
    )


def test_a_whole_file_of_the_users_is_read_by_its_path(tmp_path: Path, preset: Preset) -> None:
    source = Path(preset_module.__file__).parent / "presets" / "birdclef2021.toml"
    path = tmp_path / "copy.toml"
    path.write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
    assert load_preset(str(path)) == preset


@pytest.mark.parametrize("section", ["decode", "gate", "denoise", "chunk", "mel", "features", "augment"])
def test_every_value_changes_the_digest(section: str, preset: Preset) -> None:
    settings = getattr(preset, section)
    for field in dataclasses.fields(settings):
        other = preset.as_dict()
        value = other[section][field.name]
        other[section][field.name] = "none" if isinstance(value, str) else value * 1.001 if value else 1
        # Built without the checks: what is asked here is only whether the digest sees the value.
        changed = object.__new__(Preset)
        changed.__dict__.update({**preset.__dict__, section: type(settings)(**other[section])})
        changed.__dict__.pop("digest", None)
        assert changed.digest != preset.digest, field.name


def test_the_digest_does_not_depend_on_the_name(preset: Preset) -> None:
    assert replace(preset, name="other").digest == preset.digest


def test_a_new_revision_of_the_code_changes_the_digest(preset: Preset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preset_module, "REVISION", preset_module.REVISION + 1)
    assert replace(preset).digest != preset.digest


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[mel]\nn_mel = 64", ["mel", "'n_mel'", "n_mels"]),
        ("[male]\nn_mels = 64", ["'male'", "mel"]),
        ("[mel]\nn_mels = 64.5", ["mel.n_mels", "64.5", "whole number"]),
        ("[mel]\nn_mels = true", ["mel.n_mels", "True", "whole number"]),
        ("[mel]\nn_mels = 0", ["mel.n_mels", "0", "from 8 to 512"]),
        ("[mel]\ntop_db = nan", ["mel.top_db", "nan"]),
        ("[mel]\ntop_db = '80'", ["mel.top_db", "'80'", "number"]),
        ("[mel]\nfmin_hz = 13000.0", ["mel.fmin_hz", "13000.0", "12500.0"]),
        ("[mel]\nfmax_hz = 20000.0", ["mel.fmax_hz", "20000.0", "16000.0"]),
        ("[denoise]\nmethod = 'wavelets'", ["denoise.method", "'wavelets'", "non-stationary"]),
        ("[denoise]\nblock_samples = 700000", ["denoise.block_samples", "700000"]),
        ("[denoise]\nsmooth_hz = 10.0", ["denoise.smooth_hz", "10.0", "63"]),
        ("[denoise]\nsmooth_ms = 2.0", ["denoise.smooth_ms", "2.0", "8"]),
        ("[chunk]\nduration_s = 7.0", ["span_s", "75", "7.0"]),
        ("[chunk]\nshortest_tail_s = 6.0", ["chunk.shortest_tail_s", "6.0"]),
        ("[augment]\nlowest_snr_db = 50.0", ["augment.lowest_snr_db", "50.0", "40.0"]),
        ("[mel]\nn_fft = 999999999999", ["mel.n_fft", "999999999999", "16384"]),
        ("[mel]\nhop_samples = -5", ["mel.hop_samples", "-5"]),
        ("[mel]\nhop_samples = 16\nn_mels = 512", ["mel.hop_samples", "16", "512 by 10001", "1,048,576"]),
        ("[mel]\nhop_samples = 160\nn_mels = 512\n[decode]\nspan_s = 600", ["decode.span_s", "120", "16,777,216"]),
        ("[mel]\nn_fft = 1025", ["mel.n_fft", "1025", "even"]),
        ("[features]\nn_fft = 999", ["features.n_fft", "999", "even"]),
        ("[mel]\nn_fft = 64\nn_mels = 33", ["mel.n_mels", "33", "64", "32"]),
        ("[chunk]\nduration_s = 0", ["chunk.duration_s", "0", "0.5"]),
        ("[denoise]\nthreshold = inf", ["denoise.threshold", "inf"]),
        ("[denoise]\nmethod = ['none']", ["denoise.method", "['none']"]),
        ("[mel]\nfmin_hz = 2020-01-01", ["mel.fmin_hz", "2020", "number"]),
        ("[[mel]]\nn_mels = 64", ["mel", "table"]),
        ("a = " + "[" * 5000, ["TOML"]),
        ("a = 1" + "0" * 5000, ["TOML", "digits"]),
        ("like = ['birdclef2021']", ["like", "birdclef2021"]),
        ("like = 'mine'", ["like", "'mine'", "birdclef2021"]),
        ("mel = 3", ["mel", "3", "table"]),
        ("name = '../../etc'", ["name", "../../etc"]),
        ("name = 7", ["name", "7"]),
        (f"name = '{'a' * 61}'", ["name", "aaa", "60"]),
        ("what is this", ["TOML"]),
        ("like = 'nothing'", ["like", "'nothing'", "birdclef2021"]),
    ],
)
def test_a_wrong_preset_is_refused_with_the_key_the_value_and_what_is_allowed(
    text: str, words: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text if text.startswith("like") else f'like = "birdclef2021"\n{text}\n')
    with pytest.raises(PresetError) as caught:
        load_preset(path)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_an_absent_key_is_named(preset: Preset) -> None:
    values = preset.as_dict()
    del values["mel"]["top_db"]
    with pytest.raises(PresetError, match="top_db"):
        Preset.from_dict(values)


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(PresetError, match="birdclef2021"):
        load_preset("birdclef2022")


@pytest.mark.parametrize("path", ["", "a" * 5000, "\0", "/dev/zero", "/"])
def test_a_path_that_cannot_be_a_preset_is_refused_in_a_sentence(path: str) -> None:
    with pytest.raises(PresetError, match="preset"):
        load_preset(path)


def test_a_file_that_is_no_text_or_a_loop_of_links_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "binary.toml").write_bytes(bytes(range(256)))
    (tmp_path / "loop.toml").symlink_to(tmp_path / "loop.toml")
    for name in ("binary.toml", "loop.toml"):
        with pytest.raises(PresetError, match=f"{name}' cannot be read"):
            load_preset(tmp_path / name)


def test_a_named_pipe_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.toml")
    with pytest.raises(PresetError, match=r"pipe.toml' cannot be read: it is a named pipe, not a file"):
        load_preset(tmp_path / "pipe.toml")
    with pytest.raises(PresetError, match="it is a device or a socket, not a file"):
        load_preset("/dev/zero")


def test_a_preset_error_is_an_impossible_request() -> None:
    assert issubclass(PresetError, Impossible)


def test_a_preset_cannot_be_changed(preset: Preset) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        preset.mel.n_mels = 64  # type: ignore[misc]
