"""One function says whether a file or the machine is at fault, for every error that opening or reading can raise."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from domain.errors import CannotBeRead, MachineFault, Missing, Unusable
from tasks.dataset.file_faults import fault_of


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("wren/1.wav", "wren/2.wav", "robin/3.wav", "labels.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def fault(root: Path, uri: str) -> Unusable | MachineFault | None:
    try:
        (root / uri).read_bytes()
    except OSError as error:
        return fault_of(error, str(root), uri)
    return None


def test_a_loop_of_links_and_a_name_of_300_bytes_are_the_files_fault(root: Path) -> None:
    (root / "wren/loop.wav").symlink_to("loop.wav")
    for uri, why in {"wren/loop.wav": "symbolic links", f"wren/{'n' * 300}.wav": "name too long"}.items():
        found = fault(root, uri)
        assert isinstance(found, Missing)
        assert why in str(found)


def test_a_file_that_is_gone_is_missing_and_an_empty_folder_is_a_disk_that_is_not_mounted(root: Path) -> None:
    assert isinstance(fault(root, "wren/gone.wav"), Missing)
    (root / "robin/3.wav").unlink()
    assert str(fault(root, "robin/3.wav")) == f"{root}/robin is empty; check that its disk is mounted on this machine"
    (root / "robin").rmdir()
    assert isinstance(fault(root, "robin/3.wav"), Missing)
    root.rename(root.with_name("away"))
    assert "is not there; check that its disk is mounted" in str(fault(root, "wren/1.wav"))
    root.mkdir()
    assert "is not there; check that its disk is mounted" in str(fault(root, "wren/1.wav"))


def test_a_name_in_a_csv_is_missing_although_its_folder_is_empty(root: Path) -> None:
    (root / "empty").mkdir()
    absent = FileNotFoundError(errno.ENOENT, "No such file or directory")
    assert isinstance(fault_of(absent, str(root), "empty/deeper/1.wav", is_known=False), Missing)


@pytest.mark.parametrize(
    "number", [errno.EMFILE, errno.ENOMEM, errno.ESTALE, errno.ENOTCONN, errno.ENOSPC, errno.ENODEV]
)
def test_what_no_file_can_cause_is_the_machines_fault(root: Path, number: int) -> None:
    assert isinstance(fault_of(OSError(number, os.strerror(number)), str(root), "wren/1.wav"), MachineFault)


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES, errno.ENOENT, errno.ELOOP])
def test_an_error_that_does_not_occur_again_is_the_machines_fault(root: Path, number: int) -> None:
    found = fault_of(OSError(number, os.strerror(number)), str(root), "wren/1.wav")
    assert str(found) == f"wren/1.wav cannot be read now: {os.strerror(number)}"
    assert isinstance(found, MachineFault)


def test_a_folder_in_place_of_a_file_is_the_files_fault(root: Path) -> None:
    assert isinstance(fault(root, "wren"), CannotBeRead)


_AS_ANOTHER_USER = """
import os, sys
from tasks.dataset.file_faults import fault_of
os.setuid(65534)
root, *uris = sys.argv[1:]
for uri in uris:
    try:
        os.listdir(f"{root}/{uri}") if uri == "wren" else open(f"{root}/{uri}").read()
    except OSError as error:
        print(type(fault_of(error, root, uri)).__name__)
    else:
        print("read")
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_a_permission_error_is_the_files_fault_if_a_neighbour_opens(root: Path) -> None:
    for folder in (root, *root.parents[:3]):
        folder.chmod(folder.stat().st_mode | 0o055)

    def seen(*uris: str) -> list[str]:
        command = [sys.executable, "-c", _AS_ANOTHER_USER, str(root), *uris]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()

    (root / "wren/1.wav").chmod(0)
    assert seen("wren/1.wav", "wren/2.wav") == ["NoPermission", "read"]
    (root / "wren").chmod(0)
    assert seen("wren/1.wav", "wren/2.wav", "wren") == ["NoPermission"] * 3
    (root / "robin/3.wav").chmod(0)
    assert seen("wren/1.wav", "robin/3.wav") == ["MachineFault"] * 2, "the table can be read, but no recording"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_a_folder_of_many_locked_files_is_at_fault_itself_if_another_folder_can_be_read(root: Path) -> None:
    for folder in (root, *root.parents[:3]):
        folder.chmod(folder.stat().st_mode | 0o055)
    for number in range(30):
        (root / f"wren/locked-{number}.wav").touch(0o000)
    (root / "wren/only.mp3").touch(0o000)
    (root / "Turdus sp.").mkdir(0o000)
    uris = ("wren/locked-0.wav", "wren/only.mp3")
    command = [sys.executable, "-c", _AS_ANOTHER_USER, str(root), *uris]
    found = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    (root / "Turdus sp.").chmod(0o700)
    assert found == ["NoPermission"] * 2
