"""Networks in ONNX files: read and run on cpu workers, without Keras and TensorFlow."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from domain.errors import Impossible, MachineFault
from domain.stored_file import StoredFile
from tasks.audio.preset import Preset
from tasks.model.bundle.archive import canonical
from tasks.model.inputs import INPUTS, Floats, InputShapes, RawBatch, Scaling, feature_names, prepare_inputs
from tasks.model.onnx_contents import OnnxContents, OnnxError, onnx_contents

SCHEMA = "dawn-chorus network 1"
METADATA_KEY = "dawn_chorus"
OUTPUT = "probabilities"
MAX_SIZE_BYTES = 512 * 1024**2
"""Far above the networks of the zoo, which take a few megabytes."""
_OWN_DOMAINS = {"", "ai.onnx"}


class NoRuntime(MachineFault):
    """ONNX Runtime is not installed on this machine, or cannot be loaded."""


@dataclass(frozen=True)
class NetworkFacts:
    """Everything about an exported network except its weights; see `BundleFacts` for fields of the same name.

    inputs: names from `tasks.model.inputs.INPUTS`, in the order of the network.
    bundle_sha256: of the bundle that the network was made from.
    """

    model: str
    labels: tuple[str, ...]
    preset: Mapping[str, Any]
    pipeline_digest: str
    scaling: Scaling
    inputs: tuple[str, ...]
    split_digest: str
    bundle_sha256: str
    features: tuple[str, ...] = ()
    fold: int | None = None
    versions: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return the JSON that the ONNX file holds under METADATA_KEY."""
        return canonical({"schema": SCHEMA, **asdict(self)}).decode()

    @classmethod
    def from_json(cls, text: str) -> NetworkFacts:
        """Return the facts that `to_json` wrote.

        Raises: OnnxError if the text is not JSON of this schema.
        """
        try:
            values = json.loads(text)
            if (schema := values.pop("schema")) != SCHEMA:
                raise OnnxError(f"the network has the schema {schema!r}, but only {SCHEMA!r} can be read")
            for name in ("labels", "inputs", "features"):
                values[name] = tuple(map(str, values[name]))
            values["scaling"] = Scaling(**{name: _frozen(value) for name, value in values["scaling"].items()})
            return cls(**values)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
            raise OnnxError(f"the network's facts cannot be parsed: {error!r:.300}") from error

    @property
    def shapes(self) -> InputShapes:
        """The input sizes that preset and features give.

        Raises: OnnxError if the preset cannot be read.
        """
        try:
            preset = Preset.from_dict(dict(self.preset))
            return InputShapes(preset.mel.n_mels, preset.n_frames, len(self.features))
        except (Impossible, TypeError, ValueError) as error:
            raise OnnxError(f"the network's preset cannot be used: {error}") from error


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


class Network:
    """A network that predicts with ONNX Runtime in one thread of the calling process.

    facts: what the file says about the network.
    """

    def __init__(self, facts: NetworkFacts, session: Any) -> None:
        self.facts = facts
        self._session = session

    def predict(self, raw: RawBatch) -> Floats:
        """Return the probabilities, (n, classes) float32, in the order of `facts.labels`; rows sum to one."""
        if not len(raw.spectrograms):
            return np.zeros((0, len(self.facts.labels)), np.float32)
        probabilities: Floats = self._session.run([OUTPUT], prepare_inputs(raw, self.facts.inputs, self.facts.scaling))[
            0
        ]
        return probabilities


def read_network(source: Path | StoredFile) -> Network:
    """Read a network from a file.

    source: a file of the store, which is verified by its digest; or the path of a file from elsewhere.
    Raises: Damaged if the file of the store is not what was written; OnnxError, with the name of the file, as
    `parse_network` does; NoRuntime; OSError if the file cannot be read.
    """
    name = source.key if isinstance(source, StoredFile) else source
    path = source.path if isinstance(source, StoredFile) else source
    try:
        require_network_size(path.stat().st_size)
        return parse_network(source.read() if isinstance(source, StoredFile) else source.read_bytes())
    except OnnxError as error:
        raise OnnxError(f"{name}: {error}") from error


