"""The gate: what an instance has to answer, and what becomes of one that does not."""

from __future__ import annotations

import contextlib
import http.server
import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible_collections.slipway.flask.plugins.module_utils.engine import database, files, gate
from ansible_collections.slipway.flask.plugins.module_utils.engine.errors import ReleaseError
from ansible_collections.slipway.flask.plugins.module_utils.engine.gate import Check
from ansible_collections.slipway.flask.plugins.modules import release_start

from engine.host import NEW, OLD, PATIENCE_SECONDS, USER, Host, RunModule, asked

CHECK = Check("/health", "site.test", PATIENCE_SECONDS)
AT_ONCE = CHECK._replace(timeout=0)
LAST_WORDS = '[ "$1" != log ] || echo "the last words"'


class Instance(socketserver.ThreadingUnixStreamServer):
    """An application behind a socket: it answers one status after the other, and the last one ever after.

    headers: what else is in its answers.
    """

    daemon_threads = True

    def __init__(self, path: Path, statuses: list[int]) -> None:
        self.statuses, self.asked, self.headers = statuses, list[tuple[str, str | None]](), dict[str, str]()
        super().__init__(str(path), Handler)


class Handler(http.server.BaseHTTPRequestHandler):
    """Its answers."""

    server: Instance

    def do_GET(self) -> None:
        """Answer, without a body."""
        self.server.asked.append((self.path, self.headers["Host"]))
        self.send_response(self.server.statuses.pop(0) if len(self.server.statuses) > 1 else self.server.statuses[0])
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def serving(path: Path, *statuses: int) -> Iterator[Instance]:
    """Serve on a socket in the meantime."""
    with Instance(path, list(statuses)) as instance:
        thread = threading.Thread(target=instance.serve_forever, args=[0.01])
        thread.start()
        try:
            yield instance
        finally:
            instance.shutdown()
            thread.join()


@pytest.mark.parametrize("status", [200, 302, 404])
def test_an_instance_that_answers_below_500_is_healthy(host: Host, status: int) -> None:
    site, release = host.traffic(), host.release(NEW)
    with serving(site.socket(NEW), status) as instance:
        gate.start(site, release, CHECK, undo=False)
    assert instance.asked == [("/health", "site.test")]
    assert asked(release) == ["start"]
    assert release.record["running"] is True
    assert release.record["state"] == "built"


def test_it_is_asked_until_it_answers(host: Host) -> None:
    """First there is no socket yet, then it is not ready."""
    site, release = host.traffic(), host.release(NEW)
    may_serve, ended = threading.Event(), threading.Event()

    def late() -> None:
        may_serve.wait(PATIENCE_SECONDS)
        with serving(site.socket(NEW), 503, 200):
            ended.wait(PATIENCE_SECONDS)

    thread = threading.Thread(target=late)
    thread.start()
    assert gate.ask(site.socket(NEW), CHECK, 1).wrong == "no answer ([Errno 2] No such file or directory)"
    may_serve.set()
    try:
        gate.start(site, release, CHECK, undo=False)
    finally:
        ended.set()
        thread.join()
    assert asked(release) == ["start"]


