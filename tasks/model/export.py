"""Convert a classifier into an ONNX file that describes itself. Loads TensorFlow."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from domain.errors import Impossible
from tasks.model.bundle.bundle import Bundle, inference_copy
from tasks.model.inputs import keras_arguments
from tasks.model.network import METADATA_KEY, OUTPUT, NetworkFacts


def export_network(bundle: Bundle, bundle_sha256: str) -> bytes:
    """Return the bundle's network as an ONNX file with its facts; equal bundles give equal bytes, in any process.

    bundle_sha256: of the bundle's file.
    Raises: Impossible if the bundle holds a generator; errors of TensorFlow and tf2onnx if a layer cannot be converted.
    """
    facts = bundle.facts
    if bundle.is_generator:
        raise Impossible(f"{facts.model} is a generator and predicts no classes; export a classifier")
    network = _canonical(_converted(bundle), bundle.inputs)
    described = NetworkFacts(
        model=facts.model, labels=facts.labels, preset=facts.preset, pipeline_digest=facts.pipeline_digest,
        scaling=facts.scaling, inputs=bundle.inputs, split_digest=facts.split_digest, bundle_sha256=bundle_sha256,
        features=facts.features, fold=facts.fold, versions=facts.versions,
    )  # fmt: skip
    network.metadata_props.add(key=METADATA_KEY, value=described.to_json())
    content: bytes = network.SerializeToString(deterministic=True)
    return content


def _converted(bundle: Bundle) -> Any:
    """Return the network as an onnx.ModelProto with names that differ between processes."""
    with tempfile.TemporaryDirectory(prefix="chorus-") as folder, warnings.catch_warnings():
        path = Path(folder) / "network.onnx"
        # Keras looks for names that NumPy 2 has removed, to give them back to tf2onnx.
        warnings.filterwarnings("ignore", "In the future `np.object`", FutureWarning)
        network = inference_copy(bundle.model)
        blank = {tensor.name: np.zeros((1, *tensor.shape[1:]), np.float32) for tensor in network.inputs}
        network(keras_arguments(blank))  # Keras exports no network that was never called.
        network.export(path, format="onnx", verbose=False)
        return onnx.load(path)


def _canonical(converted: Any, inputs: tuple[str, ...]) -> Any:
    """Return the network with nodes in an order, and values with names, that follow from its structure alone.

    tf2onnx numbers names by counters of the process and orders nodes by sets of them.
    inputs: names of the inputs, in order; the only output becomes OUTPUT.
    """
    names = {"": ""} | {port.name: name for port, name in zip(converted.graph.input, inputs, strict=True)}
    graph = _Renamer().graph(converted.graph, names)
    [result] = graph.output
    for node in graph.node:
        node.output[:] = [OUTPUT if name == result.name else name for name in node.output]
        node.input[:] = [OUTPUT if name == result.name else name for name in node.input]
    result.name = OUTPUT
    graph.name = "network"
    opsets = sorted(converted.opset_import, key=lambda opset: opset.domain)
    used = {node.domain for node in _all_nodes(graph)}
    return onnx.helper.make_model(
        graph,
        ir_version=converted.ir_version,
        opset_imports=[opset for opset in opsets if opset.domain in used],
        producer_name="dawn-chorus",
    )


class _Renamer:
    """Gives values the names v1, v2 and so on, in the order in which nodes need them."""

    def __init__(self) -> None:
        self._n = 0

    def graph(self, graph: Any, outer: dict[str, str]) -> Any:
        """Return the graph with nodes and weights in the order in which its outputs need them.

        outer: old name -> new name of the values that the graph can read from outside, and of its inputs.
        """
        names = dict(outer)
        for port in graph.input:
            names.setdefault(port.name, self._next())
        makers = {name: node for node in graph.node for name in node.output if name}
        weights = {each.name: each for each in graph.initializer}
        nodes, kept = [], []
        for found in _in_order([port.name for port in graph.output], makers, weights):
            if isinstance(found, str):
                names[found] = self._next()
                kept.append(_copy(weights[found], name=names[found], doc_string=""))
            else:
                names |= {name: self._next() for name in found.output if name}
                nodes.append(self._node(found, names))
        return onnx.helper.make_graph(
            nodes, "", [_port(port, names) for port in graph.input], [_port(port, names) for port in graph.output], kept
        )

    def _node(self, node: Any, names: dict[str, str]) -> Any:
        renamed = _copy(node, name="", doc_string="")
        renamed.input[:] = [names[name] for name in node.input]
        renamed.output[:] = [names.get(name, "") for name in node.output]
        del renamed.attribute[:]
        for attribute in sorted(node.attribute, key=lambda each: each.name):
            kept = renamed.attribute.add()
            kept.CopyFrom(attribute)
            if attribute.type == onnx.AttributeProto.GRAPH:
                kept.g.CopyFrom(self.graph(attribute.g, names))
            elif attribute.type == onnx.AttributeProto.TENSOR:
                kept.t.name = ""
        return renamed

    def _next(self) -> str:
        self._n += 1
        return f"v{self._n}"


def _in_order(wanted: list[str], makers: dict[str, Any], weights: dict[str, Any]) -> Iterator[Any]:
    """Yield each node after the nodes and weights (by name) that it reads, first those that the first output needs."""
    done: set[str] = set()
    stack = [(name, False) for name in reversed(wanted)]
    while stack:
        name, is_ready = stack.pop()
        if name in done:
            continue
        node = makers.get(name)
        if node is not None and not is_ready:
            stack.append((name, True))
            stack.extend((each, False) for each in reversed(list(_read_by(node))))
            continue
        if node is not None:
            done |= set(node.output)
            yield node
        elif name in weights:
            done.add(name)
            yield name


def _read_by(node: Any) -> Iterator[str]:
    """Yield the names that a node reads, in order, also within the networks nested in it."""
    yield from node.input
    for attribute in sorted(node.attribute, key=lambda each: each.name):
        if attribute.type == onnx.AttributeProto.GRAPH:
            graph = attribute.g
            makers = {name: inner for inner in graph.node for name in inner.output}
            weights = {each.name: each for each in graph.initializer}
            own = {port.name for port in graph.input} | makers.keys() | weights.keys()
            outputs = [port.name for port in graph.output]
            yield from (name for name in outputs if name not in own)
            for inner in _in_order(outputs, makers, weights):
                yield from (name for name in (() if isinstance(inner, str) else _read_by(inner)) if name not in own)


def _all_nodes(graph: Any) -> Iterator[Any]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            yield from _all_nodes(attribute.g)


def _port(port: Any, names: dict[str, str]) -> Any:
    """Return the input or output under its new name. Unknown axes lose their names, which tf2onnx numbers."""
    renamed = _copy(port, name=names[port.name], doc_string="")
    for axis in renamed.type.tensor_type.shape.dim:
        axis.ClearField("dim_param")
    return renamed


def _copy(message: Any, **changes: str) -> Any:
    """Return a copy of a protocol buffer with other values."""
    copy = type(message)()
    copy.CopyFrom(message)
    for name, value in changes.items():
        setattr(copy, name, value)
    return copy
