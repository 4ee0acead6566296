"""What the uwsgi role promises in addition to what every app server does (molecule/shared/app_servers)."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

from instances import Instance, most_at_once, running, work
from probe import play, said, until

LOG_UNITS = "test-*"
SCENARIO = Path(__file__).parents[1]

# As converge.yml has it for the release `tuned`.
CHEAPER, PROCESSES, THREADS, MAX_REQUESTS, DELTA = 2, 3, 2, 20, 15


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


def stats(instance: Instance) -> dict[str, Any]:
    """Return what uWSGI says of itself."""
    read = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); print(s.makefile().read())"
    told: dict[str, Any] = json.loads(
        instance.host.check_output("python3 -c %s %s", read, f"{instance.folder}/app.stats")
    )
    return told


# --- The uwsgi protocol

# One request as nginx sends it: 0, the length of the variables, 0, and each name and value after its own length.
SPEAK_UWSGI = """
import socket, struct, sys
def word(text):
    return struct.pack("<H", len(text)) + text.encode()
variables = {"REQUEST_METHOD": "GET", "REQUEST_URI": "/", "PATH_INFO": "/", "QUERY_STRING": "", "SERVER_PROTOCOL": "HTTP/1.1",
             "SERVER_NAME": "a", "SERVER_PORT": "80", "HTTP_X_FORWARDED_PROTO": "https"}
variables |= dict(more.split("=") for more in sys.argv[2:])
body = b"".join(word(name) + word(value) for name, value in variables.items())
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(struct.pack("<BHB", 0, len(body), 0) + body)
print(s.makefile().read())
"""


def test_it_speaks_uwsgi_on_a_second_socket_with_the_same_workers(plain: Instance, host: Host) -> None:
    second = plain.socket.removesuffix(".sock") + ".uwsgi"
    head, _, body = host.check_output("python3 -c %s %s", SPEAK_UWSGI, second).partition("\n\n")
    assert head.startswith("HTTP/1.1 200 OK")
    assert json.loads(body)["pid"] in plain.workers
    assert json.loads(body)["visitor"][1] == "https"
    assert plain.ask("/")[0].json["pid"] in plain.workers
    waiting = host.check_output(f"ss --no-header --listening --unix src {second}").split()[3]
    assert waiting == "1024"


def test_no_request_in_uwsgi_has_another_file_loaded(plain: Instance, host: Host) -> None:
    """uWSGI loads what a request names as an application, and so runs it as the application's user, unless it is told not to."""
    host.check_output("printf 'print(\"it was loaded\", flush=True)\ndef application(*_): pass\n' > /srv/other.py")
    second = plain.socket.removesuffix(".sock") + ".uwsgi"
    for named in ["UWSGI_FILE=/srv/other.py"], ["UWSGI_SCRIPT=other", "UWSGI_CHDIR=/srv"]:
        answer = host.check_output("python3 -c %s %s SCRIPT_NAME=/other " + " ".join(named), SPEAK_UWSGI, second)
        assert answer.startswith("HTTP/1.1 200 OK")
        assert json.loads(answer.partition("\n\n")[2])["pid"] in plain.workers
    until(lambda: plain.log.count("cannot load more than 1 apps") >= 2, "uWSGI says that it did not")
    assert "it was loaded" not in plain.log


def test_the_socket_is_open_only_where_it_is_wanted(tuned: Instance, host: Host) -> None:
    names = host.check_output(f"ls {tuned.folder}").split()
    assert "app.sock" in names
    assert "app.uwsgi" not in names


def test_both_sockets_are_gone_after_a_stop(host: Host) -> None:
    with running(host, "plain", "gone") as instance:
        assert {"app.sock", "app.uwsgi"} <= set(host.check_output(f"ls {instance.folder}").split())
        host.check_output("grep -F .uwsgi /srv/plain/bin/serve")  # where the engine looks for it
        instance.stop()
        assert host.run(f"ls {instance.folder}/app.sock {instance.folder}/app.uwsgi").stdout == ""


# --- HTTP


def test_it_says_that_it_closes_the_connection(plain: Instance, host: Host) -> None:
    """It does so without being told; the edge would use a closed one again, and a POST be lost."""
    speak = (
        "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
        "s.sendall(b'GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n'); print(s.makefile().read())"
    )
    answer = host.check_output("python3 -c %s %s", speak, plain.socket)
    assert "Connection: close" in answer.splitlines()


def test_its_log_of_requests_has_the_visitors_addresses(tuned: Instance) -> None:
    """And not those of the edge, which has none."""
    assert tuned.ask("/logged", headers={"X-Forwarded-For": "192.0.2.77"})[0].status == 200
    until(lambda: re.search("192[.]0[.]2[.]77 .*GET /logged", tuned.log), "the request is in the log")


def test_headers_have_as_much_room_as_they_are_given(tuned: Instance, plain: Instance) -> None:
    long = "/?" + "x" * 5000
    assert plain.ask(long)[0].status == 200
    assert tuned.ask(long)[0].status != 200


def test_so_many_connections_may_wait(plain: Instance, host: Host) -> None:
    waiting = host.check_output(f"ss --no-header --listening --unix src {plain.socket}").split()[3]
    assert waiting == "1024"


# --- Concurrency


def test_workers_come_with_the_need_and_go(tuned: Instance) -> None:
    until(lambda: len(tuned.workers) == CHEAPER, "the first workers run")
    with ThreadPoolExecutor(max_workers=20) as background:

        def more_come() -> bool:
            background.submit(tuned.ask, "/sleep?0.5", lanes=THREADS)
            return len(tuned.workers) == PROCESSES

        until(more_come, "all workers run")
    until(lambda: len(tuned.workers) == CHEAPER, "they have gone again")


