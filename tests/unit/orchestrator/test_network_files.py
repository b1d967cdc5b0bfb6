"""Models of exported networks: which files predict, and which are refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from db.store.folder import FolderStore
from domain.errors import Damaged, MachineFault, UsageError
from orchestrator.planning.network_files import export_networks, model_of_files, names_a_file
from tasks.audio.preset import load_preset
from tasks.model.inputs import Scaling
from tests.onnx_files import FACTS, onnx_file

CURRENT = replace(FACTS, pipeline_digest=load_preset("birdclef2021").digest)


def test_the_networks_of_a_folder_predict_together_in_the_order_of_their_names(tmp_path: Path) -> None:
    first, second = onnx_file(CURRENT), onnx_file(replace(CURRENT, fold=3))
    (tmp_path / "b.onnx").write_bytes(second)
    (tmp_path / "a.onnx").write_bytes(first)
    (tmp_path / "notes.txt").write_text("no network")
    found = model_of_files(str(tmp_path))
    assert list(found.contents.values()) == [first, second]
    assert found.model.choice == f"cnn, from {tmp_path.name}; scores are the mean of its 2 networks"
    assert found.model.labels == CURRENT.labels
    assert found.model.pipeline.preset.chunk.shortest_tail_s == 0


def test_exported_networks_are_those_of_the_store_and_predict_in_another(tmp_path: Path) -> None:
    (tmp_path / "cnn.onnx").write_bytes(onnx_file(CURRENT))
    found = model_of_files(str(tmp_path / "cnn.onnx"))
    store = FolderStore(tmp_path / "store")
    found.put_into(store)
    model = replace(found.model, name="3:cnn")
    [path] = export_networks(store, model, tmp_path / "out")
    assert (path.name, path.read_bytes()) == ("3-cnn.onnx", onnx_file(CURRENT))
    assert export_networks(store, model, tmp_path / "out") == [path]
    assert model_of_files(str(path)).model.pipeline == found.model.pipeline
    path.write_bytes(b"another")
    with pytest.raises(UsageError, match=r"3-cnn\.onnx holds another network; give another folder with --out"):
        export_networks(store, model, tmp_path / "out")


def test_a_damaged_or_missing_network_of_the_store_is_not_exported(tmp_path: Path) -> None:
    (tmp_path / "cnn.onnx").write_bytes(onnx_file(CURRENT))
    found = model_of_files(str(tmp_path / "cnn.onnx"))
    store = FolderStore(tmp_path / "store")
    with pytest.raises(MachineFault, match="is not in the store"):
        export_networks(store, found.model, tmp_path / "out")
    [network] = found.model.pipeline.networks
    store.put(network.key, b"other bytes")
    with pytest.raises(Damaged):
        export_networks(store, found.model, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "the folder holds no .onnx file"),
        ({"a.onnx": onnx_file(CURRENT)[:-40]}, "not a complete ONNX file"),
        ({"a.onnx": b""}, "not an ONNX file: it holds no network"),
        ({"a.onnx": onnx_file()}, "a.onnx was trained on spectrograms of an earlier version"),
        (
            {"a.onnx": onnx_file(CURRENT), "b.onnx": onnx_file(replace(CURRENT, labels=("wren", "robin")))},
            "b.onnx and a.onnx differ in their classes",
        ),
        ({"a.onnx": onnx_file(CURRENT), "b.onnx": onnx_file()}, "b.onnx and a.onnx differ in their preset"),
        (
            {"a.onnx": onnx_file(replace(CURRENT, scaling=Scaling(features="both")))},
            "a.onnx reads the place and the time of each recording",
        ),
    ],
)
def test_files_that_are_no_usable_model_are_refused(files: dict[str, bytes], said: str, tmp_path: Path) -> None:
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError) as refused:
        model_of_files(str(tmp_path))
    assert said in str(refused.value)


def test_what_names_a_file(tmp_path: Path) -> None:
    assert [names_a_file(text) for text in ("3", "3:cnn:fold2", "cnn.onnx", "./x", str(tmp_path))] == [
        False, False, True, True, True
    ]  # fmt: skip
    with pytest.raises(UsageError, match="there is no such file"):
        model_of_files(str(tmp_path / "missing.onnx"))


def test_a_folder_does_not_hide_a_run_and_the_working_directory_has_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "3").mkdir()
    (tmp_path / "cnn.onnx").write_bytes(onnx_file(CURRENT))
    monkeypatch.chdir(tmp_path)
    assert [names_a_file(text) for text in ("3", "./3", ".")] == [False, True, True]
    assert model_of_files(".").model.name == tmp_path.name


def test_exported_networks_keep_their_order(tmp_path: Path) -> None:
    contents = [onnx_file(replace(CURRENT, fold=fold)) for fold in range(12)]
    for number, content in enumerate(contents):
        (tmp_path / f"{number:02}.onnx").write_bytes(content)
    found = model_of_files(str(tmp_path))
    store = FolderStore(tmp_path / "store")
    found.put_into(store)
    export_networks(store, replace(found.model, name="3:cnn"), tmp_path / "out")
    assert model_of_files(str(tmp_path / "out")).model.pipeline.digest == found.model.pipeline.digest
