"""Asks applications on a server, without an edge: what they answer on their sockets, and what is known of their releases."""

from __future__ import annotations

import json
from typing import Any

from testinfra.host import Host

# The server has no curl, and needs none: one request over a socket, the status and the body on two lines.
REQUEST = """
import http.client, socket, sys
path, method, url, body = sys.argv[1:]
c = http.client.HTTPConnection("localhost", timeout=10)
c.sock = socket.socket(socket.AF_UNIX); c.sock.connect(path)
c.request(method, url, body.encode() or None)
r = c.getresponse(); print(r.status); print(r.read().decode())
"""


def ask(host: Host, application: str, url: str = "/", method: str = "GET", body: str = "") -> tuple[int, str]:
    """Send a request to an application's socket, as the edge does."""
    argv = f"/run/{application}/app.sock", method, url, body
    result = host.run("python3 -c %s %s %s %s %s", REQUEST, *argv)
    if result.rc != 0:
        return 0, result.stderr
    status, _, text = result.stdout.partition("\n")
    return int(status), text.strip()


def answer(host: Host, application: str) -> Any:
    """Return what an application says of itself."""
    status, text = ask(host, application)
    assert status == 200, text
    return json.loads(text)


def active(host: Host, application: str) -> str:
    """Return the id of the release that answers."""
    return host.check_output("basename $(readlink /srv/%s/current)", application)


def record(host: Host, application: str, release: str) -> dict[str, Any]:
    """Return what is known of a release."""
    known: dict[str, Any] = json.loads(host.file(f"/srv/{application}/releases/{release}/release.json").content_string)
    return known
