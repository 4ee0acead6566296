"""The gate: a release starts on its own socket, and gets no visitor before it answers there."""

from __future__ import annotations

import http.client
import socket
import time
from pathlib import Path
from typing import NamedTuple

from ansible_collections.slipway.flask.plugins.module_utils.engine import database
from ansible_collections.slipway.flask.plugins.module_utils.engine.errors import ReleaseError, read_only
from ansible_collections.slipway.flask.plugins.module_utils.engine.record import Release, complaint
from ansible_collections.slipway.flask.plugins.module_utils.engine.traffic import POLL_SECONDS, Traffic

# What bin/gunicorn.conf.py and bin/slipway_wsgi.py log where Flask's key is None or has fewer than 16 bytes.
WEAK_KEY = "slipway: the secret_key is unset or short"


class Check(NamedTuple):
    """What an instance must answer: a GET of `path` for the name `host`, below 500, within `timeout` seconds of its start."""

    path: str
    host: str
    timeout: float


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self) -> None:
        """Connect to the socket instead of a port."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


def ask(path: Path, check: Check, timeout: float) -> str:
    """Ask for the health path over a socket; return what is wrong with the answer, empty where all is well."""
    connection = UnixConnection(path, timeout)
    try:
        connection.request("GET", check.path, headers={"Host": check.host, "User-Agent": "slipway-health"})
        status = connection.getresponse().status
    except (OSError, ValueError, http.client.HTTPException) as error:  # ValueError: a path that is not ASCII
        return f"no answer ({str(error) or type(error).__name__})"
    finally:
        connection.close()
    return f"answered {status}" if status >= 500 else ""


def healthy(traffic: Traffic, release: Release, check: Check) -> str:
    """Ask the instance until it answers or the time is over; return what was wrong last."""
    deadline = time.monotonic() + check.timeout
    while True:
        left = max(1.0, deadline - time.monotonic())
        wrong = ask(traffic.socket(release.id), check, left)
        if not wrong or time.monotonic() >= deadline:
            return wrong
        # An answer that is wrong fills the log; it is asked for again less often than one that is not there yet.
        time.sleep(1 if wrong.startswith("answered") else POLL_SECONDS)


def start(traffic: Traffic, release: Release, check: Check, *, undo: bool) -> None:
    """Start the instance and wait until it is healthy. Raises ReleaseError, with nothing new left running.

    undo: whether it is brought back. One that answered before is not marked failed for not answering now.
    """
    if release.is_pages:  # its build has seen the front page
        return
    active = traffic.active
    traffic.make_run_folder(traffic.answering)
    release.note(running=True, started=int(time.time()))
    started = release.instance("start")
    wrong = complaint(started) if started.returncode else healthy(traffic, release, check)
    if not wrong:
        return
    wanted = f"It must answer GET {check.path} with a status below 500 within {check.timeout} s (app_health_timeout_seconds)."
    log = release.log
    end = f"\nIts last log lines:\n{log}"
    wanted += database.missing(release)
    begin = f"app_health_path: the release {release.id}"
    if release.id in (active, traffic.answering):
        raise ReleaseError(f"{begin} has the traffic and is not healthy: {wrong}. {wanted} It was left as it is.{end}")
    traffic.stop(release)
    stopped = f"It was stopped; the release that was active before still is. {release.by_hand(traffic.user)}"
    message = f"{begin} did not come up: {wrong}. {wanted} {stopped}{end}{read_only(log, release.path / 'code')}"
    raise ReleaseError(message) if undo else release.fail(message)


def weak_key(release: Release) -> str:
    """Return what to say where a running release has a secret key that can be guessed; empty where it has none such."""
    if release.is_pages or WEAK_KEY not in release.log:
        return ""
    return (
        "The application's secret_key is unset or shorter than 16 bytes: sessions fail, or a visitor can forge them. Set it in the application, "
        "app.config['SECRET_KEY'] = os.environ['SECRET_KEY']; the server makes a good one where app_env has none."
    )
