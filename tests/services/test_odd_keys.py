"""Keys that S3 accepts and no path can name: reported in a sentence, never as a fault of the network."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from db.store.objects import Objects, OddKey
from tasks.dataset.bucket import Bucket
from tasks.dataset.layouts import UnusableRow, open_layout
from tasks.dataset.layouts.files import Files
from tasks.dataset.layouts.layout import UnusableRowError
from tests import servers

ODD = ("a//x.ogg", "a/./x.ogg", "a/../x.ogg", "a/tab\tx.ogg", "a/line\nx.ogg")
TABLE = "path,label\na/fine.ogg,wren\na/tab\tx.ogg,wren\ntab\there/x.ogg,wren\n"


def listing(*keys: str) -> bytes:
    about = "<LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>&quot;1&quot;</ETag><Size>1</Size>"
    each = "".join(f"<Contents><Key>data/{escape(key)}</Key>{about}</Contents>" for key in keys)
    return f"<ListBucketResult><IsTruncated>false</IsTruncated>{each}</ListBucketResult>".encode()


@pytest.fixture
def keys() -> list[str]:
    """What the server says that it holds."""
    return ["a/fine.ogg"]


@pytest.fixture
def objects(keys: list[str]) -> Iterator[Objects]:
    """Below a server that lists any key: the one of the other tests keeps files, and so takes no odd name."""

    class Lists(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = listing(*keys) if "list-type=2" in self.path else TABLE.encode()
            self.send_response(200)
            for name, value in {"Content-Length": len(found), "ETag": '"1"'}.items():
                self.send_header(name, str(value))
            self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
            self.end_headers()
            self.wfile.write(found)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Lists) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        given = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "x"}
        with servers.environ({**given, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}"}):
            yield Objects("s3://bucket/data", allows_plain_http=True)
        server.shutdown()


@pytest.mark.parametrize("odd", ODD)
def test_a_listing_that_holds_an_odd_key_names_it_and_is_no_failure_of_the_network(
    odd: str, keys: list[str], objects: Objects
) -> None:
    keys.append(odd)
    for ask in (lambda: list(objects.list_objects()), objects.folder):
        with pytest.raises(OddKey) as refused:
            ask()
        assert repr(f"data/{odd}") in str(refused.value)
        assert not isinstance(refused.value, ConnectionError)
    assert objects.holds_anything(), "a worker asks for no more than that"


@pytest.mark.parametrize("odd", ODD)
def test_an_odd_key_that_is_asked_for_is_not_there(odd: str, objects: Objects) -> None:
    for ask in (objects.head, objects.get, lambda key: objects.get_range(key, "", 0, 1)):
        with pytest.raises(FileNotFoundError):
            ask(odd)
    assert objects.folder(odd) == ([], [])


def test_a_csvs_row_with_a_tab_is_a_bad_row(objects: Objects) -> None:
    files = Files(Bucket(objects))
    assert files.uri("a/fine.ogg") == "a/fine.ogg"
    for written in ("a/tab\tx.ogg", "tab\there/x.ogg"):
        with pytest.raises(UnusableRowError, match="missing file"):
            files.uri(written)
    found = list(open_layout(Bucket(objects, "labels.csv")).rows())
    assert [isinstance(row, UnusableRow) for row in found] == [False, True, True]


def test_a_plan_refuses_a_bucket_with_an_odd_key_in_one_sentence(keys: list[str], objects: Objects) -> None:
    keys.append("a//x.ogg")
    with pytest.raises(OddKey, match="rename that object"):
        list(open_layout(Bucket(objects)).rows())
    assert OddKey.exit_code == 2
