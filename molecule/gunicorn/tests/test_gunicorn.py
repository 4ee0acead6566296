"""What the gunicorn role promises in addition to what every app server does (molecule/shared/app_servers)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from testinfra.host import Host

from instances import Instance, cores, most_at_once, running, work
from probe import until

LOG_UNITS = "test-*"

# As converge.yml has it for the release `tuned`.
WORKERS, THREADS, KEEPALIVE_SECONDS = 3, 2, 4
MAX_REQUESTS, JITTER = 10, 20


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


# --- Serving


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
        lambda: len(plain.workers) == min(max(cores(host), 2), 12),
        "a worker for each core, 2 at least and 12 at most",
    )


def test_every_thread_of_every_worker_serves_at_once(plain: Instance, host: Host) -> None:
    """Requests come until all threads have one: which worker accepts how many is chance, and seldom fair."""
    capacity = min(max(cores(host), 2), 12) * 4

    with ThreadPoolExecutor(max_workers=50) as background:

        def all_busy_if_more_come() -> bool:
            background.submit(plain.ask, "/wait", lanes=capacity)
            return plain.waiting().total() == capacity

        try:
            until(all_busy_if_more_come, f"{capacity} requests are being worked on at once")
        finally:
            plain.enough()


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


# --- Workers come and go


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


def test_kept_connections_survive_the_replacement_of_their_worker(tuned: Instance) -> None:
    """The worker says `Connection: close` before it goes: a client never meets a closed one."""
    answers = tuned.ask(*["/"] * 100, lanes=4, keep=True)
    assert [answer for answer in answers if answer.status != 200] == []
    assert max(answer.connection for answer in answers) > 1


def test_a_worker_that_hangs_is_replaced_and_one_with_a_slow_request_is_not(tuned: Instance, host: Host) -> None:
    """With threads a worker reports while its requests run."""
    until(lambda: len(tuned.workers) == WORKERS, "all workers run")
    with ThreadPoolExecutor() as background:
        request = background.submit(tuned.ask, "/wait")
        try:
            until(tuned.waiting, "the request is being worked on")
            (busy,) = tuned.waiting()
            hanging = min(tuned.workers - {busy})
            host.check_output(f"kill -STOP {hanging}")
            # The request has run for longer than gunicorn_timeout_seconds by then.
            until(
                lambda: hanging not in tuned.workers and len(tuned.workers) == WORKERS,
                "another took the place of the one that hangs",
            )
        finally:
            tuned.enough()
        assert request.result()[0].json["pid"] == busy
    assert "\ntimeout = 8\n" in host.file("/srv/tuned/bin/gunicorn.conf.py").content_string
    until(lambda: f"WORKER TIMEOUT (pid:{hanging})" in tuned.log, "Gunicorn says why")
    assert f"WORKER TIMEOUT (pid:{busy})" not in tuned.log


# --- Variables


def test_counts_of_workers_and_threads_are_the_user_s(tuned: Instance) -> None:
    until(lambda: len(tuned.workers) == WORKERS, "all workers run")
    # At least one worker has more of them than threads.
    works = work(tuned, WORKERS * THREADS + 1, lambda busy: max(busy.values(), default=0) >= THREADS)
    by_worker = [[one for one in works if one["pid"] == pid] for pid in {one["pid"] for one in works}]
    assert max(most_at_once(own) for own in by_worker) == THREADS


def test_an_idle_connection_is_closed_after_the_told_time(tuned: Instance, host: Host) -> None:
    """And not before it. That the time is the user's, and not the role's own, its configuration says."""
    assert f"\nkeepalive = {KEEPALIVE_SECONDS}\n" in host.file("/srv/tuned/bin/gunicorn.conf.py").content_string
    wait = (
        "import socket, sys, time; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.settimeout(120);"
        "begin = time.monotonic(); s.sendall(b'GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n');"
        "assert s.makefile('rb').read().endswith(b'}'); print(time.monotonic() - begin)"
    )
    assert float(host.check_output("python3 -c %s %s", wait, tuned.socket)) >= KEEPALIVE_SECONDS


def test_any_setting_of_gunicorn_s_can_be_given(tuned: Instance) -> None:
    """Of any type: numbers, nothing, and texts and truths inside of mappings."""
    assert tuned.ask("/" + "x" * 100)[0].status == 414
    assert 'it\'s "tuned" ✓: Starting gunicorn 27.0.1' in tuned.log.splitlines()