def test_one_that_answers_500_and_above_is_stopped_and_marked_failed(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, release = host.traffic(), host.release(NEW, instance=LAST_WORDS)
    # Its time is over once it was asked, however long the answer took.
    monkeypatch.setattr(gate, "time", SimpleNamespace(monotonic=iter([0.0, 0.0, 1e9]).__next__, time=time.time))
    with serving(site.socket(NEW), 503), pytest.raises(ReleaseError) as error:
        gate.start(site, release, CHECK, undo=False)
    first, *rest = str(error.value).splitlines()
    assert first.startswith(
        f"app_health_path: the release {NEW} did not come up: answered 503. It must answer GET /health"
    )
    assert "(app_health_timeout_seconds). It was stopped; the release that was active before still is." in first
    assert first.endswith(f" sudo -u {USER} {release.path}/bin/run COMMAND")
    assert rest == ["Its last log lines:", "the last words"]
    assert "stop" in asked(release)
    assert (release.record["state"], release.record["running"]) == ("failed", False)
    assert site.others() == []


READ_ONLY = "OSError: [Errno 30] Read-only file system: "


@pytest.mark.parametrize(
    ("log", "advice"),
    [
        (f"{READ_ONLY}'{{code}}/app/uploads/a.png'", 'Add "app/uploads" to them.'),
        (f"{READ_ONLY}'{{code}}/instance'", 'Add "instance" to them.'),
        ("PermissionError: [Errno 13] Permission denied: 'data/x.db'", 'Add "data" to them.'),
        (f"{READ_ONLY}'{{code}}/app.log'", "If it wants to write a file, add the file's folder"),
        (f"{READ_ONLY}'/var/log/app.log'", "If it wants to write a file, add the file's folder"),
        (
            "sqlite3.OperationalError: unable to open database file",
            "If it wants to write a file, add the file's folder",
        ),
        (
            "sqlite3.OperationalError: attempt to write a readonly database",
            "If it wants to write a file, add the file's folder",
        ),
        ("ModuleNotFoundError: No module named 'x'", ""),
    ],
)
def test_one_that_may_not_write_names_the_folder_to_share(host: Host, log: str, advice: str) -> None:
    code = host.home / "releases" / NEW / "code"
    log = log.replace("{code}", str(code))
    release = host.release(NEW, instance=f'[ "$1" != log ] || echo "{log}"')
    with pytest.raises(ReleaseError) as error:
        gate.start(host.traffic(), release, AT_ONCE, undo=False)
    last = str(error.value).splitlines()[-1]
    if advice:
        assert last.startswith("app_shared_dirs: the application may write only to the folders that are named there. ")
        assert advice in last
    else:
        assert last == log


def test_a_secret_key_that_can_be_guessed_is_warned_of_however_much_is_logged(host: Host) -> None:
    site, release = host.traffic(), host.release(NEW, instance='[ "$1" != log ] || seq 1000')
    with serving(site.socket(NEW), 200) as instance:
        assert gate.start(site, release, CHECK, undo=False) == ""
        instance.headers = {gate.WEAK_KEY.lower(): "unset or short"}  # as Granian writes its headers
        warning = gate.start(site, release, CHECK, undo=False)
    assert warning.startswith("The application's secret_key is unset or shorter than 16 bytes: ")


def test_one_that_accepts_and_never_answers_did_not_come_up(host: Host) -> None:
    site, release = host.traffic(), host.release(NEW)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(site.socket(NEW)))
        server.listen()
        with pytest.raises(ReleaseError, match=r"no answer \(timed out\)"):
            gate.start(site, release, AT_ONCE, undo=False)


def test_what_is_no_http_is_no_answer(host: Host) -> None:
    path = host.traffic().socket(NEW)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"hello\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        assert gate.ask(path, CHECK, PATIENCE_SECONDS).wrong == "no answer (hello\r\n)"
        thread.join()


def test_a_program_that_does_not_start_says_why(host: Host) -> None:
    failing = 'case $1 in start) echo "Unit has a bad setting." >&2; exit 1 ;; esac'
    site, release = host.traffic(), host.release(NEW, instance=failing)
    with pytest.raises(ReleaseError, match=r"did not come up: Unit has a bad setting\."):
        gate.start(site, release, CHECK, undo=False)
    assert asked(release) == ["start", "log", "stop"]
    assert release.record["reason"].startswith("app_health_path: ")


def test_one_that_is_brought_back_was_good_and_stays_so(host: Host) -> None:
    """What it needs may be down just now."""
    site, release = host.traffic(), host.release(OLD, activated=1)
    with pytest.raises(ReleaseError, match="did not come up"):
        gate.start(site, release, AT_ONCE, undo=True)
    assert release.good
    assert release.record["running"] is False


def test_the_one_that_has_the_traffic_is_left_as_it_is(host: Host) -> None:
    """It may answer some of its visitors; also where a switch was cut off, and only the edge is with it."""
    site, release = host.traffic(), host.release(NEW, activated=1)
    site.give(release)
    for current in (NEW, OLD):
        files.link(f"releases/{current}", host.home / "current")
        with pytest.raises(ReleaseError, match=r"has the traffic and is not healthy: .* It was left as it is\."):
            gate.start(site, release, AT_ONCE, undo=False)
    assert "stop" not in asked(release)
    assert release.good


def test_the_gate_leaves_the_edge_with_the_instance_that_it_has(host: Host) -> None:
    site = host.traffic()
    site.give(host.release(OLD, activated=1))
    with serving(site.socket(NEW), 200):
        gate.start(site, host.release(NEW), CHECK, undo=False)
    assert site.answering == OLD
    assert f" instances/{OLD}.sock\n" in (host.tmpfiles / "slipway-site.conf").read_text()


