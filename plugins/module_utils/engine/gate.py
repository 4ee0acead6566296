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

# A header of bin/slipway_wsgi.py's to the gate alone, where Flask's key is None or has fewer than 16 bytes.
WEAK_KEY = "X-Slipway-Weak-Key"
WEAK_KEY_WARNING = (
    "The application's secret_key is unset or shorter than 16 bytes: sessions fail, or a visitor can forge them. Set it in the application, "
    "app.config['SECRET_KEY'] = os.environ['SECRET_KEY']; the server makes a good one where app_env has none."
)


class Check(NamedTuple):
    """What an instance must answer: a GET of `path` for the name `host`, below 500, within `timeout` seconds of its start."""

    path: str
    host: str
    timeout: float


class Answer(NamedTuple):
    """What an instance answered. wrong: what is wrong with it, empty where all is well. weak_key: whether it has WEAK_KEY."""

    wrong: str
    weak_key: bool = False


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


def ask(path: Path, check: Check, timeout: float) -> Answer:
    """Ask for the health path over a socket, once."""
    connection = UnixConnection(path, timeout)
    try:
        connection.request("GET", check.path, headers={"Host": check.host, "User-Agent": "slipway-health"})
        response = connection.getresponse()
    except (OSError, ValueError, http.client.HTTPException) as error:  # ValueError: a path that is not ASCII
        return Answer(f"no answer ({str(error) or type(error).__name__})")
    finally:
        connection.close()
    wrong = f"answered {response.status}" if response.status >= 500 else ""
    return Answer(wrong, WEAK_KEY in response.headers)


class State(NamedTuple):
    """answers: it has the traffic, and answers. settled: and no other is running."""

    answers: bool
    settled: bool


def look(traffic: Traffic, release: Release, check: Check) -> State:
    """Return how a release is that may have the traffic."""
    active = traffic.active == release.id
    answers = active and (release.is_pages or not ask(traffic.socket(release.id), check, 10).wrong)
    return State(answers, answers and not traffic.others(release.id))


def healthy(traffic: Traffic, release: Release, check: Check) -> Answer:
    """Ask the instance until it answers well or the time is over; return its last answer."""
    deadline = time.monotonic() + check.timeout
    while True:
        left = max(1.0, deadline - time.monotonic())
        answer = ask(traffic.socket(release.id), check, left)
        if not answer.wrong or time.monotonic() >= deadline:
            return answer
        pause = 1 if answer.wrong.startswith("answered") else POLL_SECONDS
        time.sleep(pause)  # an answer that is wrong fills the log: it is asked for again less often


def start(traffic: Traffic, release: Release, check: Check, *, undo: bool) -> str:
    """Start the instance and wait until it is healthy; return what to warn of. Raises ReleaseError, with nothing new left running.

    undo: whether it is brought back. One that answered before is not marked failed for not answering now.
    """
    if release.is_pages:  # its build has seen the front page
        return ""
    active = traffic.active
    traffic.make_run_folder(traffic.answering)
    release.note(running=True, started=int(time.time()))
    started = release.instance("start")
    answer = Answer(complaint(started)) if started.returncode else healthy(traffic, release, check)
    wrong = answer.wrong
    if not wrong:
        return WEAK_KEY_WARNING if answer.weak_key else ""
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
