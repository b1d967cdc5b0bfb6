"""Thrift's compact protocol, read without knowing what is described: enough of it for a Parquet footer.

pyarrow reads footers as well, but to ask it for a compression that it does not know ends the process.
Source: https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

from __future__ import annotations

from typing import Any

_DEEPEST = 32
_STOP, _TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = 0, 1, 2, 3, 7, 8, 9, 10, 11, 12
_INTEGERS = (4, 5, 6)


def read_struct(data: bytes) -> dict[int, Any]:
    """The struct that begins the bytes: values by the numbers of their fields.

    Structs are dicts, lists and sets are lists, maps are lists of pairs. Raises ValueError for bytes that are none.
    """
    try:
        return _Bytes(data).struct(_DEEPEST)
    except IndexError as error:
        raise ValueError("it ends too early") from error


class _Bytes:
    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def struct(self, deep: int) -> dict[int, Any]:
        if deep == 0:
            raise ValueError("it is too deep")
        found: dict[int, Any] = {}
        number = 0
        while (head := self._byte()) != _STOP:
            step, kind = head >> 4, head & 15
            number = number + step if step else self._integer()
            found[number] = kind == _TRUE if kind in (_TRUE, _FALSE) else self._value(kind, deep - 1)
        return found

    def _value(self, kind: int, deep: int) -> Any:
        found: Any
        if kind in _INTEGERS:
            found = self._integer()
        elif kind == _BINARY:
            found = self._taken(self._natural())
        elif kind == _STRUCT:
            found = self.struct(deep)
        elif kind in (_LIST, _SET):
            head = self._byte()
            found = self._many(head >> 4 if head >> 4 < 15 else self._natural(), (head & 15,), deep)
        elif kind == _MAP:
            n = self._natural()
            kinds = self._byte() if n else 0
            found = self._many(n, (kinds >> 4, kinds & 15), deep)
        elif kind in (_TRUE, _FALSE, _BYTE):
            found = self._byte()
        elif kind == _DOUBLE:
            found = self._taken(8)
        else:
            raise ValueError(f"there is no type {kind}")
        return found

    def _many(self, n: int, kinds: tuple[int, ...], deep: int) -> list[Any]:
        if deep == 0 or n > len(self._data):  # each takes a byte at least
            raise ValueError("it is too deep, or holds more than it has bytes")
        rows = [tuple(self._value(kind, deep - 1) for kind in kinds) for _ in range(n)]
        return rows if len(kinds) > 1 else [row[0] for row in rows]

    def _byte(self) -> int:
        self._at += 1
        return self._data[self._at - 1]

    def _taken(self, n: int) -> bytes:
        if n > len(self._data) - self._at:
            raise ValueError("it ends too early")
        self._at += n
        return self._data[self._at - n : self._at]

    def _natural(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise ValueError("a number is too long")

    def _integer(self) -> int:
        value = self._natural()
        return (value >> 1) ^ -(value & 1)