def parse_network(content: bytes) -> Network:
    """Read a network from the bytes of an ONNX file without running code stored in it.

    Raises: OnnxError if the file is truncated, too large, of another origin or schema, if its weights are in other
    files, if it needs operators that ONNX does not define, or if its inputs and outputs contradict its facts;
    NoRuntime if ONNX Runtime is missing; MemoryError.
    """
    facts = read_facts(content)
    session = _session(content)
    _require_agreement(facts, session)
    return Network(facts, session)


def read_facts(content: bytes) -> NetworkFacts:
    """Return the facts of a network without opening it, which needs no ONNX Runtime.

    Raises: OnnxError if the file is not safe to open or holds no facts.
    """
    require_network_size(len(content))
    contents = onnx_contents(content)
    _require_self_contained(contents)
    if METADATA_KEY not in contents.metadata:
        raise OnnxError(
            "the ONNX file was not exported by Dawn Chorus: its metadata have no key "
            f"{METADATA_KEY!r} with labels, preset and scaling"
        )
    facts = NetworkFacts.from_json(contents.metadata[METADATA_KEY])
    _require_features(facts)
    return facts


def require_network_size(size_bytes: int) -> None:
    """Raise OnnxError if a file of this size is too large for a network."""
    if size_bytes > MAX_SIZE_BYTES:
        raise OnnxError(f"{size_bytes:,} bytes is too large for a network; the limit is {MAX_SIZE_BYTES:,}")


def _require_self_contained(contents: OnnxContents) -> None:
    if contents.has_external_data:
        raise OnnxError("the network keeps weights in other files, which is not allowed; do not use this file")
    if foreign := sorted(contents.domains - _OWN_DOMAINS):
        raise OnnxError(f"the network needs operators of {', '.join(foreign):.200}, which ONNX does not define")
    if contents.has_functions:
        raise OnnxError("the network defines operators or a training of its own, which is not allowed")


def _require_features(facts: NetworkFacts) -> None:
    if unknown := [name for name in facts.inputs if name not in INPUTS]:
        raise OnnxError(f"the network reads {', '.join(unknown):.200}, which this version does not compute")
    if "features" not in facts.inputs:
        return
    available = feature_names(facts.scaling.features)
    if facts.features != available:
        raise OnnxError(
            f"the network reads the features {', '.join(facts.features):.500}, but this version computes "
            f"{', '.join(available)}"
        )
    for name in ("feature_means", "feature_deviations"):
        if (n := len(getattr(facts.scaling, name))) != len(available):
            raise OnnxError(f"the network reads {len(available)} features, but its {name} are {n}")


def _session(content: bytes) -> Any:
    """Open the network in ONNX Runtime: one thread, no memory kept between calls."""
    try:
        import onnxruntime  # noqa: PLC0415  # Only prediction needs it.
    except ImportError as error:
        raise NoRuntime(
            f"ONNX Runtime cannot be loaded ({error}); install the packages of requirements/base.lock on this machine"
        ) from error
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except MemoryError:
        raise
    except Exception as error:  # The runtime raises classes of its own, without a common one.
        raise OnnxError(f"ONNX Runtime cannot open the network: {error!s:.500}") from error


def _require_agreement(facts: NetworkFacts, session: Any) -> None:
    """Check names, shapes and types of inputs and outputs against the facts."""
    shapes = facts.shapes
    expected = {name: INPUTS[name].shape(shapes) for name in facts.inputs}
    _require_ports("inputs", session.get_inputs(), expected)
    _require_ports("outputs", session.get_outputs(), {OUTPUT: (len(facts.labels),)})


def _require_ports(what: str, ports: Any, expected: Mapping[str, tuple[int, ...]]) -> None:
    found = [(port.name, port.type, tuple(port.shape[1:])) for port in ports if port.shape]
    wanted = [(name, "tensor(float)", shape) for name, shape in expected.items()]
    if found != wanted or any(isinstance(port.shape[0], int) for port in ports):
        raise OnnxError(
            f"the network's {what} are {_listed(found):.300} for batches of any size or one, but its labels, preset "
            f"and features need {_listed(wanted)} for batches of any size"
        )


def _listed(ports: list[tuple[str, str, tuple[int, ...]]]) -> str:
    return ", ".join(f"{name} {shape} {kind}" for name, kind, shape in ports) or "none"
