"""Applications on a server without an edge: deploys them, asks them on their sockets, and tells what is known of releases."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

from testinfra.host import Host

from probe import ROOT, play, said

PLAYBOOKS = ROOT / "molecule/shared/one_application"

# The server has no curl, and needs none: one request over a socket, the status and the body on two lines.
REQUEST = """
import http.client, socket, sys
path, method, url, body = sys.argv[1:]
c = http.client.HTTPConnection("localhost", timeout=120)  # only a failure takes so long
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


GOOD = """
from flask import Flask
app = Flask(__name__)
@app.get("/")
def index():
    return {"version": VERSION}
"""


class Deploys:
    """Deploys of the application `changing` from a folder that a test may change.

    provisioned: names of applications that were deployed before, in any test.
    """

    provisioned: ClassVar[set[str]] = set()

    def __init__(self, host: Host, source: Path) -> None:
        self.host, self.source = host, source

    def run(self, *arguments: str, **variables: Any) -> tuple[int, str]:
        """Deploy as playbooks/ would; return the exit code and all that was said."""
        given: dict[str, Any] = {
            "app_name": "changing",
            "app_source": str(self.source),
            "app_module": "main:app",
            "app_server": "granian",
            "app_build_packages": [],
            "app_shared_dirs": ["data/notes"],
            "app_health_timeout_seconds": 120,  # only a failure takes so long
            "granian_graceful_timeout_seconds": 2,  # a request that hangs is waited for no longer
            **variables,
        }
        # A server is provisioned once, as with playbooks/deploy.yml.
        given["provision"] = given["app_name"] not in self.provisioned
        result = play(PLAYBOOKS / "again.yml", *arguments, **given)
        if result.returncode == 0 and "--check" not in arguments:
            self.provisioned.add(given["app_name"])
        return result.returncode, said(result)

    def roll_back(self, *arguments: str, **variables: Any) -> tuple[int, str]:
        """Roll back; return the exit code and all that was said."""
        given = {"app_name": "changing", "app_health_timeout_seconds": 120, **variables}
        result = play(PLAYBOOKS / "rollback.yml", *arguments, **given)
        return result.returncode, said(result)

    def write(self, text: str, name: str = "main.py") -> None:
        """Change a file of the application."""
        (self.source / name).write_text(text)
