"""Objects below one `s3://bucket/prefix`, through obstore; endpoint, region and keys come from the usual AWS variables.

Whatever the network or the server does wrong is an OSError: the machine's fault, never a recording's.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

SCHEME = "s3://"
PART_BYTES = 8 << 20
"""Longer objects travel in parts of this size: each is one request, and one at a time is held in memory."""
_LISTED_AT_ONCE = 1000
_GIVEN_UP_AFTER = timedelta(seconds=30)
# The total is the body's too: 32 MiB over a slow line take their time, while a server that says nothing is given up.
_TIMEOUTS = {"connect_timeout": "5s", "read_timeout": "30s", "timeout": "600s"}


class StoreUnreachable(ConnectionError):
    """The server does not answer, or refuses: no key, no bucket, no permission."""

    exit_code = 4


class ObjectChanged(OSError):
    """An object is another one than it was when it was looked at."""


class OddKey(OSError):
    """A listing holds a key that cannot be asked for: with an empty part, `.`, `..` or a control character in it."""

    exit_code = 2


class Object(NamedTuple):
    """An object as it was looked at. key: below the prefix.  version: its ETag, which another content changes."""

    key: str
    size_bytes: int
    version: str


class Objects:
    """The objects below a URL.

    allows_plain_http: for an endpoint on this machine; elsewhere AWS_ALLOW_HTTP says so.
    Every method raises StoreUnreachable when the server does not do its part, and FileNotFoundError for an object
    that is not there, or whose key cannot be asked for; one that lists raises OddKey where it meets such a key.
    """

    def __init__(self, url: str, *, allows_plain_http: bool = False) -> None:
        from obstore.store import S3Store  # noqa: PLC0415  # only who has a bucket pays for it

        self.url = url.rstrip("/")
        bucket, _, prefix = self.url.removeprefix(SCHEME).partition("/")
        options: dict[str, Any] = {**_TIMEOUTS, **({"allow_http": True} if allows_plain_http else {})}
        with self._named_errors():
            self._store = S3Store(
                bucket,
                prefix=prefix or None,
                client_options=options,  # type: ignore[arg-type]
                retry_config={"retry_timeout": _GIVEN_UP_AFTER},
            )

    def head(self, key: str) -> Object:
        """The object as it is now."""
        import obstore  # noqa: PLC0415

        with self._named_errors():
            return _object(obstore.head(self._store, key))

    def get(self, key: str) -> bytes:
        """All its bytes, in one request."""
        _, content = self.looked_at(key)
        assert content is not None  # noqa: S101  # no object is longer than any number
        return content

    def looked_at(self, key: str, most_bytes: float = math.inf) -> tuple[Object, bytes | None]:
        """The object as it is now, and its bytes where they are no more than that: one request for both."""
        import obstore  # noqa: PLC0415

        with self._named_errors():
            answer = obstore.get(self._store, key)
            found = _object(answer.meta)
            return found, answer.bytes().to_bytes() if found.size_bytes <= most_bytes else None

    def get_range(self, key: str, version: str, start: int, stop: int) -> bytes:
        """Bytes from start to before stop. Raises ObjectChanged when the object is of another version by now."""
        import obstore  # noqa: PLC0415

        with self._named_errors():
            wanted = {"range": (start, stop), "if_match": version or None}
            return obstore.get(self._store, key, options=wanted).bytes().to_bytes()  # type: ignore[arg-type]

    def parts(self, found: Object) -> Iterator[bytes]:
        """All its bytes, part after part. Raises ObjectChanged when it is replaced on the way."""
        for start in range(0, found.size_bytes, PART_BYTES):
            yield self.get_range(found.key, found.version, start, min(start + PART_BYTES, found.size_bytes))

    def download(self, found: Object, path: Path) -> None:
        """Writes the object into a file. Raises ObjectChanged, and OSError for a full disk."""
        with path.open("wb") as file:
            for part in self.parts(found):
                file.write(part)

    def put(self, key: str, content: bytes | Path) -> None:
        """Writes the object: nobody ever sees a part of it."""
        import obstore  # noqa: PLC0415

        with self._named_errors():
            obstore.put(self._store, key, content, chunk_size=PART_BYTES)

    def remove(self, key: str) -> None:
        """Takes the object away; nothing happens where there is none."""
        import obstore  # noqa: PLC0415

        with self._named_errors():
            obstore.delete(self._store, key)

    def listed(self, prefix: str = "") -> Iterator[Object]:
        """Every object below a prefix, in the order of their keys, a page at a time."""
        import obstore  # noqa: PLC0415

        pages = iter(obstore.list(self._store, prefix or None, chunk_size=_LISTED_AT_ONCE))
        while True:
            with self._named_errors():
                page = next(pages, None)
            if page is None:
                return
            yield from map(_object, page)

    def folder(self, prefix: str = "") -> tuple[list[str], list[Object]]:
        """Folders and objects right below a prefix, as a person sees them; none below one that cannot be asked for."""
        import obstore  # noqa: PLC0415

        try:
            with self._named_errors():
                found = obstore.list_with_delimiter(self._store, prefix or None)
        except FileNotFoundError:
            return [], []
        return list(found["common_prefixes"]), [_object(each) for each in found["objects"]]

    def holds_anything(self) -> bool:
        """Whether any object is below the URL, whatever its key."""
        try:
            return next(self.listed(), None) is not None
        except OddKey:
            return True

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        from obstore.exceptions import (  # noqa: PLC0415
            BaseError,
            InvalidPathError,
            NotFoundError,
            PreconditionError,
        )

        try:
            yield
        except (NotFoundError, FileNotFoundError) as error:
            if "NoSuchBucket" in str(error):
                raise StoreUnreachable(f"{self.url}: there is no such bucket") from error
            raise FileNotFoundError(f"{self.url} holds no such object: {_sentence(error)}") from error
        except PreconditionError as error:
            raise ObjectChanged(f"{self.url}: {_sentence(error)}") from error
        except ValueError as error:  # the key itself
            raise FileNotFoundError(f"{self.url} holds nothing that could be asked for: {_sentence(error)}") from error
        except InvalidPathError as error:
            raise OddKey(
                f"{self.url}: {_odd_key(error)} cannot be asked for: it has an empty part, `.`, `..` or a control "
                "character; rename that object, or name a prefix beside it"
            ) from error
        except (BaseError, PermissionError) as error:
            raise StoreUnreachable(f"{self.url}: {_sentence(error)}") from error


def _object(found: Any) -> Object:
    return Object(found["path"], found["size"], found["e_tag"] or "")


def _odd_key(error: Exception) -> str:
    """The key that obstore complains of, quoted."""
    found = re.search(r'Path "(.*?)"(?: contained|: Encountered)', str(error), re.DOTALL)
    return f"the key {found[1]!r}" if found else _sentence(error)


def _sentence(error: Exception) -> str:
    """What the server says in words, or the first line of what obstore says; the rest is for its developers."""
    text = str(error)
    said = re.search(r"<Code>([^<]*)</Code>\s*<Message>([^<]*)</Message>", text)
    return f"{said[1]}: {said[2]}" if said else text.partition("\n")[0].partition(": <?xml")[0]
