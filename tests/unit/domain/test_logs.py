"""Log lines hold no character that controls a terminal."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest

from domain.logs import escape_control_characters, escaped


@pytest.fixture
def log() -> Iterator[tuple[logging.Logger, io.StringIO]]:
    before, text = logging.getLogRecordFactory(), io.StringIO()
    logger, handler = logging.getLogger("of-this-test"), logging.StreamHandler(text)
    logger.addHandler(handler)
    logger.propagate = False
    escape_control_characters()
    yield logger, text
    logger.removeHandler(handler)
    logging.setLogRecordFactory(before)


def test_control_characters_in_arguments_are_escaped(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, text = log
    logger.error("header %s of %s", "\x1b]0;title\x07", "\u202egnp.exe")
    logger.error("café %d", 3)
    assert text.getvalue() == "header \\x1b]0;title\\x07 of \\u202egnp.exe\ncafé 3\n"


def test_control_characters_in_errors_are_escaped(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, text = log
    logger.error("it failed", exc_info=ValueError("\x1b[2J"))
    assert "\x1b" not in text.getvalue()
    assert text.getvalue().endswith("ValueError: \\x1b[2J\n")
    assert text.getvalue().startswith("it failed\n")


def test_it_is_installed_once(log: tuple[logging.Logger, io.StringIO]) -> None:
    first = logging.getLogRecordFactory()
    escape_control_characters()
    assert logging.getLogRecordFactory() is first


def test_lone_surrogates_can_be_written() -> None:
    assert escaped("\ud800\n\tx") == "\\ud800\n\tx"
