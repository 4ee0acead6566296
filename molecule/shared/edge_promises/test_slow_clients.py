"""A client that holds thousands of connections keeps no other client out; the same for nginx and Apache."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import pytest
from testinfra.host import Host

import connections
from edge import Edge
from probe import until

LIMIT = 100
HALF_OPEN = "GET / HTTP/1.1\r\nHost: one.test\r\nX-Half: "
HALF_HELLO = "\x16\x03\x01\x02\x00\x01"  # of a handshake: the record of 512 bytes of which one is there (RFC 8446, 5.1)
SLOW = "GET /static/slow.css HTTP/1.1\r\nHost: one.test\r\n\r\n"


@pytest.fixture(scope="module", autouse=True)
def client(host: Host) -> Iterator[None]:
    """A client in its own network, and a file that no buffer takes whole."""
    slow = "/srv/one/current/public/static/slow.css"
    connections.install(host)
    host.check_output(f"truncate --size=32M {slow}")
    yield
    host.check_output(f"rm {slow}")


def test_who_holds_thousands_of_connections_keeps_nobody_else_out(edge: Edge, host: Host) -> None:
    """10,000 requests of which the header is half there, and 1,000 answers that are not read; handshakes and silence on HTTPS."""
    kinds = [(10_000, HALF_OPEN), (1_000, SLOW)] if edge.scheme == "http" else [(10_000, HALF_HELLO), (1_000, "")]
    with connections.hold(host, kinds, port=edge.port) as counts:
        seconds = []
        for number in range(200):
            begin = time.monotonic()
            answer = edge.ask("/static/both.css" if number % 2 else "/echo")
            seconds.append(time.monotonic() - begin)
            assert answer.status == 200
        assert sorted(seconds)[197] < 1, "of 100 visitors 99 have their answer within a second"
        assert counts == {"opened": LIMIT, "refused": 11_000 - LIMIT, "waited": 0}
        # Within the timeouts that converge.yml sets; the programs' own are 60 s.
        until(lambda: not connections.held(host), "the server has taken back what the client holds", seconds=30)


@pytest.mark.one_debian
def test_an_exempt_address_may_hold_more(host: Host) -> None:
    """Such as an office's."""
    with connections.hold(host, [(3 * LIMIT, "")], source=connections.EXEMPT) as counts:
        assert counts == {"opened": 3 * LIMIT, "refused": 0, "waited": 0}


@pytest.mark.one_debian
def test_an_upload_may_be_slow_but_not_stop(edge: Edge) -> None:
    """It may take longer than the timeout of its body, 5 seconds here, as long as some of it comes."""
    pieces = 7
    head = f"POST /echo HTTP/1.1\r\nHost: one.test\r\nConnection: close\r\nContent-Length: {pieces * 1000}\r\n\r\n"
    with edge.open() as upload:
        upload.sendall(head.encode())
        for _ in range(pieces):
            time.sleep(1)  # what is tested: pauses shorter than the timeout, and longer than it all together
            upload.sendall(bytes(1000))
        assert upload.makefile("rb").readline() == b"HTTP/1.1 200 OK\r\n"
    begin = time.monotonic()
    with contextlib.suppress(ConnectionResetError):  # the end of the connection, too
        assert edge.send(head + "x")[:13] in (b"", b"HTTP/1.1 408 ")
    assert time.monotonic() - begin < 15, "three times what was set; the programs' own are 20 s and more"
