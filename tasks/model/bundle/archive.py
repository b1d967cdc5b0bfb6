"""A .keras file as bytes that follow from its content, and the checks before one from elsewhere is opened."""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Mapping
from io import BytesIO
from typing import Any

from domain.errors import Damaged

METADATA = "metadata.json"
CONFIG = "config.json"
WEIGHTS = "model.weights.h5"
_SHARED = "shared_object_id"
FACTS = "dawn_chorus.json"
MEMBERS = (CONFIG, FACTS, METADATA, WEIGHTS)

# The largest network of the appendix takes 2.3 MB; a file beyond this is not one of ours.
MAX_SIZE_BYTES = 512 * 1024**2

# A million names of classes fit; read as JSON it takes many times its bytes.
_MOST_JSON_BYTES = 64 * 1024**2


class BundleError(Damaged):
    """A file that is not a whole bundle, or one that must not be opened."""


def packed(members: Mapping[str, bytes]) -> bytes:
    """A zip archive of these members, sorted and without times; nothing is compressed, for weights hardly shrink."""
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(members):
            member = zipfile.ZipInfo(name)  # dated 1980, the earliest a zip knows
            member.create_system = 3  # else Windows would write another byte here
            archive.writestr(member, members[name])
    return buffer.getvalue()


def unpacked(content: bytes) -> dict[str, bytes]:
    """The members of a bundle, by name.

    Raises BundleError where the archive is cut short or damaged, is too large, holds other members than a bundle
    does or one of them twice, or stores one compressed: without compression nothing can swell when it is read.
    """
    require_size(len(content))
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            _require_plain(archive.infolist(), len(content))
            return {name: archive.read(name) for name in MEMBERS}
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError, struct.error) as error:
        raise BundleError(f"not a whole bundle: {error}; fetch it again or train anew") from error


def require_size(size_bytes: int) -> None:
    """Nothing, or BundleError for more bytes than any bundle has."""
    if size_bytes > MAX_SIZE_BYTES:
        raise BundleError(f"{size_bytes:,} bytes is too large for a bundle; the limit is {MAX_SIZE_BYTES:,}")


def _require_plain(infos: list[zipfile.ZipInfo], size_bytes: int) -> None:
    names = sorted(info.filename for info in infos)
    if names != list(MEMBERS):
        raise BundleError(f"a bundle holds {', '.join(MEMBERS)}; this file holds {', '.join(names[:8]) or 'nothing'}")
    for info in infos:
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            raise BundleError(f"{info.filename} is compressed, which no bundle is; do not open this file")
        if info.filename != WEIGHTS and info.file_size > _MOST_JSON_BYTES:
            raise BundleError(f"{info.filename} has {info.file_size:,} bytes; the limit is {_MOST_JSON_BYTES:,}")
    if sum(info.file_size for info in infos) > size_bytes:
        raise BundleError("the members claim more bytes than the file has; do not open this file")


def without_circumstances(members: Mapping[str, bytes]) -> dict[str, bytes]:
    """The members as Keras wrote them, less the time of saving and the addresses in memory of what layers share."""
    metadata = json.loads(members[METADATA]) | {"date_saved": "1980-01-01@00:00:00"}
    config = json.loads(members[CONFIG])
    _number_shared(config, {})
    return {**members, METADATA: canonical(metadata), CONFIG: canonical(config)}


def _number_shared(config: Any, numbers: dict[int, int]) -> None:
    """Replaces each address by its place in the order of appearance."""
    if isinstance(config, dict):
        if isinstance(address := config.get(_SHARED), int):
            config[_SHARED] = numbers.setdefault(address, len(numbers) + 1)
        for value in config.values():
            _number_shared(value, numbers)
    elif isinstance(config, list):
        for value in config:
            _number_shared(value, numbers)


def canonical(value: Any) -> bytes:
    """JSON in one way of writing it: keys in the order given, UTF-8, no NaN."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
