"""File names of the tables of single recordings: safe for any URI, and no two alike."""

from __future__ import annotations

import re
import unicodedata

from domain.digests import digest_of, short_digest

_UNSAFE = re.compile(r'[\x00-\x1f\x7f-\x9f<>:"|?*\\~%\u2028\u2029\ud800-\udfff]')
"""Not allowed on some file system; `~` and `%` mark what this module adds."""
_DEVICES = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\.|$)")
"""Windows opens a device instead of a file of this name."""
_TABLE_ENDINGS = (".csv", ".txt", ".parquet")
_LONGEST_PART, _LONGEST_NAME = 180, 1000
"""In bytes; file systems allow 255 and 4,096, of which endings and the folder need some."""
_FIELD_BITS, _POSITIONS = 27, 3


class FileNames:
    """Names of files by URI, which mirror its folders.

    Two URIs that differ only by case or by Unicode's normal form would be one file on some file systems: the later one
    gets a digest. The names that are in use are a bit field of 16 MB (a Bloom filter), so that memory is flat;
    of a million names about three get a digest without need. The same URIs in the same order give the same names.
    """

    def __init__(self) -> None:
        self._seen = bytearray(1 << (_FIELD_BITS - 3))

    def name_of(self, uri: str) -> str:
        """Return the relative POSIX path for a URI that was not asked before, without an ending.

        >>> names = FileNames()
        >>> names.name_of("site a/Wren.wav"), names.name_of("../etc/a?.wav"), names.name_of("site A/wren.WAV")
        ('site a/Wren.wav', '%2E%2E/etc/a%3F.wav', 'site A/wren.WAV~ae8900e4d178f848')
        """
        *folders, file = uri.split("/")
        name = "/".join([*(_folder(part) for part in folders), _part(file)])
        if len(name.encode()) > _LONGEST_NAME:
            name = f"~/{_part(file)}~{digest_of(uri)[:16]}"
        if self._was_seen(name):
            name = f"{name}~{digest_of(uri)[:16]}"
        return name

    def _was_seen(self, name: str) -> bool:
        key = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
        bits = int.from_bytes(short_digest(key)) | int.from_bytes(short_digest(key, b"2")) << 64
        was_seen = True
        for number in range(_POSITIONS):
            byte, bit = divmod(bits >> (number * _FIELD_BITS) & ((1 << _FIELD_BITS) - 1), 8)
            was_seen &= bool(self._seen[byte] >> bit & 1)
            self._seen[byte] |= 1 << bit
        return was_seen


def _folder(part: str) -> str:
    name = _part(part)
    # A folder "a.wav.csv" would stand where the table of "a.wav" is to be.
    return f"{name}~" if name.casefold().endswith(_TABLE_ENDINGS) else name


def _part(part: str) -> str:
    """Return one part of a URI as a name that every file system accepts; different parts give different names."""
    name = _UNSAFE.sub(lambda found: _percent(found[0]), part)
    if not name.strip("."):  # "", "." and ".."
        return "%2E" * len(name) or "~"
    if name[-1] in ". ":
        name = name[:-1] + _percent(name[-1])
    if _DEVICES.match(name):
        name = f"~{name}"
    if len(name.encode()) <= _LONGEST_PART:
        return name
    return f"{name.encode()[: _LONGEST_PART - 20].decode(errors='ignore')}~{digest_of(part)[:16]}"


def _percent(char: str) -> str:
    return "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogatepass"))
