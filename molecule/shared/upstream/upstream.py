"""A small application behind a unix socket, which tells what reached it.

    upstream.py NAME SOCKET

GET or POST /echo             what was asked, as JSON
GET         /large.json       JSON that is worth compressing; /large.png and /small.json are not
POST        /drop             counted, then the connection is closed without an answer
GET         /fresh            answered on a new connection; one that was used before is closed instead
GET         /hang             accepted and never answered
GET         /status/<code>    a page with that status
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
from pathlib import Path

NAME, SOCKET = sys.argv[1], Path(sys.argv[2])
REQUESTS: collections.Counter[str] = collections.Counter()
OPEN: set[int] = set()
LOCK = threading.Lock()
NUMBERS = itertools.count(1)


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

    def answer(self, body: bytes, kind: str = "application/json", status: int = 200) -> None:
        """Send an answer."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def handle_request(self) -> None:
        """Answer a request, whatever its method."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.requests += 1
        with LOCK:
            REQUESTS[f"{self.command} {self.path}"] += 1
            stats = {"requests": dict(REQUESTS), "open": len(OPEN - {self.number})}
        match self.path.strip("/").split("/"):
            case ["stats"]:
                self.answer(json.dumps(stats).encode())
            case ["drop"]:
                self.close_connection = True
            case ["fresh"] if self.requests > 1:
                self.close_connection = True
            case ["hang"]:
                threading.Event().wait(60)
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
