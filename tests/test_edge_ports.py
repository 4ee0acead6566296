"""Which program has a port: of TCP, and of UDP where HTTP/3 is."""

from __future__ import annotations

import os
import socket

import pytest
from ansible_collections.slipway.flask.plugins.module_utils.edge.ports import bindable, holders


@pytest.mark.parametrize("udp", [False, True])
def test_a_port_is_taken_by_who_listens_there(udp: bool) -> None:
    """And not by who has the same number of the other kind."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM if udp else socket.SOCK_STREAM) as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind(("127.0.0.1", 0))
        if not udp:
            one.listen()
        port = one.getsockname()[1]
        assert not bindable("127.0.0.1", port, both=False, udp=udp)
        assert [name.partition(" (process ")[2] for name in holders(port, udp=udp)] == [f"{os.getpid()})"]
        assert bindable("127.0.0.1", port, both=False, udp=not udp)
        assert holders(port, udp=not udp) == []
    assert bindable("127.0.0.1", port, both=False, udp=udp)
