"""Paths are resolved the same way from folder listings and from the disk."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from tasks.dataset.layouts.files import Files
from tasks.dataset.layouts.layout import UnusableRowError, printable


@pytest.fixture(params=[0, 1, 2, 1000], ids=lambda names: f"{names} names listed")
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Files:
    root = tmp_path / "data"
    for name in ("a.wav", "b.wav", "sub/e.wav"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"RIFF")
    (tmp_path / "outside.wav").write_bytes(b"RIFF")
    (root / "out.wav").symlink_to(tmp_path / "outside.wav")
    (root / "in.wav").symlink_to(root / "a.wav")
    (root / "gone.wav").symlink_to(root / "nothing.wav")
    return Files(root, listed_names=request.param)


@pytest.mark.parametrize("uri", ["a.wav", "b.wav", "sub/e.wav", "in.wav"])
def test_a_file_below_the_root_is_found_by_its_path(files: Files, uri: str):
    assert files.uri(uri) == uri
    assert files.uri(f"./{uri}") == uri


@pytest.mark.parametrize("uri", ["c.wav", "sub", "sub/a.wav", "no/a.wav", "a.wav/b.wav", "gone.wav", "x" * 5000])
def test_a_path_without_a_file_is_missing(files: Files, uri: str):
    with pytest.raises(UnusableRowError, match="missing file"):
        files.uri(uri)


def test_a_pipe_a_socket_and_a_device_are_called_what_they_are(files: Files, tmp_path: Path):
    os.mkfifo(tmp_path / "data" / "pipe.wav")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "data" / "s.wav"))
    for name, what in (("pipe.wav", "a named pipe"), ("s.wav", "a socket")):
        with pytest.raises(UnusableRowError, match=f"unreadable: it is {what}, not a file"):
            files.uri(name)


def test_a_link_out_of_the_root_is_refused(files: Files):
    with pytest.raises(UnusableRowError, match="a link leads out of it"):
        files.uri("out.wav")


def test_only_unprintable_characters_are_escaped():
    assert printable("caf\u00e9\u3000\u00a0.wav") == "caf\u00e9\u3000\u00a0.wav"
    assert printable("a\udcff\x1b[2J") == "a\\xff\\x1b[2J"
