"""Log lines without control characters, whatever a message, a file name or an error holds."""

from __future__ import annotations

import logging
import traceback
from typing import Any


def escape_control_characters() -> None:
    """Escape characters that would control a terminal, or reverse its text, in every log record of this process."""
    if not isinstance(logging.getLogRecordFactory(), _Escaping):
        logging.setLogRecordFactory(_Escaping(logging.getLogRecordFactory()))


def escaped(text: str) -> str:
    r"""The text on the same lines, with the code of each character that is neither printable nor white space.

    >>> escaped("a\x1b[2J\u202egnp.exe")
    'a\\x1b[2J\\u202egnp.exe'
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in "\n\t" else ascii(char)[1:-1] for char in text)


class _Escaping:
    """Makes log records. Handlers and formatters of other libraries stay as they are, with their colours."""

    def __init__(self, make: Any) -> None:
        self._make = make

    def __call__(self, *args: Any, **named: Any) -> logging.LogRecord:
        record: logging.LogRecord = self._make(*args, **named)
        try:
            text = record.getMessage()
        except Exception:  # arguments that do not fit: logging reports it with the call's place
            return record
        if text != (shown := escaped(text)):
            record.msg, record.args = shown, None
        if record.exc_info and record.exc_info[0]:
            # A formatter takes this text instead of formatting the traceback itself.
            record.exc_text = escaped("".join(traceback.format_exception(*record.exc_info)).rstrip("\n"))
        return record
