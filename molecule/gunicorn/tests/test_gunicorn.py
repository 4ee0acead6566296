"""What the gunicorn role promises, asked of instances that run what it wrote.

An instance is a transient unit of systemd here: that waits for READY, and keeps no more of it than the test needs.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from testinfra.backend.base import CommandResult
from testinfra.host import Host

from probe import until
from socket_client import Answer, ask

LOG_UNITS = "test-*"

# As converge.yml has it for the release `tuned`.
WORKERS, THREADS, TIMEOUT_SECONDS, KEEPALIVE_SECONDS = 3, 2, 2, 4
MAX_REQUESTS, JITTER = 10, 20


class Instance:
    """A release that is served on a socket of its own."""

    def __init__(self, host: Host, release: str, name: str) -> None:
        self.host, self.release, self.unit = host, release, f"test-{name}"
        self.folder = f"/run/{self.unit}"
        self.socket = f"{self.folder}/app.sock"

    def start(self, *, command: str = "", **environment: str) -> CommandResult:
        """Start it; returns when it is ready or has failed."""
        properties = {
            "Type": "notify",
            "NotifyAccess": "all",
            "KillMode": "mixed",
            "RuntimeDirectory": self.unit,
            "TimeoutStartSec": "20",
            "WorkingDirectory": "/srv/home",
        }
        options = [f"--property={name}={value}" for name, value in properties.items()]
        options += [f"--setenv={name}='{value}'" for name, value in environment.items()]
        return self.host.run(
            f"systemd-run --quiet --collect --unit={self.unit} --uid=site {' '.join(options)} "
            + (command or f"/srv/{self.release}/bin/serve {self.socket}")
        )

    def stop(self) -> None:
        """Stop it as a process manager does: SIGTERM to the main process."""
        self.host.run("systemctl stop %s", self.unit)

    def ask(self, *urls: str, lanes: int = 1, keep: bool = False) -> list[Answer]:
        """Send requests over its socket."""
        return ask(self.host, self.socket, *urls, lanes=lanes, keep=keep)

    def kill(self) -> None:
        """End it at once, for a test that is not about its end."""
        self.host.run("systemctl kill --signal=KILL %s", self.unit)
        self.stop()

    @property
    def main(self) -> int:
        """Its main process."""
        return int(self.host.check_output("systemctl show -P MainPID %s", self.unit))

    @property
    def workers(self) -> set[int]:
        """Its worker processes."""
        return {int(pid) for pid in self.host.run(f"pgrep --parent {self.main}").stdout.split()}

    @property
    def log(self) -> str:
        """What it wrote since its last start."""
        invocation = self.host.check_output("systemctl show -P InvocationID %s", self.unit)
        match = f"_SYSTEMD_INVOCATION_ID={invocation}" if invocation else f"--unit={self.unit}"
        return self.host.check_output(f"journalctl --output=cat --no-pager {match}")


@contextlib.contextmanager
def running(host: Host, release: str, name: str, **environment: str) -> Iterator[Instance]:
    """Run an instance for a while."""
    instance = Instance(host, release, name)
    started = instance.start(**environment)
    try:
        assert started.succeeded, started.stderr + instance.log
        yield instance
    finally:
        instance.kill()


@pytest.fixture(scope="module")
def plain(host: Host) -> Iterator[Instance]:
    """An instance with the role's own settings, for the tests that leave it as it is."""
    with running(host, "plain", "plain") as instance:
        yield instance


@pytest.fixture
def tuned(host: Host) -> Iterator[Instance]:
    """An instance with the settings of converge.yml, to be mistreated."""
    with running(host, "tuned", "tuned") as instance:
        yield instance


def cores(host: Host) -> int:
    """How many the server has."""
    return int(host.check_output("nproc"))


def work(instance: Instance, lanes: int) -> list[dict[str, Any]]:
    """Send requests that take a while, so many at once; return who worked on each, from when to when."""
    return [answer.json for answer in instance.ask("/work?0.25", lanes=lanes)]


def most_at_once(works: list[dict[str, Any]]) -> int:
    """Return how many were being worked on in the busiest moment."""
    return max(sum(one["begin"] <= at["begin"] < one["end"] for one in works) for at in works)


# --- Serving


def test_it_serves_on_the_socket_it_is_told(plain: Instance) -> None:
    assert plain.ask("/")[0].json["pid"] in plain.workers


def test_two_instances_of_a_release_run_side_by_side(plain: Instance, host: Host) -> None:
    with running(host, "plain", "second") as second:
        assert second.ask("/")[0].json["pid"] in second.workers
        assert plain.ask("/")[0].json["pid"] in plain.workers


def test_it_can_be_started_by_hand_from_any_folder(host: Host) -> None:
    """On the bad night one types relative paths."""
    instance = Instance(host, "plain", "hand")
    instance.socket = "/srv/home/hand.sock"
    try:
        started = instance.start(command="sh -c 'exec ../plain/bin/serve hand.sock'")
        assert started.succeeded, started.stderr + instance.log
        assert instance.ask("/")[0].status == 200
    finally:
        instance.stop()
    assert not host.file(instance.socket).exists


