"""Text from file names, tables and messages, made safe to print: it cannot steer a terminal or reverse a line."""

from __future__ import annotations

import re

# C0 and C1 controls except tab; marks, embeddings, overrides and isolates of text direction; line and
# paragraph separators; lone surrogates, which no stream can encode; the byte order mark, which is invisible.
_UNSAFE = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]"
)


def printable(text: str) -> str:
    r"""The text of one line with every control character escaped, also line ends, but not tabs.

    >>> printable("gpj.\u202ewren\x1b[2J")
    'gpj.\\u202ewren\\x1b[2J'
    """
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def printable_json(text: str) -> str:
    r"""A JSON text with the characters that `printable` escapes as JSON escapes, so that it has the same values.

    >>> printable_json('"gpj.\u202ewren"')
    '"gpj.\\u202ewren"'
    """
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
