"""Small exported networks for tests, made without TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
from onnx import helper

from tasks.audio.preset import load_preset
from tasks.model.inputs import Scaling, feature_names
from tasks.model.network import NetworkFacts

FLOAT = onnx.TensorProto.FLOAT
FACTS = NetworkFacts(
    model="cnn",
    labels=("Grüner Zilpzalp", "wren"),
    preset=load_preset("birdclef2021").as_dict(),
    pipeline_digest="a" * 64,
    scaling=Scaling(),
    inputs=("spectrogram",),
    split_digest="c" * 64,
    bundle_sha256="b" * 64,
    fold=2,
    versions={"keras": "3.15.1"},
)
OF_FEATURES = replace(
    FACTS, model="mlp", inputs=("features",), features=feature_names("audio"),
    scaling=Scaling(feature_means=(0.0,) * 15, feature_deviations=(1.0,) * 15),
)  # fmt: skip
IMAGE = (None, 48, 128, 1)


def onnx_file(
    facts: NetworkFacts = FACTS,
    shape: tuple[int | None, ...] = IMAGE,
    change: Callable[[Any], object] = lambda model: None,
    n_classes: int = 2,
) -> bytes:
    """A network whose second logit is the mean of its input, and whose other logits are 0.

    change: a function that changes the onnx.ModelProto.
    """
    axes = list(range(1, len(shape)))
    weights = [float(number == 1) for number in range(n_classes)]
    nodes = [
        helper.make_node("ReduceMean", [facts.inputs[0], "axes"], ["mean"], keepdims=0),
        helper.make_node("Unsqueeze", ["mean", "last"], ["column"]),
        helper.make_node("MatMul", ["column", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1),
    ]
    graph = helper.make_graph(
        nodes, "network",
        [helper.make_tensor_value_info(facts.inputs[0], FLOAT, shape)],
        [helper.make_tensor_value_info("probabilities", FLOAT, (shape[0], n_classes))],
        [
            helper.make_tensor("axes", onnx.TensorProto.INT64, [len(axes)], axes),
            helper.make_tensor("last", onnx.TensorProto.INT64, [1], [1]),
            onnx.numpy_helper.from_array(np.array([weights], np.float32), "weights"),
        ],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    model.metadata_props.add(key="dawn_chorus", value=facts.to_json())
    change(model)
    return bytes(model.SerializeToString())
