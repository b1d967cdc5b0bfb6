"""What names are made of: known digests, and text that other encodings would confuse."""

from __future__ import annotations

import ast
import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from domain.digests import (
    Digest,
    augmentation_seed,
    content_digest,
    digest_of,
    encoded,
    file_digest,
    number_of,
    pieces_digest,
    uniform,
)

ROOT = Path(__file__).resolve().parents[3]
ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
"""SHA-256 of "abc", from FIPS 180-2, appendix B.1."""


def test_bytes_are_named_by_their_sha_256_however_they_come() -> None:
    assert content_digest(b"abc") == pieces_digest([b"a", b"", memoryview(b"bc")]) == ABC
    assert file_digest(io.BytesIO(b"abc")) == ABC


def test_a_value_is_named_by_its_canonical_json() -> None:
    assert encoded({"b": 1, "a": ("é", None, 0.5, True)}) == '{"a":["é",null,0.5,true],"b":1}'.encode()
    assert digest_of("x") == content_digest(b'"x"')
    assert number_of([1]) == int.from_bytes(bytes.fromhex(content_digest(b"[1]"))[:8], "big", signed=True)


@pytest.mark.parametrize("value", [
    [], [1], ["a", 1, None], [True, 1], [1.0, 1], ["é\n\"\\\0"], [["a"], 1], [{"b": 1, "a": 2}], [2**70, -1],
    ["\udcff"],
])  # fmt: skip
def test_every_list_is_encoded_as_by_json(value: list[Any]) -> None:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert encoded(value) == encoded(tuple(value)) == text.encode("utf-8", "surrogatepass")


def test_text_that_is_no_utf_8_has_a_name_of_its_own() -> None:
    texts = ["\U0001f426", "\ud83d\udc26", "\udcff", "\\udcff", "ÿ"]
    assert len({encoded(text) for text in texts}) == len(texts)


def test_values_one_at_a_time_are_told_from_one_value_that_holds_them() -> None:
    names = [Digest("a", "b"), Digest("ab"), Digest(["a", "b"]), Digest("a\nb"), Digest("a", "b", None), Digest()]
    assert len({name.hex() for name in names}) == len(names)


@pytest.mark.parametrize("value", [b"x", {1, 2}, object(), [b"x"]])
def test_what_json_does_not_have_is_refused(value: object) -> None:
    with pytest.raises(TypeError):
        encoded(value)  # type: ignore[arg-type]


def test_parts_of_a_draw_stay_apart() -> None:
    assert uniform(0, "ab", "c") != uniform(0, "a", "bc")
    assert uniform(0, "a', 'b") != uniform(0, "a", "b")


def test_the_seed_of_an_augmented_copy_is_of_32_bits_and_its_own() -> None:
    seeds = {augmentation_seed("p" * 64, "r" * 64, chunk, copy) for chunk in range(20) for copy in range(1, 20)}
    assert len(seeds) == 380
    assert all(0 <= seed < 2**32 for seed in seeds)


def product_files() -> list[Path]:
    folders = ("db", "domain", "orchestrator", "tasks", "workers")
    return [ROOT / "settings.py", *(path for folder in folders for path in (ROOT / folder).rglob("*.py"))]


def imported(path: Path) -> set[str]:
    tree = ast.parse(path.read_text("utf-8"))
    names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
    return {name.partition(".")[0] for name in names}


def test_no_other_module_hashes_anything() -> None:
    assert [path for path in product_files() if "hashlib" in imported(path)] == [ROOT / "domain" / "digests.py"]


def test_the_domain_stands_on_the_standard_library_alone() -> None:
    for path in (ROOT / "domain").rglob("*.py"):
        assert imported(path) <= sys.stdlib_module_names | {"domain"}, path
