"""The transport that checks messages is the one of every URL that names a broker."""

from __future__ import annotations

import pytest
from kombu import Connection

from settings import Settings
from workers.app import make_app
from workers.transport import Channel, Transport


@pytest.mark.parametrize(
    "url", ["redis://host/0", "rediss://host/0?ssl_cert_reqs=required", "redis+socket:///tmp/s?virtual_host=0"]
)
@pytest.mark.parametrize("role", ["", "cpu"])
def test_every_scheme_has_the_transport_that_checks_messages(url: str, role: str) -> None:
    app = make_app(Settings(broker_url=url, role=role))
    for connection in (app.connection_for_read(), app.connection_for_write(), Connection(url)):
        assert connection.get_transport_cls() is Transport
        assert connection.get_transport_cls().Channel is Channel
