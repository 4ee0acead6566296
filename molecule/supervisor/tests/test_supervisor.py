"""What the supervisor role promises, asked of its instances.

The application `site` has the role's own settings, `other` those of converge.yml. A release is the program `serve` of
the scenario `systemd`; its name says what is wrong with it.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from testinfra.host import Host

from attempts import Attempts
from probe import until
from socket_client import Answer, ask

LOG_UNITS = "supervisor*"


class Instance(Attempts):
    """One instance of a release."""

    def __init__(self, host: Host, application: str, release: str) -> None:
        self.host, self.group = host, f"{application}-{release}"
        self.socket = f"/run/{application}/instances/{release}.sock"
        self.program = f"/srv/{application}/releases/{release}/bin/instance"

    def ask(self, url: str = "/") -> Answer:
        """Send a request over its socket."""
        return ask(self.host, self.socket, url)[0]

    @property
    def main(self) -> int:
        """Its main process."""
        return int(self.host.check_output("supervisorctl pid %s", f"{self.group}:{self.group}-web"))

    def replaced(self, old: int) -> bool:
        """Whether it answers, and has another main process than the old one."""
        return self.ask().status == 200 and self.main != old

    def ask_supervisor(self) -> dict[str, Any]:
        """Return what Supervisor knows of the web server: its settings and its state (Supervisor's XML-RPC API)."""
        program = (
            "import json, sys, xmlrpc.client; from supervisor.xmlrpc import SupervisorTransport;"
            "t = SupervisorTransport(None, None, 'unix:///var/run/supervisor.sock');"
            "api = xmlrpc.client.ServerProxy('http://localhost', transport=t).supervisor;"
            "group, name = sys.argv[1:]; info = api.getProcessInfo(f'{group}:{name}');"
            "config = [c for c in api.getAllConfigInfo() if (c['group'], c['name']) == (group, name)];"
            "print(json.dumps({**config[0], **info}))"
        )
        answer = self.host.check_output("/usr/bin/python3 -c %s %s %s", program, self.group, f"{self.group}-web")
        known: dict[str, Any] = json.loads(answer)
        return known

    def tell(self, verb: str) -> str:
        """Run bin/instance."""
        return str(self.host.check_output("%s %s", self.program, verb))

    def states(self) -> dict[str, str]:
        """Return the state of each of its programs."""
        lines = [line.split("\t") for line in self.tell("status").splitlines()]
        return {line[0].removeprefix(f"{self.group}-"): line[1] for line in lines}


@contextlib.contextmanager
def started(host: Host, application: str, release: str) -> Iterator[Instance]:
    """Run an instance for a while."""
    instance = Instance(host, application, release)
    instance.tell("start")
    try:
        until(lambda: instance.ask().status == 200, f"{release} answers")
        yield instance
    finally:
        instance.tell("stop")


@pytest.fixture(scope="module")
def site(host: Host) -> Instance:
    """The activated instance, with the role's own settings."""
    instance = Instance(host, "site", "blue")
    until(lambda: instance.ask().status == 200, "it answers, also after a boot")
    return instance


@pytest.fixture
def green(site: Instance) -> Iterator[Instance]:
    """Another release of the same application, for the length of a test."""
    with started(site.host, "site", "green") as instance:
        yield instance


@pytest.fixture(scope="module")
def other(host: Host) -> Iterator[Instance]:
    """An instance with its own settings."""
    with started(host, "other", "blue") as instance:
        yield instance


@pytest.mark.after_reboot
def test_the_active_instance_runs_as_its_own_user_with_its_workers(site: Instance, host: Host) -> None:
    assert site.ask().json["user"] == host.user("site").uid
    assert site.states() == {"web": "running", "mill-1": "running", "mill-2": "running"}


@pytest.mark.after_reboot
def test_its_log_has_a_file_for_each_program(site: Instance, host: Host) -> None:
    words = f"ahoy at {time.time()}"
    site.attempt(f"print({words!r}, flush=True)")
    log = host.file("/var/log/supervisor/site-blue-web.log")
    until(lambda: words in log.content_string, "the line is in the log")
    assert "mill runs as site" in host.file("/var/log/supervisor/site-blue-mill-2.log").content_string
    assert "mill runs as site" in site.tell("log")


@pytest.mark.after_reboot
def test_cron_has_the_timers_of_the_active_release(site: Instance, host: Host) -> None:
    line = "* * * * * root /srv/site/releases/blue/bin/confine /srv/site/releases/blue/bin/program tick"
    assert line in host.file("/etc/cron.d/site-blue").content_string
    # As cron runs it (crontab(5)).
    program = line.partition(" root ")[2]
    assert (
        host.check_output(f"env -i HOME=/root LOGNAME=root SHELL=/bin/sh PATH=/usr/bin:/bin {program}")
        == "tick runs as site"
    )


def test_a_new_instance_leaves_the_running_one_alone(site: Instance) -> None:
    before = site.main
    with started(site.host, "site", "green") as green:
        assert green.ask().json["release"] == "green"
        green.tell("start")  # a second time changes nothing
    assert site.main == before


def test_a_killed_main_process_is_back_by_itself(green: Instance, host: Host) -> None:
    """Its worker, which would still answer, is killed with it: Supervisor knows nothing of that one."""
    old = green.main
    host.check_output(f"pkill -9 --parent {old}; kill -9 {old}")
    until(lambda: green.replaced(old), "another runs")


def processes(host: Host) -> dict[str, int]:
    """Return the main process of each program, by what Supervisor calls it."""
    rows = [line.split() for line in host.run("supervisorctl status").stdout.splitlines()]
    return {row[0].partition(":")[2]: int(row[3].rstrip(",")) for row in rows if row[1] == "RUNNING"}


def test_a_killed_supervisor_is_back_and_each_program_runs_once(site: Instance, host: Host) -> None:
    """Also those that its death left running: what is left of a program ends before it starts another time."""
    before = processes(host)
    host.check_output("systemctl kill --kill-whom=main --signal=KILL supervisor")
    until(lambda: not any(host.file(f"/proc/{pid}").exists for pid in before.values()), "what was left has ended")
    until(lambda: processes(host).keys() == before.keys(), "all programs run")
    until(lambda: site.ask().status == 200, "it answers")


def test_a_stop_ends_what_a_killed_supervisor_has_left(site: Instance, green: Instance, host: Host) -> None:
    old = green.main
    host.check_output("systemctl kill --kill-whom=main --signal=KILL supervisor && systemctl stop supervisor")
    try:
        assert host.file(f"/proc/{old}").exists
        green.tell("stop")
        assert not host.file(f"/proc/{old}").exists
    finally:
        green.tell("start")
    until(lambda: site.ask().status == 200, "the other one answers, too")


def test_an_application_that_ends_without_an_error_is_started_again(green: Instance, host: Host) -> None:
    old = green.main
    until(lambda: green.ask_supervisor()["statename"] == "RUNNING", "it counts as started")
    host.check_output(f"kill -TERM {old}")
    until(lambda: green.replaced(old), "another runs")


def test_a_stop_lets_a_running_request_end(green: Instance) -> None:
    with ThreadPoolExecutor() as background:
        enough = f"/srv/site/shared/enough-{time.time()}"  # the log keeps the words of earlier runs
        request = background.submit(green.ask, f"/wait?{enough}")
        try:
            until(lambda: f"waiting for {enough}" in green.tell("log"), "the request is being worked on")
            stop = background.submit(green.tell, "stop")
            until(lambda: green.states() == {"web": "stopped"}, "the instance is being stopped")
        finally:
            green.host.check_output(f"touch {enough}")
        assert request.result().status == 200
        stop.result()
    green.host.check_output(f"rm {enough}")


def test_a_stop_takes_no_longer_than_it_was_told(other: Instance, host: Host) -> None:
    """Also where the application does not heed SIGTERM. Supervisor keeps the time, and says what it did."""
    with started(host, "other", "stubborn") as stubborn:
        known = stubborn.ask_supervisor()
        assert known["stopwaitsecs"] == 3
        stubborn.tell("stop")
        assert stubborn.ask().status == 0
    log = host.file("/var/log/supervisor/supervisord.log").content_string
    assert f"killing '{known['name']}' ({known['pid']}) with SIGKILL" in log


def test_workers_get_the_time_they_need_to_finish(site: Instance, host: Host) -> None:
    host.check_output("rm -f /srv/site/shared/work /var/log/supervisor/site-green-mill-*")
    with started(host, "site", "green") as green:
        green.tell("activate")
        # Not only started: they say this when they heed SIGTERM.
        until(lambda: green.tell("log").count("mill runs as site") == 2, "both workers run")
        green.tell("stop")
    assert host.file("/srv/site/shared/work").content_string.splitlines() == ["mill finished"] * 2
    assert host.run("ls /etc/cron.d/site-green /etc/supervisor/conf.d/site-green*").failed
    assert site.ask().status == 200


def test_a_crash_is_said_and_tried_again(site: Instance, host: Host) -> None:
    crash = Instance(host, "site", "crash")
    try:
        crash.tell("start")
        until(lambda: crash.states() == {"web": "failing"}, "it is said to fail")
        until(lambda: crash.tell("log").count("crash starts") >= 3, "it is tried again")
    finally:
        crash.tell("stop")


def test_logs_are_rotated(other: Instance, host: Host) -> None:
    other.attempt("[print('x' * 200, flush=True) for _ in range(20)] and None")
    log = "/var/log/supervisor/other-blue-web.log"
    rotated = f"test -e {log}.1 && test $(stat --format=%s {log}) -lt 2048"
    until(lambda: host.run(rotated).succeeded, "there is a rotated log")
    assert not host.file(f"{log}.2").exists


def test_logs_of_releases_that_are_gone_go_too(site: Instance, host: Host) -> None:
    host.check_output("touch /var/log/supervisor/site-0123456789ab-web.log")
    site.tell("start")
    assert not host.file("/var/log/supervisor/site-0123456789ab-web.log").exists
    assert host.file("/var/log/supervisor/site-blue-web.log").exists


def test_a_setting_of_supervisor_s_can_be_added(other: Instance) -> None:
    assert other.attempt("os.environ.get('GREETING')") == {"value": "ahoy"}


# --- The sandbox


@pytest.mark.after_reboot
@pytest.mark.parametrize("folder", ["/srv/site/shared", "/run/site/instances", "/tmp", "/var/tmp", "/dev/shm"])
def test_it_can_write_where_it_has_to(site: Instance, folder: str) -> None:
    assert site.can_write(folder)


@pytest.mark.parametrize("folder", ["/srv/site/notes", "/etc", "/", "/run", "/run/lock"])
def test_it_cannot_write_anywhere_else(site: Instance, host: Host, folder: str) -> None:
    """Also where the modes of files would allow it: for the first and the last of these they do."""
    assert not site.can_write(folder)
    assert not host.file(f"{folder}/written").exists


@pytest.mark.parametrize(
    "path", ["/tmp/secret", "/home/visitor", "/root/.ssh", "/proc/meminfo", "/proc/sys", "/proc/1"]
)
def test_it_cannot_see_what_is_not_its_own(site: Instance, host: Host, path: str) -> None:
    host.check_output("mkdir -p /home/visitor && echo secret > /tmp/secret && chmod 755 /home/visitor")
    assert host.run("test -e %s", path).succeeded
    assert site.attempt(f"os.stat({path!r})")["error"] in {"FileNotFoundError", "PermissionError"}


def test_it_can_gain_no_privileges(site: Instance) -> None:
    status = site.attempt("open('/proc/self/status').read()")["value"]
    said = dict(line.split(":\t", 1) for line in status.splitlines())
    assert said["NoNewPrivs"] == "1"
    assert [int(said[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")] == [0] * 5
    assert "error" in site.attempt("os.setuid(0)")


def test_what_its_programs_may_use_is_bounded(site: Instance, host: Host) -> None:
    """Together: each program is in the application's slice."""
    said = host.check_output("systemctl show --property=MemoryHigh,MemoryMax,TasksMax,IPAddressDeny site.slice")
    found = dict(line.split("=", 1) for line in said.splitlines())
    memory = int(host.check_output("awk '/MemTotal/ {print $2}' /proc/meminfo")) * 1024
    assert int(found["MemoryHigh"]) < int(found["MemoryMax"]) < memory
    assert found["TasksMax"] == "2048"
    assert "169.254.0.0/16" in found["IPAddressDeny"]
    mill = host.check_output("supervisorctl pid site-blue-workers:site-blue-mill-1")
    for process in (site.main, mill):
        assert "/site.slice/run-" in host.file(f"/proc/{process}/cgroup").content_string
    for folder in ("/tmp", "/var/tmp", "/dev/shm"):
        room = site.attempt(f"os.statvfs({folder!r}).f_blocks * os.statvfs({folder!r}).f_frsize")["value"]
        assert room < memory * 0.11


def test_when_the_last_instance_goes_supervisor_goes_too(site: Instance, other: Instance, host: Host) -> None:
    for instance in (other, site):
        instance.tell("stop")
    try:
        assert host.run("systemctl is-active supervisor").stdout.strip() == "inactive"
        assert host.run("systemctl is-enabled supervisor").stdout.strip() == "disabled"
    finally:
        for instance in (other, site):
            instance.tell("start")
        site.tell("activate")
    until(lambda: site.ask().status == 200, "it is back")
