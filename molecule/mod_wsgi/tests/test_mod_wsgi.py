"""What the mod_wsgi role promises in addition to what every app server does (molecule/shared/app_servers)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

from instances import Instance, cores, most_at_once, running, work
from probe import play, said, until

LOG_UNITS = "test-*"
SCENARIO = Path(__file__).parents[1]

# As converge.yml has it for the release `tuned`.
PROCESSES, THREADS, MAXIMUM_REQUESTS = 3, 2, 10


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


def apache(instance: Instance) -> int:
    """The release's own Apache, a child of bin/serve."""
    return int(instance.host.check_output(f"pgrep --parent {instance.main} apache2"))


def daemons(instance: Instance) -> set[int]:
    """The processes that run the application, as ps(1) shows them."""
    found = instance.host.run(f"pgrep --parent {apache(instance)} --full '^.wsgi:application'").stdout.split()
    return {int(pid) for pid in found}


def surroundings(instance: Instance, path: str, **headers: str) -> dict[str, Any]:
    """Ask the application of files/ what its process is like."""
    program = (
        "import http.client,json,socket,sys;c=http.client.HTTPConnection('a');"
        "c.sock=socket.socket(socket.AF_UNIX);c.sock.connect(sys.argv[1]);"
        "c.request('GET',sys.argv[2],headers=json.loads(sys.argv[3]));print(c.getresponse().read().decode())"
    )
    told: dict[str, Any] = json.loads(
        instance.host.check_output("python3 -c %s %s %s %s", program, instance.socket, path, json.dumps(headers))
    )
    return told


# --- The application's surroundings


def test_the_application_runs_in_the_release_s_surroundings(host: Host) -> None:
    """Its virtualenv, its folder, its user, its settings; and it hears who asks, which Apache keeps to itself by default."""
    module = "surroundings:application"
    with running(host, "tuned", "around", SLIPWAY_MODULE=module, SETTING="of this release") as instance:
        told = surroundings(instance, "/a%2Fb", Authorization="Bearer token")
        # An edge takes 100 fields of a visitor, and adds its own.
        assert surroundings(instance, "/", **{f"X-{number}": "x" for number in range(110)})["user"] == told["user"]
    assert told["prefix"] == "/srv/tuned/.venv"
    assert told["module"].startswith("/srv/tuned/.venv/")
    assert told["folder"] == host.check_output("realpath /srv/tuned/code")
    assert told["user"] == int(host.check_output("id -u site"))
    assert told["umask"] == 0o027
    assert told["setting"] == "of this release"
    assert told["encoding"] == "utf-8"
    assert told["authorization"] == "Bearer token"
    assert (told["script"], told["path"]) == ("", "/a/b")


def test_no_other_apache_comes_with_the_package(plain: Instance, host: Host) -> None:
    """Nothing listens on the network."""
    assert plain.ask("/")[0].status == 200
    assert "apache2" not in host.check_output("ss --no-header --listening --processes --tcp")


# --- Concurrency


def test_processes_follow_the_cores(plain: Instance, host: Host) -> None:
    until(lambda: len(daemons(plain)) == min(max(cores(host), 2), 12), "one for each core, 2 at least, 12 at most")


def test_counts_of_processes_and_threads_are_the_user_s(tuned: Instance) -> None:
    until(lambda: len(daemons(tuned)) == PROCESSES, "all processes run")
    # At least one process has more of them than threads.
    works = work(tuned, PROCESSES * THREADS + 1, lambda busy: max(busy.values(), default=0) >= THREADS)
    by_process = [[one for one in works if one["pid"] == pid] for pid in {one["pid"] for one in works}]
    assert max(most_at_once(own) for own in by_process) == THREADS


# --- Processes come and go


def test_a_process_is_replaced_after_so_many_requests_and_none_is_lost(tuned: Instance) -> None:
    answers = tuned.ask(*["/"] * 25, lanes=4)
    assert [answer for answer in answers if answer.status != 200] == []
    assert len({answer.json["pid"] for answer in answers}) >= 100 // (MAXIMUM_REQUESTS + 4 * THREADS) // 2


@pytest.mark.one_debian
def test_a_request_that_takes_too_long_costs_its_process(tuned: Instance) -> None:
    """And gets no good answer: 600 s are more than the 6 s of a process whose other thread has nothing to do."""
    until(lambda: len(daemons(tuned)) == PROCESSES, "all processes run")
    before = daemons(tuned)
    assert tuned.ask("/sleep?600")[0].status >= 500
    until(lambda: len(daemons(tuned) - before) == 1 and len(daemons(tuned)) == PROCESSES, "another took its place")


def test_nothing_serves_on_when_its_apache_was_killed(host: Host) -> None:
    """bin/serve ends with an error, which the supervisor sees, and ends the other processes."""
    with running(host, "plain", "killed") as instance:
        pid = apache(instance)
        host.check_output(f"kill -9 {pid}")
        until(lambda: not host.file(instance.socket).exists, "the socket is gone")
        until(lambda: host.run(f"pgrep --pgroup {pid}").rc == 1, "no process is left")


def test_an_apache_that_lost_its_bin_serve_makes_room(host: Host) -> None:
    """Not every process manager ends what a killed program leaves behind."""
    instance = Instance(host, "plain", "left")
    instance.socket = "/srv/home/left.sock"
    serve = f"--uid=site --property=KillMode=process /srv/plain/bin/serve {instance.socket}"
    host.check_output(f"systemd-run --quiet --collect --unit=test-left {serve}")
    try:
        until(lambda: instance.ask("/")[0].status == 200, "it answers")
        pid = apache(instance)
        host.check_output(f"kill -9 {instance.main}")
        assert host.run(f"kill -0 {pid}").succeeded
        host.check_output(f"systemd-run --quiet --collect --unit=test-room {serve}")
        until(lambda: host.run(f"kill -0 {pid}").failed, "it has gone")
        until(lambda: instance.ask("/")[0].status == 200, "the next one answers")
    finally:
        host.run("systemctl stop test-room test-left; rm -rf /srv/home/left.*")


# --- Variables


def test_any_option_of_a_daemon_process_can_be_given(tuned: Instance, host: Host) -> None:
    rows = [line.split() for line in host.check_output("ss --no-header --listening --unix").splitlines()]
    assert {row[3] for row in rows if row[4].startswith(f"{tuned.folder}/app.apache/wsgi")} == {"50"}


def test_it_logs_what_is_asked_for(tuned: Instance, plain: Instance) -> None:
    assert "Attach interpreter" in tuned.log
    assert "Attach interpreter" not in plain.log


@pytest.mark.one_debian
def test_what_cannot_work_is_refused_before_anything_changes(host: Host) -> None:
    """All of it at once, each with the reason."""
    options = {"user": "root", "queue-timeout": "45 python-home=/"}
    wrong: list[tuple[str, Any, str]] = [
        ("mod_wsgi_threads", 0, "mod_wsgi_processes, mod_wsgi_threads, mod_wsgi_graceful_timeout_seconds: 2, 0 and 30"),
        ("mod_wsgi_maximum_requests", -1, "each must be 0 (never) or more"),
        ("mod_wsgi_daemon_options", options, "mod_wsgi_daemon_options: user cannot be set there"),
        ("mod_wsgi_daemon_options", options, "each with a value of one word"),
    ]
    result = play(SCENARIO / "refused.yml", **{name: value for name, value, _ in wrong})
    assert result.returncode != 0
    assert [complaint for _, _, complaint in wrong if complaint not in said(result)] == [], said(result)
    assert not host.file("/srv/refused/requirements.txt").exists
