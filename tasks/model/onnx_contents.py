"""Read what an ONNX file holds from its bytes, without the onnx package and without opening the network.

An ONNX file is a protocol buffer. Only the messages that matter here are followed; weights are skipped, not copied.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from domain.errors import Damaged

_Value = int | memoryview
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED_SIZES = {_FIXED64: 8, _FIXED32: 4}
_DEEPEST = 8


class OnnxError(Damaged):
    """The file is damaged, is not a network of this project, or is not safe to open."""

    remedy = (
        "export the network again: `orchestrator doctor --repair` and `orchestrator retry` for a file of this home; "
        "otherwise ask for a new copy"
    )


@dataclass
class OnnxContents:
    """What an ONNX file holds, except its weights.

    metadata: key -> value, as the producer wrote them.  domains: of the operators; "" and "ai.onnx" are ONNX's own.
    operators: their names.  has_external_data: True if weights are in other files.
    has_functions: True if it defines operators or a training of its own.
    """

    metadata: dict[str, str] = field(default_factory=dict)
    domains: set[str] = field(default_factory=set)
    operators: set[str] = field(default_factory=set)
    has_graph: bool = False
    has_external_data: bool = False
    has_functions: bool = False


def onnx_contents(content: bytes) -> OnnxContents:
    """Return what an ONNX file holds.

    Raises: OnnxError if the bytes are truncated or are not an ONNX file.
    """
    found = OnnxContents()
    try:
        for number, value in _fields(memoryview(content)):
            if number == 7:
                found.has_graph = True
                _read_graph(_message(value), found, depth=0)
            elif number == 8:
                found.domains |= {_text(domain) for at, domain in _fields(_message(value)) if at == 1}
            elif number == 14:
                pair = {at: _text(text) for at, text in _fields(_message(value))}
                found.metadata[pair.get(1, "")] = pair.get(2, "")
            elif number in (20, 25):
                found.has_functions = True
    except (ValueError, IndexError) as error:
        raise OnnxError(f"not a complete ONNX file: {error}") from error
    if not found.has_graph:
        raise OnnxError("not an ONNX file: it holds no network")
    return found


def _read_graph(graph: memoryview, found: OnnxContents, depth: int) -> None:
    if depth > _DEEPEST:
        raise ValueError(f"networks are nested more than {_DEEPEST} deep")
    for number, value in _fields(graph):
        if number == 1:
            _read_node(_message(value), found, depth)
        elif number == 5:
            _read_tensor(_message(value), found)
        elif number == 15:
            _read_sparse(_message(value), found)


def _read_node(node: memoryview, found: OnnxContents, depth: int) -> None:
    for number, value in _fields(node):
        if number == 4:
            found.operators.add(_text(value))
        elif number == 7:
            found.domains.add(_text(value))
        elif number == 5:
            _read_attribute(_message(value), found, depth)


def _read_attribute(attribute: memoryview, found: OnnxContents, depth: int) -> None:
    for number, value in _fields(attribute):
        if number in (5, 10):
            _read_tensor(_message(value), found)
        elif number in (6, 11):
            _read_graph(_message(value), found, depth + 1)
        elif number in (22, 23):
            _read_sparse(_message(value), found)


def _read_sparse(sparse: memoryview, found: OnnxContents) -> None:
    for number, value in _fields(sparse):
        if number in (1, 2):
            _read_tensor(_message(value), found)


def _read_tensor(tensor: memoryview, found: OnnxContents) -> None:
    for number, value in _fields(tensor):
        if number == 13 or (number == 14 and value != 0):
            found.has_external_data = True


def _fields(message: memoryview) -> Iterator[tuple[int, _Value]]:
    """Yield field number and value of a message: a number, or the bytes of text, of a message or of a fixed number."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            whole, at = _varint(message, at)
            yield number, whole
            continue
        if kind == _BYTES:
            size, at = _varint(message, at)
        elif kind in _FIXED_SIZES:
            size = _FIXED_SIZES[kind]
        else:
            raise ValueError(f"byte {at} begins no field")
        if at + size > len(message):
            raise ValueError(f"a field claims {size:,} bytes, but {len(message) - at:,} are left")
        yield number, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """Return the number that begins at this byte, and the position after it."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            raise ValueError("it ends within a number")
        byte = message[at]
        value, at = value | (byte & 0x7F) << shift, at + 1
        if byte < 0x80:
            return value, at
    raise ValueError("a number is longer than 64 bits")


def _message(value: _Value) -> memoryview:
    if isinstance(value, int):
        raise ValueError("a number stands where a message belongs")  # noqa: TRY004  # It is a fault of the file.
    return value


def _text(value: _Value) -> str:
    return str(_message(value), "utf-8")
