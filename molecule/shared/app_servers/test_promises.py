"""What every app server promises; run in the scenario of each, in addition to the tests of what only that one does.

The release `plain` has the role's own settings; `tuned` has a graceful timeout of a few.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from testinfra.host import Host

from instances import Instance, running
from probe import until

LOG_UNITS = "test-*"


@pytest.fixture(scope="module")
def plain(host: Host) -> Iterator[Instance]:
    """An instance with the role's own settings, for the tests that leave it as it is."""
    with running(host, "plain", "plain") as instance:
        yield instance


# --- Serving


def test_it_serves_on_the_socket_it_is_told(plain: Instance) -> None:
    assert plain.ask("/")[0].json["pid"] in plain.workers


def test_the_application_knows_its_visitor_as_if_it_faced_the_network(plain: Instance) -> None:
    """Without a middleware of its own: address, scheme, host and port are what the edge says."""
    said = {
        "Host": "a.test:8443",
        "X-Forwarded-For": "2001:db8::7",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Port": "8443",
    }
    assert plain.ask("/", headers=said)[0].json["visitor"] == ["2001:db8::7", "https", "a.test:8443", "8443"]
    said = {"Host": "a.test", "X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "http", "X-Forwarded-Port": "80"}
    assert plain.ask("/", headers=said)[0].json["visitor"] == ["192.0.2.7", "http", "a.test", "80"]
    # Slipway's own question, from the server itself.
    assert plain.ask("/", headers={"Host": "a.test"})[0].json["visitor"][:3] == ["127.0.0.1", "http", "a.test"]


def test_two_instances_of_a_release_run_side_by_side(plain: Instance, host: Host) -> None:
    with running(host, "plain", "second") as second:
        assert second.ask("/")[0].json["pid"] in second.workers
        assert plain.ask("/")[0].json["pid"] in plain.workers


def test_it_can_be_started_by_hand_from_any_folder(host: Host) -> None:
    """In an emergency an administrator may type relative paths."""
    instance = Instance(host, "plain", "hand")
    instance.socket = "/srv/home/hand.sock"
    try:
        started = instance.start(command="sh -c 'exec ../plain/bin/serve hand.sock'")
        assert started.succeeded, started.stderr + instance.log
        assert instance.ask("/")[0].status == 200
    finally:
        instance.stop()
    assert host.check_output("ls /srv/home") == ""


def test_without_a_socket_it_says_what_is_missing(host: Host) -> None:
    result = host.run("runuser --user site -- /srv/plain/bin/serve")
    assert result.failed
    assert "unix socket" in result.stderr


def test_the_application_cannot_change_how_it_is_served(host: Host) -> None:
    files = host.check_output("cd /srv/plain && find requirements.txt hashes.txt bin -type f").split()
    assert {"requirements.txt", "hashes.txt", "bin/serve"} < set(files)
    for name in files:
        assert host.run("runuser --user site -- test -r /srv/plain/%s", name).succeeded
        assert host.run("runuser --user site -- test -w /srv/plain/%s", name).failed
    for name in set(files) - {"bin/run", "bin/slipway_wsgi.py"}:  # which are not the role's
        assert host.run("runuser --user nobody -- test -r /srv/plain/%s", name).failed


def test_the_folder_of_the_socket_says_who_may_connect(plain: Instance, host: Host) -> None:
    """In production only the edge's group may enter it."""
    connect = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
    host.check_output("chgrp www-data %s && chmod 0750 %s", plain.folder, plain.folder)
    for user, may in ("site", True), ("www-data", True), ("nobody", False):
        result = host.run("runuser --user %s -- python3 -c %s %s", user, connect, plain.socket)
        assert result.succeeded is may, result.stderr


def test_nothing_is_opened_outside_of_that_folder(plain: Instance, host: Host) -> None:
    until(lambda: plain.ask("/")[0].status == 200, "it is past its start")
    listening = host.check_output("ss --no-header --listening --processes --unix --tcp").splitlines()
    pids = {plain.main, *plain.workers}
    own = {line.split()[4] for line in listening if any(f"pid={pid}," in line for pid in pids)}
    own = {re.sub("^/proc/self/task/[0-9]+/root/", "/", path) for path in own}  # another way to the same folder
    assert plain.socket in own
    # Whatever else there is, is not taken for an instance's socket (<folder>/*.sock).
    instances = f"{re.escape(plain.folder)}/[^/]*[.]sock"
    others = own - {plain.socket}
    assert [path for path in others if not path.startswith(plain.folder) or re.fullmatch(instances, path)] == []


def test_a_body_that_the_application_does_not_read_is_no_fault(plain: Instance) -> None:
    """An upload to a page that wants none is answered, not cut off: the edge would say 502."""
    assert plain.leave_unread().startswith("HTTP/1.1 200")


def test_an_event_is_sent_before_the_next_is_made(plain: Instance) -> None:
    assert plain.events() == "data: first\ndata: second\n"


def test_what_the_application_prints_is_logged_at_once(plain: Instance) -> None:
    plain.ask("/say?ahoy")
    until(lambda: "ahoy" in plain.log.splitlines(), "the line is in the log")


def test_a_secret_key_that_can_be_guessed_is_told_to_the_gate_alone(plain: Instance) -> None:
    """The edge adds whom it asks for."""
    (gate,), (edge,) = plain.ask("/"), plain.ask("/", headers={"X-Forwarded-For": "192.0.2.7"})
    assert ("x-slipway-weak-key" in gate.headers, "x-slipway-weak-key" in edge.headers) == (True, False)


def test_the_application_cannot_speak_for_the_service(plain: Instance) -> None:
    """It does not matter to the application where READY goes."""
    assert plain.ask("/")[0].json["secrets"] == []


# --- Readiness


def test_ready_means_that_the_application_is_loaded(host: Host) -> None:
    """Whoever waits for READY may send traffic at once: no process gets a request that still has to load it."""
    with running(host, "plain", "slow", IMPORT_SECONDS="2", IMPORT_ONCE="yes") as slow:
        assert host.run(f"ls {slow.folder}/imported-*").succeeded
        answers = slow.ask(*["/"] * 10)
    assert [answer.status for answer in answers] == [200] * 10


def test_an_application_that_does_not_load_is_never_ready(host: Host) -> None:
    """The start fails, and the traceback is in the log."""
    instance = Instance(host, "plain", "broken")
    reason = f"no such luck at {time.time()}"  # the log keeps those of earlier runs
    assert instance.start(IMPORT_ERROR=reason).failed
    until(lambda: f"RuntimeError: {reason}" in instance.log, "the traceback is in the log")


def test_an_application_that_does_not_load_ends_with_an_error(host: Host) -> None:
    """Another process manager has nothing else to go by."""
    serve = "runuser --user site -- env IMPORT_ERROR=broken timeout 60 /srv/plain/bin/serve /srv/home/broken.sock"
    try:
        assert host.run(serve).rc not in (0, 124)
    finally:
        host.run("rm -rf /srv/home/broken.*")


def test_it_serves_where_nobody_listens_for_ready(host: Host) -> None:
    """Another process manager leaves the variable unset, or one that has gone leaves it behind."""
    with running(host, "plain", "lonely") as lonely:
        for name, variable in ("unset", ""), ("deaf", "--setenv=NOTIFY_SOCKET=/run/nobody"):
            beside = Instance(host, "plain", name)
            beside.socket = f"{lonely.folder}/{name}.sock"
            host.check_output(
                f"systemd-run --quiet --collect --unit={beside.unit} --uid=site {variable} "
                f"--setenv=RUNTIME_DIRECTORY={lonely.folder} /srv/plain/bin/serve {beside.socket}"
            )
            try:
                until(lambda beside=beside: beside.ask("/")[0].status == 200, "it answers")  # type: ignore[misc]
            finally:
                beside.kill()


# --- It dies, or is stopped


def test_a_killed_worker_is_replaced(plain: Instance, host: Host) -> None:
    before = plain.workers
    victim = min(before)
    host.check_output(f"kill -9 {victim}")
    until(lambda: victim not in plain.workers and len(plain.workers) >= len(before), "another took its place")
    assert plain.ask("/")[0].status == 200


def test_it_starts_again_after_its_main_process_was_killed(host: Host) -> None:
    """What a killed one leaves behind, above all its socket, does not stop the next."""
    kept = "/srv/home/kept.sock"
    with running(host, "plain", "crashed") as first:
        processes = {first.main, *first.workers}
        host.check_output(f"kill -9 {first.main}")
        until(lambda: host.run(f"ps --pid {','.join(map(str, processes))}").failed, "nothing of it is left")
    again = Instance(host, "plain", "again")
    again.socket = kept
    host.check_output(f"python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"{kept}\")'; chown site: {kept}")
    try:
        started = again.start()
        assert started.succeeded, started.stderr + again.log
        assert again.ask("/")[0].status == 200
    finally:
        again.kill()
        host.run("rm -rf /srv/home/kept.*")


def test_a_stop_lets_running_requests_end(host: Host) -> None:
    with running(host, "plain", "stopped") as instance, ThreadPoolExecutor() as background:
        request = background.submit(instance.ask, "/wait")
        try:
            until(instance.waiting, "the request is being worked on")
            instance.begin_stop()
        finally:
            instance.enough()
        assert request.result()[0].status == 200


def test_a_stop_waits_no_longer_than_it_was_told(host: Host) -> None:
    with running(host, "tuned", "hurried") as instance, ThreadPoolExecutor() as background:
        request = background.submit(instance.ask, "/wait")
        until(instance.waiting, "the request is being worked on")
        instance.stop()
        (answer,) = request.result()
    # The role's own settings would have let it go on for 30 s, from a stop that came after its begin.
    assert (answer.status, answer.seconds < 30) == (0, True)
