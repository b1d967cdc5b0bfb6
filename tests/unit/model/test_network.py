"""Exported networks: what they answer, and which files are refused."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from domain.digests import content_digest
from domain.errors import Damaged, MachineFault
from domain.stored_file import StoredFile
from tasks.model import network
from tasks.model.inputs import RawBatch, Scaling
from tasks.model.network import NetworkFacts, NoRuntime, parse_network, read_facts, read_network
from tasks.model.onnx_contents import OnnxError, onnx_contents
from tests.fuzzing import fuzzed
from tests.onnx_files import FACTS, FLOAT, IMAGE, OF_FEATURES, onnx_file


def raw(*levels: int) -> RawBatch:
    spectrograms = np.array(levels, np.uint8)[:, np.newaxis, np.newaxis].repeat(48, axis=1).repeat(128, axis=2)
    return RawBatch(spectrograms, np.zeros((len(levels), 15), np.float32))


def test_a_network_answers_in_the_order_of_its_labels() -> None:
    found = parse_network(onnx_file())
    assert found.facts == FACTS
    second = 1 / (1 + np.exp(-1))  # full grey levels are 1 for the network, so its logits are 0 and 1
    answer = found.predict(raw(0, 255))
    assert answer.dtype == np.float32
    np.testing.assert_allclose(answer, [[0.5, 0.5], [1 - second, second]], atol=1e-6)


def test_an_empty_batch_has_no_answers() -> None:
    assert parse_network(onnx_file()).predict(raw()).shape == (0, 2)


def test_a_network_of_features_standardises_them() -> None:
    answer = parse_network(onnx_file(OF_FEATURES, (None, 15))).predict(raw(0))
    np.testing.assert_allclose(answer, [[0.5, 0.5]], atol=1e-6)


def test_facts_are_read_without_onnx_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert read_facts(onnx_file()) == FACTS
    with pytest.raises(NoRuntime, match=r"ONNX Runtime cannot be loaded .*; install the packages of requirements"):
        parse_network(onnx_file())
    assert issubclass(NoRuntime, MachineFault)


def external(model: Any) -> None:
    onnx.external_data_helper.set_external_data(model.graph.initializer[2], "/etc/hostname")
    model.graph.initializer[2].data_location = onnx.TensorProto.EXTERNAL


def external_constant(model: Any) -> None:
    constant = helper.make_tensor("", FLOAT, [1], [0.0])
    constant.data_location = onnx.TensorProto.EXTERNAL
    model.graph.node.append(helper.make_node("Constant", [], ["unused"], value=constant))


def nested(model: Any) -> None:
    constant = helper.make_node("Constant", [], ["inner"], value=helper.make_tensor("", FLOAT, [1], [0.0]))
    constant.domain = "com.elsewhere"
    inner = helper.make_graph([constant], "inner", [], [helper.make_tensor_value_info("inner", FLOAT, [1])])
    branches = {"then_branch": inner, "else_branch": inner}
    model.graph.node.append(helper.make_node("If", ["condition"], ["unused"], **branches))


HOSTILE = [
    (lambda model: model.metadata_props.pop(), "was not exported by Dawn Chorus"),
    (external, "keeps weights in other files"),
    (external_constant, "keeps weights in other files"),
    (lambda model: setattr(model.graph.node[0], "domain", "com.microsoft"), "operators of com.microsoft, which ONNX"),
    (nested, "operators of com.elsewhere, which ONNX"),
    (lambda model: model.functions.add(name="Softmax"), "defines operators or a training of its own"),
    (lambda model: setattr(model.graph.node[3], "op_type", "Unheard"), "ONNX Runtime cannot open the network"),
    (lambda model: setattr(model.graph.input[0], "name", "x"), "ONNX Runtime cannot open the network"),
    (lambda model: model.graph.output.pop(), "ONNX Runtime cannot open|outputs are none"),
]


@pytest.mark.parametrize(("change", "sentence"), HOSTILE)
def test_a_hostile_file_is_refused(change: Callable[[Any], object], sentence: str) -> None:
    with pytest.raises(OnnxError, match=sentence):
        parse_network(onnx_file(change=change))


@pytest.mark.parametrize("kept", [1, 10, 0.5, 0.99])
def test_a_truncated_file_is_refused(kept: float) -> None:
    whole = onnx_file()
    with pytest.raises(OnnxError, match=r"not a complete ONNX file|not an ONNX file"):
        parse_network(whole[: int(kept if kept >= 1 else len(whole) * kept)])


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 a bundle", b"\x00" * 100, b"\xff" * 100, b"text\n"])
def test_a_file_that_is_no_onnx_is_refused(content: bytes) -> None:
    with pytest.raises(OnnxError, match=r"not a complete ONNX file|not an ONNX file"):
        parse_network(content)


@pytest.mark.parametrize(
    ("facts", "shape", "n_classes", "sentence"),
    [
        (FACTS, IMAGE, 3, r"outputs are probabilities \(3,\) .* need probabilities \(2,\)"),
        (FACTS, (None, 128, 251, 1), 2, r"inputs are spectrogram \(128, 251, 1\) .* need spectrogram \(48, 128, 1\)"),
        (FACTS, (1, 48, 128, 1), 2, "for batches of any size"),
        (replace(FACTS, preset={}), IMAGE, 2, "the network's preset cannot be used"),
        (replace(FACTS, inputs=("waveform",)), IMAGE, 2, "reads waveform, which this version does not compute"),
        (replace(OF_FEATURES, features=("pitch",)), (None, 15), 2, "reads the features pitch, but this version"),
        (replace(OF_FEATURES, scaling=Scaling()), (None, 15), 2, "reads 15 features, but its feature_means are 0"),
    ],
)
def test_facts_that_contradict_the_network_are_refused(
    facts: NetworkFacts, shape: tuple[int | None, ...], n_classes: int, sentence: str
) -> None:
    with pytest.raises(OnnxError, match=sentence):
        parse_network(onnx_file(facts, shape, n_classes=n_classes))


@pytest.mark.parametrize("text", ["", "[]", "{}", "[" * 100_000, '{"schema": "dawn-chorus network 1"}'])
def test_facts_that_cannot_be_parsed_are_refused(text: str) -> None:
    with pytest.raises(OnnxError, match="facts cannot be parsed"):
        NetworkFacts.from_json(text)


def test_another_schema_is_refused_with_both_names() -> None:
    with pytest.raises(OnnxError, match="'dawn-chorus network 9', but only 'dawn-chorus network 1' can be read"):
        NetworkFacts.from_json('{"schema": "dawn-chorus network 9"}')


def test_a_file_too_large_for_a_network_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "huge.onnx").open("wb") as file:
        file.truncate(network.MAX_SIZE_BYTES + 1)  # a hole, which takes no room on the disk
    with pytest.raises(OnnxError, match=r"huge\.onnx: 536,870,913 bytes is too large for a network"):
        read_network(tmp_path / "huge.onnx")


def test_a_changed_file_of_the_store_is_refused_by_its_digest(tmp_path: Path) -> None:
    content, path = onnx_file(), tmp_path / "network.onnx"
    path.write_bytes(content)
    stored = StoredFile("networks/ab.onnx", path, content_digest(content))
    assert read_network(stored).facts == FACTS
    path.write_bytes(content[:-1] + b"x")
    with pytest.raises(Damaged, match=r"networks/ab\.onnx is not what was written"):
        read_network(stored)


def test_files_changed_at_random_are_understood_or_refused() -> None:
    fuzzed([onnx_file(change=nested), onnx_file(change=external)], onnx_contents, (OnnxError,))