def test_without_a_socket_it_says_what_is_missing(host: Host) -> None:
    result = host.run("runuser --user site -- /srv/plain/bin/serve")
    assert result.failed
    assert "unix socket" in result.stderr


def test_the_application_cannot_change_how_it_is_served(host: Host) -> None:
    files = host.check_output("cd /srv/plain && ls requirements.txt bin/serve bin/gunicorn.conf.py").split()
    for name in files:
        assert host.run("runuser --user site -- test -r /srv/plain/%s", name).succeeded
        assert host.run("runuser --user site -- test -w /srv/plain/%s", name).failed
        assert host.run("runuser --user nobody -- test -r /srv/plain/%s", name).failed


def test_nothing_but_the_told_socket_is_opened(plain: Instance, host: Host) -> None:
    """Gunicorn would open a control socket in the home of its user, once its first workers are started."""
    host.check_output("systemctl kill --kill-whom=main --signal=USR1 %s", plain.unit)
    until(lambda: "Handling signal: usr1" in plain.log, "the main process is past its start")
    listening = host.check_output("ss --no-header --listening --processes --unix --tcp").splitlines()
    pids = {plain.main, *plain.workers}
    own = [line.split()[4] for line in listening if any(f"pid={pid}," in line for pid in pids)]
    assert own == [plain.socket]


# --- Concurrency


def test_workers_follow_the_cores(plain: Instance, host: Host) -> None:
    until(
        lambda: len(plain.workers) == min(2 * cores(host), 12),
        "two workers for each core, at most 12",
    )


@pytest.mark.once
def test_every_thread_of_every_worker_serves_at_once(plain: Instance, host: Host) -> None:
    """Requests come until all threads have one: which worker accepts how many is chance, and seldom fair."""
    capacity = min(2 * cores(host), 12) * 4

    def busy() -> int:
        return int(host.check_output(f"find {plain.folder} -name 'waiting-*' | wc -l"))

    with ThreadPoolExecutor(max_workers=50) as background:

        def all_busy_if_more_come() -> bool:
            background.submit(plain.ask, "/wait", lanes=capacity)
            return busy() == capacity

        try:
            until(all_busy_if_more_come, f"{capacity} requests are being worked on at once")
        finally:
            host.run("touch %s/enough", plain.folder)


def test_a_connection_is_kept_for_further_requests(plain: Instance) -> None:
    answers = plain.ask(*["/"] * 5, keep=True)
    assert {answer.connection for answer in answers} == {1}
    assert len({answer.json["pid"] for answer in answers}) == 1


def test_heartbeats_touch_no_disk(plain: Instance, host: Host) -> None:
    """A worker whose heartbeat waits for a busy disk is killed."""
    for worker in plain.workers:
        files = host.check_output(f"find /proc/{worker}/fd -lname '*/wgunicorn-*' -printf '%p %l\\n'")
        descriptor, path = files.splitlines()[0].split()[:2]
        assert path.startswith("/dev/shm/")
        assert host.check_output(f"stat --dereference --file-system --format=%T {descriptor}") == "tmpfs"


def test_what_the_application_prints_is_logged_at_once(plain: Instance) -> None:
    plain.ask("/say?ahoy")
    until(lambda: "ahoy" in plain.log.splitlines(), "the line is in the log")


# --- Readiness


@pytest.mark.once
def test_ready_means_that_the_application_is_loaded(host: Host) -> None:
    """Whoever waits for READY may send traffic at once."""
    with running(host, "plain", "slow", IMPORT_SECONDS="2") as slow:
        assert host.file(f"{slow.folder}/imported").exists
        (answer,) = slow.ask("/")
    assert answer.seconds < 1


def test_an_application_that_does_not_load_is_never_ready(host: Host) -> None:
    """The start fails, and the traceback is in the log."""
    instance = Instance(host, "plain", "broken")
    reason = f"no such luck at {time.time()}"  # the log keeps those of earlier runs
    assert instance.start(IMPORT_ERROR=reason).failed
    assert f"RuntimeError: {reason}" in instance.log


def test_it_serves_where_nobody_listens_for_ready(host: Host) -> None:
    """Another process manager leaves the variable unset, or one that has gone leaves it behind."""
    with running(host, "plain", "lonely") as lonely:
        socket = f"{lonely.folder}/two.sock"
        host.check_output(
            f"systemd-run --quiet --collect --unit=test-deaf --uid=site --setenv=NOTIFY_SOCKET=/run/nobody "
            f"--setenv=RUNTIME_DIRECTORY={lonely.folder} /srv/plain/bin/serve {socket}"
        )
        try:
            until(lambda: ask(host, socket, "/")[0].status == 200, "it answers")
        finally:
            host.run("systemctl kill --signal=KILL test-deaf; systemctl stop test-deaf")


