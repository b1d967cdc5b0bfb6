"""Whatever stands in their fields, different values have different names and equal values equal ones."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any, NamedTuple

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from db.ledger.planning import RecordingRow
from db.queries.job_inputs import StripRow
from domain.digests import Digest, augmentation_seed, digest_of, encoded, short_digest, uniform
from orchestrator.planning.plan import Placed, split_digest
from tasks import pack, train
from tasks.audio.preset import load_preset
from tasks.model.spec import TrainingSettings, TrainingSpec

ODD = ["|", "\n", "\r\n", "\0", "'", '"', ",", "', '", '","', "\\", "\\n", "/", "[", "]", "None", "null", "0", "-0",
       "é", "e\u0301", "\udcff", "\ud83d\udc26", "\U0001f426"]  # fmt: skip
texts = st.lists(st.one_of(st.sampled_from(ODD), st.text(max_size=3)), max_size=4).map("".join)
maybe = st.one_of(st.none(), texts)
whole = st.integers(-(2**31), 2**31)
real = st.one_of(st.none(), st.floats(-180, 180).map(lambda value: value + 0.0))
values = st.recursive(
    st.one_of(maybe, whole, st.booleans()),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=12,
)
strips = st.builds(
    StripRow, key=texts, sha256=texts, recording=texts, digest=texts, label=texts, group=texts, span=whole, copy=whole,
    size_bytes=whole, metadata=st.tuples(real, real, real, real),
)  # fmt: skip
recordings = st.builds(
    RecordingRow, uri=texts, label=texts, author=maybe, group_name=maybe, official_fold=st.one_of(st.none(), whole),
    official_split=maybe, size_bytes=whole, mtime_ns=whole, digest=texts, n_frames=whole, rate_hz=whole,
    is_on_trust=st.booleans(), latitude=real, longitude=real, month=st.one_of(st.none(), whole), hour=real,
)  # fmt: skip
placed = st.builds(
    Placed, id=st.just(0), identity=texts, order=st.just(0), label=texts, group=st.just(""), fold=whole, subset=whole,
    n_spans=st.just(1), duration_s=st.just(0.0),
)  # fmt: skip


class Run(NamedTuple):
    """Of a run, what names its parts."""

    pipeline_digest: str
    labels: tuple[str, ...]
    split: dict[str, str]


runs = st.builds(Run, texts, st.lists(texts, max_size=4).map(tuple), st.fixed_dictionaries({"digest": texts}))


def canonical(value: Any) -> Any:
    """Lists and tuples are the same; True is not 1."""
    if isinstance(value, dict):
        return {key: canonical(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [canonical(each) for each in value]
    return (type(value), value)


@given(values, values)
def test_encodings_are_equal_where_values_are(one: Any, other: Any) -> None:
    assert (encoded(one) == encoded(other)) == (canonical(one) == canonical(other))
    assert b"\n" not in encoded(one)
    assert digest_of(one) == digest_of(one)


@given(st.lists(texts, max_size=4), st.lists(texts, max_size=4))
def test_what_moves_over_a_border_changes_every_kind_of_name(one: list[str], other: list[str]) -> None:
    assert (Digest(*one).hex() == Digest(*other).hex()) == (one == other)
    assert (uniform(0, *one) == uniform(0, *other)) == (one == other)


@given(texts, texts)
def test_short_digests_are_equal_where_texts_are(one: str, other: str) -> None:
    assert (short_digest(one) == short_digest(other)) == (one == other)


SPEC = TrainingSpec("cnn", ("a",), (), (), TrainingSettings())
NEIGHBOURS = [("digest", "label"), ("label", "group"), ("group", "recording")]
SEPARATORS = ["|", "\n", "\0", ",", "', '", '","', "/", "\\", '"', "'", "\u0301", ""]


@pytest.mark.parametrize("separator", SEPARATORS)
@pytest.mark.parametrize(("first", "second"), NEIGHBOURS)
def test_text_that_moves_over_a_separator_changes_a_parts_name(first: str, second: str, separator: str) -> None:
    row = StripRow(
        key="strips/a.png", sha256="f" * 64, recording="a.wav", digest="d" * 64, label="wren", group="Ann",
        span=0, copy=0, size_bytes=10, metadata=(None,) * 4,
    )  # fmt: skip
    run = Run("p" * 64, ("a",), {"digest": "s" * 64})
    one = replace(row, **{first: f"a{separator}b", second: "c"})
    other = replace(row, **{first: "a", second: f"b{separator}c"})
    assert part_named(run, None, [one]) != part_named(run, None, [other])


@pytest.mark.parametrize("separator", SEPARATORS)
def test_text_that_moves_over_a_separator_changes_every_other_name(separator: str) -> None:
    one, other = [f"a{separator}b", "c"], ["a", f"b{separator}c"]
    rows = [
        Placed(0, identity, 0, label, "", 0, 0, 1, 0.0) for identity, label in (one, other)
    ]  # fmt: skip
    assert split_digest("drawn", 0, rows[:1]) != split_digest("drawn", 0, rows[1:])
    runs_of = [Run("p" * 64, tuple(labels), {"digest": "s" * 64}) for labels in (one, other)]
    assert part_named(runs_of[0], None, []) != part_named(runs_of[1], None, [])
    models = [train._model_name(run, SPEC, [], ()) for run in runs_of]  # type: ignore[arg-type]
    assert models[0] != models[1]
    assert uniform(0, *one) != uniform(0, *other)
    assert digest_of(one) != digest_of(other)
    facts = [
        RecordingRow("a.wav", label, author, None, None, None, 1, 1, "", 0, 0, is_on_trust=True)
        for label, author in (one, other)
    ]
    assert facts[0].facts_digest != facts[1].facts_digest


def test_names_that_must_stay_are_those_of_before() -> None:
    """Each by its formula, written out: strips, splits and rows of existing ledgers follow from them."""
    seed = hashlib.sha256(("p" * 64 + "/" + "r" * 64 + "/3/1").encode()).digest()[:4]
    assert augmentation_seed("p" * 64, "r" * 64, 3, 1) == int.from_bytes(seed, "big")
    drawn = hashlib.sha256(b"(7, 'wren', '\\xe9')").digest()[:8]
    assert uniform(7, "wren", "\xe9") == (int.from_bytes(drawn, "big") >> 11) / 2**53
    row = RecordingRow("a.wav", "wren", None, "Ann", 1, "test", 2, 3, "d", 4, 5, is_on_trust=False)
    text = "('a.wav', 'wren', None, 'Ann', 1, 'test', 2, 3, 'd', 4, 5, False)"
    assert row.facts_digest == hashlib.sha256(text.encode()).hexdigest()[:32]
    preset = load_preset("birdclef2021")
    values = {"revision": 4, **{key: value for key, value in preset.as_dict().items() if key != "name"}}
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    assert preset.digest == hashlib.sha256(text.encode()).hexdigest()


def part_named(run: Run, shuffled: int | None, rows: list[StripRow]) -> str:
    name = pack._named(run, shuffled)  # type: ignore[arg-type]
    assert list(name.add_rows(rows)) == rows
    return name.text


def packed_facts(rows: list[StripRow]) -> list[StripRow]:
    """Rows without what shards do not hold."""
    return [replace(row, key="", sha256="", size_bytes=0) for row in rows]


@given(runs, runs, st.lists(strips, max_size=3), st.lists(strips, max_size=3), st.booleans())
def test_parts_have_one_name_where_their_examples_are_equal(
    run: Run, other_run: Run, rows: list[StripRow], other_rows: list[StripRow], is_same: bool
) -> None:
    if is_same:
        other_run, other_rows = run, rows
    is_equal = run[:2] == other_run[:2] and packed_facts(rows) == packed_facts(other_rows)
    assert (part_named(run, None, rows) == part_named(other_run, None, other_rows)) == is_equal
    is_equal = is_equal and run.split == other_run.split
    assert (part_named(run, 1, rows) == part_named(other_run, 1, other_rows)) == is_equal
    assert part_named(run, 1, rows) not in (part_named(run, 0, rows), part_named(run, None, rows))


@given(strips, texts, texts, texts)
def test_a_separator_that_moves_from_one_field_to_the_next_changes_a_parts_name(
    row: StripRow, left: str, between: str, right: str
) -> None:
    assume(between)
    run = Run("p" * 64, ("a",), {"digest": "s" * 64})
    for first, second in (("label", "group"), ("group", "recording"), ("digest", "label")):
        one = replace(row, **{first: left + between, second: right})
        other = replace(row, **{first: left, second: between + right})
        assert part_named(run, None, [one]) != part_named(run, None, [other])


@given(texts, whole, st.lists(placed, max_size=3), texts, whole, st.lists(placed, max_size=3))
def test_splits_have_one_name_where_they_are_equal(
    method: str, seed: int, rows: list[Placed], other_method: str, other_seed: int, other_rows: list[Placed]
) -> None:
    is_equal = (method, seed, rows) == (other_method, other_seed, other_rows)
    assert (split_digest(method, seed, rows) == split_digest(other_method, other_seed, other_rows)) == is_equal
    assert split_digest(method, seed, rows) == split_digest(method, seed, list(rows))


def test_a_label_that_looks_like_the_next_recording_is_not_taken_for_it() -> None:
    one = Placed(0, "1" * 32, 0, f"a|0|0\n{'2' * 32}|b", "", 0, 0, 1, 0.0)
    two = [Placed(0, "1" * 32, 0, "a", "", 0, 0, 1, 0.0), Placed(0, "2" * 32, 0, "b", "", 0, 0, 1, 0.0)]
    assert split_digest("drawn", 0, [one]) != split_digest("drawn", 0, two)


@given(recordings, recordings)
def test_rows_of_recordings_have_one_name_where_their_facts_are_equal(one: RecordingRow, other: RecordingRow) -> None:
    assert (one.facts_digest == other.facts_digest) == (repr(tuple(one)) == repr(tuple(other)))
