"""Objects below one `s3://bucket/prefix`, through obstore; endpoint, region and keys come from the usual AWS variables.

Every fault of the network or the server is an OSError: the machine's fault, never a recording's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from domain.bucket_object import BucketObject

SCHEME = "s3://"
PART_BYTES = 8 << 20
"""Longer objects are transferred in parts of this size, one request each; memory holds one part at a time."""
_PAGE = 1000
_GIVEN_UP_AFTER = timedelta(seconds=30)
# `timeout` covers the whole body, which may be 32 MiB over a slow line; `read_timeout` detects a silent server.
_TIMEOUTS = {"connect_timeout": "5s", "read_timeout": "30s", "timeout": "600s"}


class StoreUnreachable(ConnectionError):
    """The server does not answer, or refuses: wrong credentials, no such bucket, no permission.

    Also a store that is not the ledger's, such as a bare mount point.
    """

    exit_code = 4


class ObjectChanged(OSError):
    """An object was replaced after its version was read."""


class OddKey(OSError):
    """A listing holds a key that obstore cannot request: with an empty part, `.`, `..` or a control character."""

    exit_code = 2


class Objects:
    """The objects below a URL.

    allows_plain_http: for an endpoint on this machine; for others AWS_ALLOW_HTTP allows it.
    Every method raises StoreUnreachable for a fault of network or server, and FileNotFoundError for an object that does
    not exist or whose key cannot be requested. Methods that list raise OddKey if they meet such a key.
    """

    def __init__(self, url: str, *, allows_plain_http: bool = False) -> None:
        from obstore.store import S3Store  # noqa: PLC0415  # a slow import that only a bucket needs

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

    def head(self, key: str) -> BucketObject:
        """The object's size and version, without its bytes."""
        import obstore  # noqa: PLC0415

        with self._named_errors():
            return _object(obstore.head(self._store, key))

    def get(self, key: str) -> bytes:
        """All its bytes, in one request."""
        import obstore  # noqa: PLC0415

        with self._named_errors():
            return obstore.get(self._store, key).bytes().to_bytes()

    def get_object(self, key: str, most_bytes: float) -> tuple[BucketObject, bytes | None]:
        """The object, and its bytes unless there are more than most_bytes; one request for both."""
        import obstore  # noqa: PLC0415

        with self._named_errors():
            answer = obstore.get(self._store, key)
            found = _object(answer.meta)
            return found, answer.bytes().to_bytes() if found.size_bytes <= most_bytes else None

    def get_range(self, key: str, version: str, start: int, stop: int) -> bytes:
        """The bytes from start up to, not including, stop. Raises: ObjectChanged if the version is another now."""
        import obstore  # noqa: PLC0415

        with self._named_errors():
            wanted = {"range": (start, stop), "if_match": version or None}
            return obstore.get(self._store, key, options=wanted).bytes().to_bytes()  # type: ignore[arg-type]

    def parts(self, found: BucketObject) -> Iterator[bytes]:
        """All its bytes, one part at a time. Raises: ObjectChanged if the object is replaced meanwhile."""
        for start in range(0, found.size_bytes, PART_BYTES):
            yield self.get_range(found.key, found.version, start, min(start + PART_BYTES, found.size_bytes))

    def download(self, found: BucketObject, path: Path) -> None:
        """Write the object into a file. Raises: ObjectChanged; OSError for a full disk."""
        with path.open("wb") as file:
            for part in self.parts(found):
                file.write(part)

    def put(self, key: str, content: bytes | Path) -> None:
        """Write the object; readers never see a part of it."""
        import obstore  # noqa: PLC0415

        with self._named_errors():
            obstore.put(self._store, key, content, chunk_size=PART_BYTES)

    def create(self, key: str, content: bytes) -> None:
        """Write the object unless it exists already. A server without conditional requests replaces it."""
        import obstore  # noqa: PLC0415
        from obstore.exceptions import AlreadyExistsError, NotSupportedError, PreconditionError  # noqa: PLC0415

        try:
            obstore.put(self._store, key, content, mode="create")
        except (AlreadyExistsError, PreconditionError):
            return
        except NotSupportedError:
            self.put(key, content)
        except Exception:
            with self._named_errors():
                raise

    def remove(self, key: str) -> None:
        """Delete the object, if there is one."""
        import obstore  # noqa: PLC0415

        with self._named_errors():
            obstore.delete(self._store, key)

    def list_objects(self, prefix: str = "") -> Iterator[BucketObject]:
        """All objects below a prefix in the order of their keys, read a page at a time. Raises: OddKey."""
        import obstore  # noqa: PLC0415

        pages = iter(obstore.list(self._store, prefix or None, chunk_size=_PAGE))
        while True:
            with self._named_errors():
                page = next(pages, None)
            if page is None:
                return
            yield from map(_object, page)

    def folder(self, prefix: str = "") -> tuple[list[str], list[BucketObject]]:
        """Folders and objects directly below a prefix; none below one that cannot be requested. Raises: OddKey."""
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
            return next(self.list_objects(), None) is not None
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
                raise StoreUnreachable(f"{self.url}: the bucket does not exist") from error
            raise FileNotFoundError(f"{self.url} holds no such object: {_sentence(error)}") from error
        except PreconditionError as error:
            raise ObjectChanged(f"{self.url}: {_sentence(error)}") from error
        except ValueError as error:  # obstore refuses the key itself
            raise FileNotFoundError(f"{self.url} cannot hold an object of that key: {_sentence(error)}") from error
        except InvalidPathError as error:
            raise OddKey(
                f"{self.url}: {_odd_key(error)} cannot be requested: it has an empty part, `.`, `..` or a control "
                "character; rename that object, or use a prefix that does not contain it"
            ) from error
        except (BaseError, PermissionError) as error:
            raise StoreUnreachable(f"{self.url}: {_sentence(error)}") from error


def _object(found: Any) -> BucketObject:
    return BucketObject(found["path"], found["size"], found["e_tag"] or "")


def _odd_key(error: Exception) -> str:
    """The key in obstore's message, quoted."""
    found = re.search(r'Path "(.*?)"(?: contained|: Encountered)', str(error), re.DOTALL)
    return f"the key {found[1]!r}" if found else _sentence(error)


def _sentence(error: Exception) -> str:
    """The server's code and message, or the first line of obstore's; the rest of it is for its developers."""
    text = str(error)
    said = re.search(r"<Code>([^<]*)</Code>\s*<Message>([^<]*)</Message>", text)
    return f"{said[1]}: {said[2]}" if said else text.partition("\n")[0].partition(": <?xml")[0]
