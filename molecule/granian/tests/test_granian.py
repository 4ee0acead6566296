"""What the granian role promises in addition to what every app server does (molecule/shared/app_servers)."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

from instances import Instance, cores, most_at_once, running, work
from probe import play, said, until
from socket_client import Answer

LOG_UNITS = "test-*"
SCENARIO = Path(__file__).parents[1]

# As converge.yml has it for the release `tuned`.
THREADS, BACKPRESSURE, LIFETIME_SECONDS = 2, 3, 60


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


# --- Concurrency


def test_workers_follow_the_cores(plain: Instance, host: Host) -> None:
    until(lambda: len(plain.workers) == max(cores(host), 2), "one for each core, at least two")


def test_every_thread_of_every_worker_serves_at_once(host: Host) -> None:
    """Requests come until all threads have one: which worker accepts how many is chance."""
    capacity = max(cores(host), 2) * max(cores(host) * 2, 4)
    with running(host, "plain", "busy") as busy, ThreadPoolExecutor(max_workers=50) as background:

        def all_busy_if_more_come() -> bool:
            background.submit(busy.ask, "/wait", lanes=capacity)
            return busy.waiting().total() == capacity

        try:
            until(all_busy_if_more_come, f"{capacity} requests are being worked on at once")
        finally:
            busy.enough()


def test_counts_of_workers_and_threads_are_the_user_s(tuned: Instance) -> None:
    assert len(tuned.workers) == 1
    assert most_at_once(work(tuned, THREADS + 1, lambda busy: busy.total() >= THREADS)) == THREADS


def test_a_connection_is_kept_for_further_requests(plain: Instance) -> None:
    answers = plain.ask(*["/"] * 5, keep=True)
    assert {answer.connection for answer in answers} == {1}
    assert len({answer.json["pid"] for answer in answers}) == 1


def test_a_worker_takes_so_many_connections_and_no_more(tuned: Instance, host: Host) -> None:
    """A connection that is kept does not wait; the others wait in the kernel's queue."""
    # The kernel hands connections over in the order in which they came: those that are held have their places first.
    hold_and_ask = (
        "import socket, sys\n"
        "*held, asking = (socket.socket(socket.AF_UNIX) for _ in range(int(sys.argv[2]) + 1))\n"
        "for one in *held, asking: one.connect(sys.argv[1])\n"
        "asking.settimeout(float(sys.argv[3]))\n"
        "asking.sendall(b'GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n')\n"
        "try: print(asking.recv(12).decode())\n"
        "except TimeoutError: print('waits')\n"
        "for one in held: one.close()\n"
        "asking.settimeout(60)\n"
        "print(asking.recv(12).decode())\n"
    )
    ask = f"python3 -c %s {tuned.socket}"
    assert host.check_output(f"{ask} {BACKPRESSURE - 1} 60", hold_and_ask).splitlines()[0] == "HTTP/1.1 200"
    assert host.check_output(f"{ask} {BACKPRESSURE + 1} 3", hold_and_ask).splitlines() == ["waits", "HTTP/1.1 200"]


def test_so_many_connections_may_wait(plain: Instance, host: Host) -> None:
    assert host.check_output(f"ss --no-header --listening --unix src {plain.socket}").split()[3] == "1024"


# --- Workers come and go


def test_a_worker_that_dies_again_and_again_ends_the_instance(tuned: Instance, host: Host) -> None:
    """So that the process manager, which waits between two starts, takes over."""
    # On the server: Granian gives up where the next one dies within seconds of its start.
    kill = (
        f"while systemctl --quiet is-active {tuned.unit}; do pkill --signal KILL --parent {tuned.main}; sleep 0.1; done"
    )
    host.check_output("timeout 60 sh -c %s", kill)


def test_a_worker_that_is_too_large_is_replaced_and_no_request_is_lost(host: Host) -> None:
    with running(host, "large", "large") as large:
        first = min(large.workers)
        answers: list[Answer] = []

        def another_answers() -> bool:
            answers.extend(large.ask(*["/sleep?0.1"] * 40, lanes=2))
            return any(answer.json["pid"] != first for answer in answers)

        until(another_answers, "another worker answers")
    assert [answer for answer in answers if answer.status != 200] == []


def test_a_worker_has_the_age_it_may_have(host: Host) -> None:
    """Granian takes no less than a minute, which is more than a test should wait."""
    with running(host, "tuned", "old") as old:
        command = host.check_output(f"tr '\\0' ' ' < /proc/{old.main}/cmdline")
    assert f"--workers-lifetime {LIFETIME_SECONDS} " in command


# --- Options of Granian's own


def test_any_option_of_granian_s_can_be_given(tuned: Instance) -> None:
    """A text, a switch, a list; in Granian's spelling or in Ansible's."""
    answers = tuned.ask("/", "/two/application.py", keep=True)
    assert [answer.connection for answer in answers] == [1, 2]
    assert "An application that tells who serves it" in answers[1].body
    until(lambda: 'it\'s "tuned" ✓ /' in tuned.log, "requests are logged")


def test_it_logs_what_is_asked_for(tuned: Instance, plain: Instance) -> None:
    assert "Listening at" in plain.log
    assert "Listening at" not in tuned.log


# --- Arguments


def test_what_cannot_work_is_refused_before_anything_changes(host: Host) -> None:
    """All of it at once, each with the reason."""
    settings = {"uds_permissions": 511, "--workers": 3}
    wrong: list[tuple[str, Any, str]] = [
        ("granian_workers", 0, "granian_workers, granian_blocking_threads, granian_backlog: 0, 4 and 1024."),
        ("granian_backpressure", 2, "granian_backpressure: 2 connections are too few for 4 threads"),
        ("granian_graceful_timeout_seconds", 0, "granian_graceful_timeout_seconds: 0 is not between 1 and 1800"),
        ("granian_workers_lifetime_seconds", 59, "granian_workers_lifetime_seconds: 59 is too short"),
        ("granian_workers_max_rss_mb", -1, "granian_workers_max_rss_mb: -1 is not a size"),
        ("granian_settings", settings, "granian_settings: uds-permissions cannot be set"),
        ("granian_settings", settings, "granian_settings: --workers cannot name an option"),
    ]
    result = play(SCENARIO / "refused.yml", **{name: value for name, value, _ in wrong})
    assert result.returncode != 0
    assert [complaint for _, _, complaint in wrong if complaint not in said(result)] == [], said(result)
    assert not host.file("/srv/refused/requirements.txt").exists