# --- Workers come and go


@pytest.mark.once
def test_a_worker_is_replaced_after_so_many_requests_and_none_is_lost(tuned: Instance) -> None:
    """Each after another number of requests, so that they do not all go at once."""
    lanes = 4
    answers = tuned.ask(*["/"] * 100, lanes=lanes)
    assert [answer for answer in answers if answer.status != 200] == []
    served = Counter(answer.json["pid"] for answer in answers)
    gone = [count for pid, count in served.items() if pid not in tuned.workers]
    assert len(gone) >= 400 // (MAX_REQUESTS + JITTER + lanes) - WORKERS
    assert min(gone) >= MAX_REQUESTS
    assert max(gone) <= MAX_REQUESTS + JITTER + lanes  # a worker that goes ends what it has accepted
    assert max(gone) > MAX_REQUESTS + lanes, "no jitter"


@pytest.mark.once
def test_kept_connections_survive_the_replacement_of_their_worker(tuned: Instance) -> None:
    """The worker says `Connection: close` before it goes: a client never meets a closed one."""
    answers = tuned.ask(*["/"] * 100, lanes=4, keep=True)
    assert [answer for answer in answers if answer.status != 200] == []
    assert max(answer.connection for answer in answers) > 1


@pytest.mark.once
def test_a_killed_worker_is_replaced(tuned: Instance, host: Host) -> None:
    until(lambda: len(tuned.workers) == WORKERS, "all workers run")
    victim = min(tuned.workers)
    host.check_output(f"kill -9 {victim}")
    until(
        lambda: victim not in tuned.workers and len(tuned.workers) == WORKERS,
        "another took its place",
    )
    assert tuned.ask("/")[0].status == 200


@pytest.mark.once
def test_a_worker_that_hangs_is_replaced(tuned: Instance, host: Host) -> None:
    until(lambda: len(tuned.workers) == WORKERS, "all workers run")
    hanging = min(tuned.workers)
    host.check_output(f"kill -STOP {hanging}")
    until(
        lambda: hanging not in tuned.workers and len(tuned.workers) == WORKERS,
        "another took its place",
        TIMEOUT_SECONDS + 6,  # it is looked for once a second, and asked to end (SIGABRT) before it is made to
    )


@pytest.mark.once
def test_a_slow_request_is_no_hanging_worker(tuned: Instance) -> None:
    """With threads a worker reports while its requests run."""
    assert tuned.ask(f"/work?{TIMEOUT_SECONDS + 2}")[0].status == 200


@pytest.mark.once
def test_a_stop_lets_running_requests_end(host: Host) -> None:
    with running(host, "plain", "stopped") as instance, ThreadPoolExecutor() as background:
        request = background.submit(instance.ask, "/work?2")
        until(lambda: host.file(f"{instance.folder}/working").exists, "the request is being worked on")
        instance.stop()
        assert request.result()[0].status == 200


@pytest.mark.once
def test_a_stop_waits_no_longer_than_it_was_told(tuned: Instance, host: Host) -> None:
    with ThreadPoolExecutor() as background:
        request = background.submit(tuned.ask, "/work?15")
        until(lambda: host.file(f"{tuned.folder}/working").exists, "the request is being worked on")
        tuned.stop()
        (answer,) = request.result()
    assert (answer.status, answer.seconds < 10) == (0, True)


# --- Variables


@pytest.mark.once
def test_counts_of_workers_and_threads_are_the_user_s(tuned: Instance) -> None:
    until(lambda: len(tuned.workers) == WORKERS, "all workers run")
    works = work(tuned, WORKERS * THREADS + 1)  # at least one worker has more of them than threads
    by_worker = [[one for one in works if one["pid"] == pid] for pid in {one["pid"] for one in works}]
    assert max(most_at_once(own) for own in by_worker) == THREADS


@pytest.mark.once
def test_an_idle_connection_is_closed_after_the_told_time(tuned: Instance, host: Host) -> None:
    wait = (
        "import socket, sys, time; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.settimeout(20);"
        "s.sendall(b'GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n'); answer = s.makefile('rb');"
        "list(iter(lambda: answer.read(1), b'}')); begin = time.monotonic();"
        "assert answer.read() == b''; print(time.monotonic() - begin)"
    )
    idle = float(host.check_output("python3 -c %s %s", wait, tuned.socket))
    assert KEEPALIVE_SECONDS - 0.1 <= idle < KEEPALIVE_SECONDS + 2


@pytest.mark.once
def test_any_setting_of_gunicorn_s_can_be_given(tuned: Instance) -> None:
    """Of any type: numbers, nothing, and texts and truths inside of mappings."""
    assert tuned.ask("/" + "x" * 100)[0].status == 414
    assert 'it\'s "tuned" ✓: Starting gunicorn 27.0.1' in tuned.log.splitlines()