def test_two_workers_run_where_nobody_comes(plain: Instance) -> None:
    until(lambda: len(plain.workers) == 2, "two workers run")
    assert len(stats(plain)["workers"]) == 16


def test_every_thread_of_a_worker_serves_at_once(tuned: Instance) -> None:
    works = work(tuned, THREADS * CHEAPER + 2, lambda busy: max(busy.values(), default=0) >= THREADS)
    by_worker = [[one for one in works if one["pid"] == pid] for pid in {one["pid"] for one in works}]
    assert max(most_at_once(own) for own in by_worker) == THREADS


def test_a_worker_has_one_thread(plain: Instance) -> None:
    assert {len(worker["cores"]) for worker in stats(plain)["workers"]} == {1}


# --- Workers come and go


def test_a_worker_is_replaced_after_so_many_requests_and_none_is_lost(tuned: Instance) -> None:
    """The second worker later than the first, so that they do not go at once."""
    served: Counter[int] = Counter()
    limits = MAX_REQUESTS, MAX_REQUESTS + DELTA

    def both_were_replaced() -> bool:
        answers = tuned.ask(*["/"] * 60, lanes=4)
        assert [answer for answer in answers if answer.status != 200] == []
        served.update(answer.json["pid"] for answer in answers)
        gone = served.keys() - tuned.workers
        # Each of its threads ends what it has accepted.
        reached = {limit for pid in gone for limit in limits if limit <= served[pid] <= limit + THREADS}
        return reached == set(limits)

    until(both_were_replaced, "one went at each of the limits")


def test_a_request_that_takes_too_long_is_ended_with_its_worker(tuned: Instance) -> None:
    before = tuned.workers
    (answer,) = tuned.ask("/sleep?600")
    # After 8 s, and not after the 65 s of the role's own settings.
    assert (answer.status, answer.seconds < 65) == (0, True)
    until(lambda: "HARAKIRI" in tuned.log, "uWSGI says why")
    until(lambda: len(tuned.workers) == CHEAPER and tuned.workers != before, "another took its place")
    assert tuned.ask("/")[0].status == 200


def test_the_application_is_loaded_in_each_worker(plain: Instance, host: Host) -> None:
    """One that opens a connection when it is loaded does not share it with other workers."""
    until(lambda: len(imported(plain)) >= 2, "both have loaded it")
    assert plain.main not in imported(plain)


def test_the_application_is_loaded_once_where_it_is_told_so(tuned: Instance) -> None:
    assert imported(tuned) == {tuned.main}


def imported(instance: Instance) -> set[int]:
    """The processes that have loaded the application."""
    names = instance.host.check_output(f"ls {instance.folder}").split()
    return {int(name.removeprefix("imported-")) for name in names if name.startswith("imported-")}


# --- Statistics


def test_statistics_are_for_the_application_s_user_alone(plain: Instance, host: Host) -> None:
    assert stats(plain)["version"] == "2.0.30"
    assert host.file(f"{plain.folder}/app.stats").mode == 0o600


def test_there_are_none_where_they_are_not_wanted(tuned: Instance, host: Host) -> None:
    assert not host.file(f"{tuned.folder}/app.stats").exists


# --- Options of uWSGI's own, and the application's


def test_any_option_of_uwsgi_s_can_be_given(tuned: Instance) -> None:
    """A text, a list, one of the role's own left out."""
    assert tuned.ask("/")[0].json["greetings"] == ["ahoy", "crew"]
    assert 'it\'s "tuned" ✓ - ' in tuned.log
    assert "thunder lock: disabled" in tuned.log


def test_an_application_s_own_uwsgi_ini_is_honoured(host: Host) -> None:
    """Module, factory and options are its own, but for what the release has to say; the inventory's settings win."""
    with running(host, "own", "own") as own:
        assert own.ask("/")[0].json["greeting"] == "its own"
        until(lambda: len(own.workers) == 3, "three workers run")
        told = stats(own)["workers"]
        assert (len(told), len(told[0]["cores"])) == (5, 5)
        assert "own - thunder lock: disabled" in own.log
        for option in "socket", "http", "daemonize", "chmod-socket", "die-on-term", "virtualenv", "uid":
            assert f"uwsgi.ini: {option} was left out, as the release sets it" in own.log.splitlines()
        assert host.run("ss --no-header --listening --tcp | grep -E ':999[89]'").stdout == ""
        assert not host.file("/tmp/own.log").exists


# --- Arguments


def test_what_cannot_work_is_refused_before_anything_changes(host: Host) -> None:
    """All of it at once, each with the reason."""
    wrong: list[tuple[str, Any, str]] = [
        (
            "uwsgi_cheaper",
            16,
            "uwsgi_cheaper: uWSGI does not start with at least 16 and at most 16 processes (uwsgi_processes)",
        ),
        ("uwsgi_threads", 0, "each must be 1 or more"),
        ("uwsgi_harakiri_seconds", -1, "each must be 0 (never) or more"),
        ("uwsgi_buffer_size_bytes", 65536, "uwsgi_buffer_size_bytes: 65536 is not between 4096 and 65535"),
        ("uwsgi_settings", {"http-socket": ":80"}, "uwsgi_settings: http-socket cannot be set"),
    ]
    result = play(SCENARIO / "refused.yml", **{name: value for name, value, _ in wrong})
    assert result.returncode != 0
    assert [complaint for _, _, complaint in wrong if complaint not in said(result)] == [], said(result)
    assert not host.file("/srv/refused/requirements.txt").exists
