"""Requests to a unix socket on a server, sent from that server: `ask` in a test, this file's `main` over there.

A bare server has no curl, and needs none: this file travels as an argument of python3, so it needs nothing but the
standard library of Debian 12's Python.
"""

from __future__ import annotations

import dataclasses
import http.client
import json
import socket
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from testinfra.host import Host

PATIENCE_SECONDS = 120  # only a failure takes so long


@dataclasses.dataclass(frozen=True)
class Answer:
    """What came back for a request; status 0 and the reason as body where nothing did.

    lane: which of the clients that asked at once. connection: how many the client had opened by then. seconds: how long
    the answer took. headers: by their names in small letters.
    """

    status: int
    body: str
    lane: int
    connection: int
    seconds: float
    headers: dict[str, str]

    @property
    def json(self) -> Any:
        """The body of a good answer, as data."""
        assert self.status == 200, self
        return json.loads(self.body)


def ask(
    host: Host, path: str, *urls: str, lanes: int = 1, keep: bool = False, headers: dict[str, str] | None = None
) -> list[Answer]:
    """GET the URLs one after the other, in that many lanes at once, each request on its own connection or not."""
    program = Path(__file__).read_text()
    plan = json.dumps({"path": path, "urls": urls, "lanes": lanes, "keep": keep, "headers": headers or {}})
    result = host.run("python3 -c %s %s", program, plan)
    assert result.rc == 0, result.stderr
    return [Answer(**answer) for answer in json.loads(result.stdout)]


class Connection(http.client.HTTPConnection):
    """HTTP over a unix socket, which counts how often it had to connect."""

    opened = 0

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=PATIENCE_SECONDS)
        self.path = path

    def connect(self) -> None:
        """Connect to the socket instead of a port."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)
        self.opened += 1


def send(connection: Connection, lane: int, url: str, headers: dict[str, str]) -> Answer:
    """Send one request."""
    begin = time.monotonic()
    got: dict[str, str] = {}
    try:
        connection.request("GET", url, headers=headers)
        response = connection.getresponse()
        status, body = response.status, response.read().decode()
        got = {name.lower(): value for name, value in response.getheaders()}
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        status, body = 0, repr(error)
    return Answer(status, body, lane, connection.opened, time.monotonic() - begin, got)


def main(path: str, urls: list[str], lanes: int, keep: bool, headers: dict[str, str]) -> list[Answer]:
    """Be so many clients at once."""
    answers: list[Answer] = []
    together = threading.Barrier(lanes)

    def client(lane: int) -> None:
        connection = Connection(path)
        together.wait()
        for url in urls:
            answers.append(send(connection, lane, url, headers))
            if not keep:
                connection.close()

    threads = [threading.Thread(target=client, args=[lane]) for lane in range(lanes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


if __name__ == "__main__":
    print(json.dumps([dataclasses.asdict(answer) for answer in main(**json.loads(sys.argv[1]))]))
