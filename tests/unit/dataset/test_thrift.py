"""A Parquet footer read by its bytes says what pyarrow says of it."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.dataset.shards.thrift import read_struct


def footer(compression: str) -> tuple[dict[int, object], pq.FileMetaData]:
    sink = io.BytesIO()
    table = pa.table({"a": [1, 2, 3] * 20, "b": ["x", "y", None] * 20, "c": [[1.5], [], [2.5, 3.5]] * 20})
    pq.write_table(table, sink, compression=compression, row_group_size=30)
    whole = sink.getvalue()
    n_bytes = int.from_bytes(whole[-8:-4], "little")
    return read_struct(whole[-8 - n_bytes : -8]), pq.read_metadata(io.BytesIO(whole))


@pytest.mark.parametrize(("compression", "number"), [("none", 0), ("snappy", 1), ("gzip", 2), ("zstd", 6)])
def test_what_a_footer_says_of_its_columns(compression: str, number: int) -> None:
    read, known = footer(compression)
    assert (read[3], len(read[4])) == (known.num_rows, known.num_row_groups) == (60, 2)
    for at, row_group in enumerate(read[4]):
        assert row_group[3] == known.row_group(at).num_rows
        for place, column in enumerate(row_group[1]):
            said = known.row_group(at).column(place)
            assert b".".join(column[3][3]).decode() == said.path_in_schema
            assert column[3][4] == number
            assert (column[3][6], column[3][7]) == (said.total_uncompressed_size, said.total_compressed_size)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x15",  # a number is announced, and missing
        b"\x18\xff\xff\xff\x0f",  # a text of 33 million bytes
        b"\x19\xfc\xff\xff\xff\x0f",  # a list of as many structs
        b"\x1c" * 100,  # a struct in a struct, a hundred deep
        b"\x1d",  # no type
        b"\x15" + b"\xff" * 11,  # a number without end
    ],
)
def test_what_is_no_struct_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"early|deep|type|long"):
        read_struct(data)
