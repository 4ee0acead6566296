"""A small application behind a unix socket, which tells what reached it.

    upstream.py NAME SOCKET

GET or POST /echo             what was asked, as JSON
GET         /large.json       JSON that is worth compressing; /large.png and /small.json are not
POST        /drop             counted, then the connection is closed without an answer
GET         /fresh            answered on a new connection; one that was used before is closed instead
GET         /hang             accepted and never answered
GET         /status/<code>    a page with that status
POST        /upload           as /echo; /stats tells how much of the last body is there already
GET         .../drip?...      an event stream in two parts, the second when .../go-on was asked for; with headers from the query
GET         .../socket        a WebSocket for who asks for one as RFC 6455 has it: the path, then what comes, without frames
GET         .../headers?a=b   an answer with these headers, and another number each time
GET         /stats            requests counted by method, and the connections open besides this one
"""

from __future__ import annotations

import collections
import http.server
import itertools
import json
import os
import socketserver
import sys
import threading
import urllib.parse
from pathlib import Path

NAME, SOCKET = sys.argv[1], Path(sys.argv[2])
REQUESTS: collections.Counter[str] = collections.Counter()
OPEN: set[int] = set()
LOCK = threading.Lock()
NUMBERS = itertools.count(1)
ARRIVED = 0
GO_ON = threading.Event()


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection; it is kept until the other side closes it."""

    protocol_version = "HTTP/1.1"
    server_version = "upstream"

    def setup(self) -> None:
        """Give the connection a number and count it as open."""
        super().setup()
        with LOCK:
            self.number, self.requests = next(NUMBERS), 0
            OPEN.add(self.number)

    def finish(self) -> None:
        """Count the connection as closed."""
        with LOCK:
            OPEN.discard(self.number)
        super().finish()

    def address_string(self) -> str:
        """Name the client for the log: behind a unix socket it has no address."""
        return "edge"

    def answer(
        self, body: bytes, kind: str = "application/json", status: int = 200, headers: dict[str, str] | None = None
    ) -> None:
        """Send an answer."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def read_body(self) -> bytes:
        """Read a request's body, and count its bytes as they come."""
        global ARRIVED
        body = b""
        length = int(self.headers.get("Content-Length", 0))
        while len(body) < length and (piece := self.rfile.read1(min(65536, length - len(body)))):
            body += piece
            ARRIVED = len(body)
        return body

    def drip(self, query: str) -> None:
        """Answer in two parts, as app servers send events; the second one waits until it is asked for."""
        GO_ON.clear()
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        for name, value in urllib.parse.parse_qsl(query):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(b"8\r\ndata: 1\n\r\n")
        GO_ON.wait(600)  # longer than a test waits
        self.wfile.write(b"8\r\ndata: 2\n\r\n0\r\n\r\n")

    def open_socket(self) -> None:
        """Change the protocol for who asks for that; send the path that was asked for, and back what comes, until the end."""
        if [self.headers.get(name, "").lower() for name in ("Connection", "Upgrade")] != ["upgrade", "websocket"]:
            self.answer(b"", status=426)
            return
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.end_headers()
        self.wfile.write(self.path.encode())
        while piece := self.rfile.read1(65536):
            self.wfile.write(piece)
        self.close_connection = True

    def go_on(self) -> None:
        """Let the second part of an answer come."""
        GO_ON.set()
        self.answer(b"")

    def answer_as_told(self, what: str, query: str) -> None:
        """Answer in two parts, let the second of them come, open a WebSocket, or send headers that the query names."""
        if what == "drip":
            self.drip(query)
        elif what == "go-on":
            self.go_on()
        elif what == "socket":
            self.open_socket()
        else:
            self.answer(f"{NAME} {next(NUMBERS)}".encode(), headers=dict(urllib.parse.parse_qsl(query)))

    def handle_request(self) -> None:
        """Answer a request, whatever its method."""
        body = self.read_body()
        self.requests += 1
        with LOCK:
            REQUESTS[f"{self.command} {self.path}"] += 1
            stats = {"requests": dict(REQUESTS), "open": len(OPEN - {self.number}), "arrived": ARRIVED}
        path, _, query = self.path.partition("?")
        match path.strip("/").split("/"):
            case ["stats"]:
                self.answer(json.dumps(stats).encode())
            case ["drop"]:
                self.close_connection = True
            case ["fresh"] if self.requests > 1:
                self.close_connection = True
            case ["hang"]:
                threading.Event().wait(60)
            case [*_, "drip" | "go-on" | "headers" | "socket" as last]:
                self.answer_as_told(last, query)
            case ["large.json"]:
                self.answer(json.dumps(list(range(2000))).encode())
            case ["small.json"]:
                self.answer(json.dumps([1, 2, 3]).encode())
            case ["large.png"]:
                self.answer(b"\x89PNG" + bytes(8000), "image/png")
            case ["status", code]:
                self.answer(f"The application's own page for {code}".encode(), "text/html", int(code))
            case _:
                seen = {
                    "instance": NAME,
                    "connection": self.number,
                    "method": self.command,
                    "path": self.path,
                    "headers": {name.lower(): self.headers.get_all(name) for name in self.headers},
                    "body_bytes": len(body),
                }
                self.answer(json.dumps(seen).encode())

    do_GET = do_HEAD = do_POST = handle_request  # noqa: N815 - the names http.server looks for


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """A thread a connection."""

    daemon_threads = True
    request_queue_size = 128


SOCKET.unlink(missing_ok=True)
os.umask(0)  # the edge may connect as soon as the socket is there
with Server(str(SOCKET), Handler) as server:
    server.serve_forever()
