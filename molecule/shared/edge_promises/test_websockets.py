"""WebSockets and event streams through an edge, nginx and Apache alike; `.../socket` of the application sends its path, and back what comes.

The second site's application may be silent for 5 seconds, and its WebSockets for ten minutes (the default); the first site's for a
minute (the default), and its WebSockets for 3 seconds (with Apache for the 10 of apache_timeout_seconds, which is the least).
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import pytest

from edge import ADA, GZIP, SERVER, Edge

# As a browser sends it (RFC 6455, 1.3).
HANDSHAKE = {
    "Connection": "keep-alive, Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


@contextlib.contextmanager
def websocket(edge: Edge, path: str, name: str, **headers: str) -> Iterator[tuple[str, socket.socket]]:
    """Ask for a WebSocket; yields the first line of the answer, and the connection once the answer's header is read."""
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {name}",
        *(f"{key}: {value}" for key, value in (HANDSHAKE | headers).items()),
    ]
    with edge.open(name) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        answer = b""
        while not answer.endswith(b"\r\n\r\n") and (byte := connection.recv(1)):
            answer += byte
        yield answer.decode().partition("\r\n")[0], connection


def test_a_websocket_stays_open_for_longer_than_an_answer_may_take(edge: Edge) -> None:
    path = "/upload%2Fa%20b/socket?c=d%26e"
    with websocket(edge, path, "two.test") as (status, connection):
        assert status.startswith("HTTP/1.1 101 ")
        assert connection.recv(100) == path.encode()
        assert edge.ask("/hang", "two.test").status == SERVER.hung  # which takes these 5 seconds
        connection.sendall(b"ahoy")
        assert connection.recv(100) == b"ahoy"


def test_a_websocket_that_is_silent_is_closed_after_its_own_time(edge: Edge) -> None:
    with websocket(edge, "/socket", "one.test") as (status, connection):
        assert status.startswith("HTTP/1.1 101 ")
        assert connection.recv(100) == b"/socket"
        connection.settimeout(45)  # an answer would have the minute
        assert connection.recv(100) == b""


@pytest.mark.parametrize(
    ("path", "name", "status"),
    [("/closed/socket", "two.test", 401), ("/office/socket", "two.test", 403), ("/socket", "third.test", 503)],
)
def test_a_websocket_gets_in_where_any_other_request_does(edge: Edge, path: str, name: str, status: int) -> None:
    with websocket(edge, path, name) as (answer, _):
        assert answer.startswith(f"HTTP/1.1 {status} ")
    with websocket(edge, "/closed/socket", "two.test", **ADA) as (answer, _):
        assert answer.startswith("HTTP/1.1 101 ")


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", {"Upgrade": "h2c", "Connection": "Upgrade, HTTP2-Settings", "HTTP2-Settings": "AAMAAABkAAQAAP__"}),
        ("GET", {"Content-Length": "2"}),
        ("POST", {"Content-Length": "2"}),
    ],
)
def test_no_other_request_changes_the_protocol(edge: Edge, method: str, headers: dict[str, str]) -> None:
    """An application that changed it would be spoken to past the edge's rules."""
    assert edge.ask("/echo", headers=HANDSHAKE).json["headers"]["upgrade"] == [
        "websocket"
    ]  # without what makes it another
    body = b"ab" if "Content-Length" in headers else None
    seen = edge.ask("/echo", method=method, body=body, headers=HANDSHAKE | headers).json["headers"]
    assert "upgrade" not in seen


@pytest.mark.parametrize(("path", "name"), [("/drip?X-Accel-Buffering=no", "one.test"), ("/upload/drip", "two.test")])
def test_an_event_is_passed_on_while_the_next_is_waited_for(edge: Edge, path: str, name: str) -> None:
    """Of a path without buffering, and of any other where the application asks for it, as bin/slipway_wsgi.py does for it."""
    with contextlib.closing(edge.connect(name)) as connection:
        connection.request("GET", path, headers={"Host": name, **GZIP})
        answer = connection.getresponse()
        assert answer.headers["Content-Encoding"] is None  # a compressor would hold the first event back for more
        assert answer.read1(100) == b"data: 1\n"
        assert edge.ask("/upload/go-on", name).status == 200
        assert answer.read() == b"data: 2\n"