@pytest.mark.parametrize("path", ["/gesund heit", "/gesündheit"])
def test_a_path_that_no_request_can_have_is_the_user_s_mistake(host: Host, path: str) -> None:
    site, release = host.traffic(), host.release(NEW)
    with serving(site.socket(NEW), 200), pytest.raises(ReleaseError, match="app_health_path: "):
        gate.start(site, release, AT_ONCE._replace(path=path), undo=False)
    assert release.record["running"] is False


def test_an_active_release_that_answers_is_settled_where_no_other_runs(host: Host, run_module: RunModule) -> None:
    site, release, other = host.traffic(), host.release(NEW), host.release(OLD, running=True)
    site.give(release)
    gate = {**host.instances(), "id": NEW, "health_path": "/", "health_host": "site.test", "health_timeout": 30}
    with serving(site.socket(NEW), 200):
        beside = run_module(release_start.main, **gate)
        other.note(running=False)
        alone = run_module(release_start.main, **gate)
    assert [(result["changed"], result["settled"]) for result in (beside, alone)] == [(False, False), (False, True)]
    assert asked(release) == []


def test_the_log_is_asked_since_this_start(host: Host) -> None:
    """A release that is tried once more has the lines of its first try in the same journal."""
    failing = 'case $1 in start) echo no >&2; exit 1 ;; log) echo "since $LOG_SINCE" ;; esac'
    site, release = host.traffic(), host.release(NEW, instance=failing)
    before = int(time.time())
    with pytest.raises(ReleaseError, match=r"\nsince @\d+$") as error:
        gate.start(site, release, CHECK, undo=False)
    assert before <= int(str(error.value).rpartition("@")[2]) <= time.time()


def test_a_database_that_is_down_is_named(host: Host, tmp_path: Path) -> None:
    site, release = host.traffic(), host.release(NEW, instance="[ $1 != start ] || { echo no >&2; exit 1; }")
    (release.path / "env").write_text(f"A=1\nDATABASE_URL='postgresql:///site?host={tmp_path}'\n")
    listens = tmp_path / ".s.PGSQL.5432"
    with pytest.raises(ReleaseError) as error:
        gate.start(site, release, CHECK, undo=False)
    first = str(error.value).splitlines()[0]
    assert (
        f" The database does not answer at {listens} (No such file or directory): see `systemctl status 'postgresql@*'` there. "
        in first
    )
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(listens))
        server.listen()
        with pytest.raises(ReleaseError) as error:
            gate.start(site, release, CHECK, undo=False)
    assert "database" not in str(error.value)


@pytest.mark.parametrize("url", ["postgresql://u:p@a:5432,b:5432/x", "postgresql://u:p[@h/x", "postgresql:///x?host='"])
def test_a_url_that_cannot_be_read_hides_no_failure(host: Host, url: str) -> None:
    """Nor does what a program says in braces."""
    release = host.release(NEW, instance="[ $1 != start ] || { echo 'no {reason}' >&2; exit 1; }")
    (release.path / "env").write_text(f"DATABASE_URL={url}\n")
    with pytest.raises(ReleaseError, match=r"did not come up: no \{reason\}\."):
        gate.start(host.traffic(), release, CHECK, undo=False)
    assert release.record["state"] == "failed"


def test_a_start_that_fails_is_a_failure_whatever_it_says(host: Host) -> None:
    site = host.traffic()
    for number, (said, heard) in enumerate(
        {
            "echo its fault >&2": "its fault",
            "echo its fault": "its fault",
            ":": "it ended with code 3 and said nothing",
        }.items()
    ):
        release = host.release(f"{NEW[:-1]}{number}", instance=f"[ $1 != start ] || {{ {said}; exit 3; }}")
        with pytest.raises(ReleaseError, match=f"did not come up: {heard}. It must answer"):
            gate.start(site, release, CHECK, undo=False)
        assert release.record["state"] == "failed"


def test_a_database_on_another_host_is_named_and_another_kind_is_not_asked() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
        url = f"postgresql+psycopg://site:secret@127.0.0.1:{port}/site"
        assert f" at 127.0.0.1:{port} (Connection refused)" in database.refusal(url)
        assert "secret" not in database.refusal(url)
        server.listen()
        assert database.refusal(url) == ""
    assert database.refusal("mysql://127.0.0.1:1/site") == database.refusal("") == ""
