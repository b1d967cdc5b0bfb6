"""Write .keras archives reproducibly, and check archives from elsewhere before they are opened."""

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

# Far above the networks of the zoo, which take a few megabytes.
MAX_SIZE_BYTES = 512 * 1024**2

# Room for a million class names; parsed JSON takes many times this much memory.
_MAX_JSON_BYTES = 64 * 1024**2


class BundleError(Damaged):
    """The file is damaged, is not a bundle, or is not safe to open."""


def pack(members: Mapping[str, bytes]) -> bytes:
    """Return a zip archive of the members by name: sorted, without times, uncompressed because weights hardly shrink.

    Equal members give equal bytes.
    """
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(members):
            member = zipfile.ZipInfo(name)  # Sets the date to 1980, the earliest of the format.
            member.create_system = 3  # Unix; the default depends on the platform.
            archive.writestr(member, members[name])
    return buffer.getvalue()


def unpack(content: bytes) -> dict[str, bytes]:
    """Return the members of a bundle by name.

    Raises: BundleError if the archive is truncated, damaged or too large, if its members are not exactly those of a
    bundle, or if one is compressed: an uncompressed archive cannot expand when it is read.
    """
    require_size(len(content))
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            _require_plain(archive.infolist(), len(content))
            return {name: archive.read(name) for name in MEMBERS}
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError, struct.error) as error:
        raise BundleError(f"not a complete bundle: {error}; download it again or train the model again") from error


def require_size(size_bytes: int) -> None:
    """Check that a file of this size can be a bundle.

    Raises: BundleError if it is larger than MAX_SIZE_BYTES.
    """
    if size_bytes > MAX_SIZE_BYTES:
        raise BundleError(f"{size_bytes:,} bytes is too large for a bundle; the limit is {MAX_SIZE_BYTES:,}")


def _require_plain(infos: list[zipfile.ZipInfo], size_bytes: int) -> None:
    names = sorted(info.filename for info in infos)
    if names != list(MEMBERS):
        raise BundleError(f"a bundle holds {', '.join(MEMBERS)}; this file holds {', '.join(names[:8]) or 'nothing'}")
    for info in infos:
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            raise BundleError(f"{info.filename} is compressed, but bundles are not; do not use this file")
        if info.filename != WEIGHTS and info.file_size > _MAX_JSON_BYTES:
            raise BundleError(f"{info.filename} has {info.file_size:,} bytes; the limit is {_MAX_JSON_BYTES:,}")
    if sum(info.file_size for info in infos) > size_bytes:
        raise BundleError("the members claim more bytes than the file has; do not use this file")


def reproducible(members: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the members that Keras wrote without the time of saving and the memory addresses of shared objects."""
    metadata = json.loads(members[METADATA]) | {"date_saved": "1980-01-01@00:00:00"}
    config = json.loads(members[CONFIG])
    _number_shared(config, {})
    return {**members, METADATA: canonical(metadata), CONFIG: canonical(config)}


def _number_shared(config: Any, numbers: dict[int, int]) -> None:
    """Replace each memory address by a number, in order of appearance."""
    if isinstance(config, dict):
        if isinstance(address := config.get(_SHARED), int):
            config[_SHARED] = numbers.setdefault(address, len(numbers) + 1)
        for value in config.values():
            _number_shared(value, numbers)
    elif isinstance(config, list):
        for value in config:
            _number_shared(value, numbers)


def canonical(value: Any) -> bytes:
    """Encode as JSON in exactly one way: UTF-8, keys in the given order, no spaces, no NaN."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
