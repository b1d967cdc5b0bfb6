"""Old words that names, digests and stored facts need are in `domain.frozen_words`, and nowhere else."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from domain import frozen_words

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("domain", "db", "tasks", "workers", "orchestrator")
MIGRATIONS = ROOT / "db" / "schema" / "migrations"
"""Migrations name columns and values of older ledgers."""
RETIRED = frozenset(
    {
        "side", "sides", "judge", "judged", "judgement", "learnt", "painted", "turn", "tally", "roll", "census", "deal",
        "course", "burial", "told", "heard", "went_on", "patience", "own_deaths", "losses", "deaths", "valid",
    }
)  # fmt: skip
"""Words that were keys, names of columns or values, and that the glossary has replaced."""


def frozen_texts() -> set[str]:
    values = [value for name, value in vars(frozen_words).items() if name.isupper()]
    return {text for value in values for text in (value if isinstance(value, tuple) else (value,))}


def literals(path: Path) -> list[str]:
    """Text in the code, also the parts of f-strings; docstrings and comments are for people and are left out."""
    tree = ast.parse(path.read_text("utf-8"))
    sentences = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    constants = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in sentences]
    values = [each.value.decode("latin-1") if isinstance(each.value, bytes) else each.value for each in constants]
    return [value for value in values if isinstance(value, str)]


def modules() -> list[Path]:
    files = [path for package in PRODUCT for path in (ROOT / package).rglob("*.py")]
    return [path for path in files if not path.is_relative_to(MIGRATIONS) and path != Path(frozen_words.__file__)]


def test_no_other_module_spells_a_frozen_text():
    generic = {"train", "test", "retries"}  # also the name of a task, of a reason and of an option
    fixed = {part for text in frozen_texts() - generic for part in re.split(r"{\w+}", text) if len(part.strip()) > 3}
    longer = {part for part in fixed if " " in part.strip()}
    found = {
        str(path.relative_to(ROOT)): sorted(
            text for text in literals(path) if text in fixed or any(text.startswith(part) for part in longer)
        )
        for path in modules()
    }
    assert {name: texts for name, texts in found.items() if texts} == {}


def test_no_module_uses_a_retired_word_as_a_key_or_a_value():
    found = {str(path.relative_to(ROOT)): sorted(RETIRED & set(literals(path))) for path in modules()}
    assert {name: words for name, words in found.items() if words} == {}


def test_every_frozen_text_has_a_sentence_that_says_where_it_is_stored():
    tree = ast.parse(Path(frozen_words.__file__).read_text("utf-8"))
    assigned = [at for at, node in enumerate(tree.body) if isinstance(node, ast.Assign)]
    after = [tree.body[at + 1] for at in assigned]
    assert all(isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in after)


def test_frozen_texts_are_those_of_existing_ledgers_and_files():
    assert frozen_words.SUBSET_WORDS == ("train", "valid", "test")
    assert frozen_words.OFFICIAL_SPLIT == "the data's own split"
    assert frozen_words.OFFICIAL_FOLDS.format(n=5) == "the data's own 5 folds"
    assert frozen_words.DRAWN_FOLDS.format(n=5, seed=7) == "5 folds drawn by group with seed 7"
    assert frozen_words.DRAWN_HOLDOUT.format(seed=7) == "train, valid and test drawn by group with seed 7"
    assert frozen_words.NOT_SPLIT == "not at all"
    assert frozen_words.ON_TRUST == "on trust "
    assert (frozen_words.RETRIES, frozen_words.LOSSES, frozen_words.DEATHS) == ("retries", "losses", "deaths")
    assert frozen_words.INTERLEAVED_PIXELS == "gan_side_by_side"
    assert frozen_words.N_COMPARED == "n_learnt_from"
