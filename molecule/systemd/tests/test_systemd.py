"""What the systemd role promises, asked of its instances: what they may do, they try themselves.

The application `site` has the role's own settings, `other` those of converge.yml. A release is files/serve; its name
says what is wrong with it.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from testinfra.backend.base import CommandResult
from testinfra.host import Host

from attempts import OPEN, Attempts
from probe import play, said, until
from socket_client import Answer, ask

LOG_UNITS = "*@*"
SCENARIO = Path(__file__).parents[1]


class Instance(Attempts):
    """One instance of a release."""

    def __init__(self, host: Host, application: str, release: str) -> None:
        self.host, self.unit = host, f"{application}@{release}.service"
        self.socket = f"/run/{application}/instances/{release}.sock"
        self.program = f"/srv/{application}/releases/{release}/bin/instance"

    def ask(self, url: str = "/") -> Answer:
        """Send a request over its socket."""
        return ask(self.host, self.socket, url)[0]

    @property
    def main(self) -> int:
        """Its main process, as the server numbers it: the one that runs under tini."""
        return int(self.host.check_output("pgrep --parent $(systemctl show --property=MainPID --value %s)", self.unit))

    def replaced(self, old: int) -> bool:
        """Whether it answers, and has another main process than the old one."""
        return self.ask().status == 200 and self.main != old

    def show(self, name: str) -> str:
        """Return a property as systemd has it."""
        return self.host.check_output("systemctl show --property=%s --value %s", name, self.unit)

    def is_active(self) -> bool:
        """Whether it runs and is ready."""
        return self.show("ActiveState") == "active"

    def log(self) -> list[dict[str, str]]:
        """Return its log, an entry for each line."""
        lines = self.host.check_output("journalctl --output=json --no-pager --unit=%s", self.unit)
        return [json.loads(line) for line in lines.splitlines()]

    def systemd_said(self, words: str) -> bool:
        """Whether systemd itself has said this of the unit, of any of its starts since the boot."""
        match = "_PID=1 --boot --output=cat --no-pager"
        said = self.host.check_output(f"journalctl UNIT=%s {match}", self.unit)
        return f"{self.unit}: {words}" in said.splitlines()


def is_debian_13(host: Host) -> bool:
    """Debian 12's systemd knows neither PrivatePIDs nor a /tmp that is bounded (docs/security.md)."""
    return str(host.system_info.release).startswith("13")


@contextlib.contextmanager
def started(host: Host, application: str, release: str) -> Iterator[Instance]:
    """Run an instance for a while."""
    instance = Instance(host, application, release)
    host.check_output("%s start", instance.program)
    try:
        yield instance
    finally:
        host.run("systemctl kill --signal=KILL %s; %s stop", instance.unit, instance.program)


@pytest.fixture(scope="module")
def site(host: Host) -> Instance:
    """The enabled instance, with the role's own settings."""
    return Instance(host, "site", "blue")


@pytest.fixture
def green(host: Host) -> Iterator[Instance]:
    """Another release of the same application, for the length of a test."""
    with started(host, "site", "green") as instance:
        yield instance


@pytest.fixture(scope="module")
def other(host: Host) -> Iterator[Instance]:
    """An instance with its own settings."""
    with started(host, "other", "blue") as instance:
        yield instance


@pytest.fixture(scope="module", autouse=True)
def crash(host: Host) -> Iterator[Instance]:
    """A release that ends as soon as it is started; it is kept trying while the other tests run."""
    instance = Instance(host, "site", "crash")
    assert host.run("%s start", instance.program).failed
    yield instance
    host.check_output("%s stop", instance.program)


@pytest.fixture(scope="module", autouse=True)
def never(host: Host) -> Iterator[Future[CommandResult]]:
    """The start of a release that is never ready; systemd waits for it while the other tests run."""
    instance = Instance(host, "other", "never")
    with ThreadPoolExecutor() as background:
        yield background.submit(host.run, "%s start", instance.program)
        host.run("systemctl kill --signal=KILL %s; %s stop", instance.unit, instance.program)


# --- Running


@pytest.mark.after_reboot
def test_an_instance_answers_on_its_own_socket(site: Instance) -> None:
    assert site.is_active()
    assert site.ask().json["release"] == "blue"


@pytest.mark.after_reboot
def test_it_runs_as_its_own_user(site: Instance, host: Host) -> None:
    assert site.ask().json["user"] == host.user("site").uid
    assert site.attempt("os.getgroups()")["value"] == [host.group("site").gid]


@pytest.mark.after_reboot
def test_an_enabled_instance_is_back_after_a_boot_and_no_other(site: Instance, host: Host) -> None:
    booted_since = not host.file("/run/not-booted-since").exists
    assert site.is_active()
    assert Instance(host, "site", "passing").is_active() is not booted_since


@pytest.mark.after_reboot
def test_it_says_how_its_programs_do(site: Instance, crash: Instance, host: Host) -> None:
    def states(instance: Instance) -> list[str]:
        return [line.split("\t")[1] for line in host.check_output("%s status", instance.program).splitlines()]

    assert states(site) == ["running"]
    until(lambda: states(crash) == ["failing"], "one that crashes is said to fail")


def test_a_stopped_instance_leaves_nothing_behind(host: Host) -> None:
    with started(host, "site", "green") as green:
        host.check_output("%s activate", green.program)
        host.check_output("%s stop", green.program)
        assert host.check_output("find /etc/systemd /var/lib/systemd/timers -name '*green*'") == ""
        assert green.show("LoadState") == "not-found"


def test_two_releases_run_side_by_side(site: Instance, green: Instance) -> None:
    assert [instance.ask().json["release"] for instance in (site, green)] == ["blue", "green"]
    green.host.check_output("systemctl stop %s", green.unit)
    assert site.ask().status == 200


def test_a_start_waits_until_the_application_is_ready(host: Host) -> None:
    """Any process of the instance may say so: with an app server, it is a worker."""
    with started(host, "site", "late") as late:
        assert late.ask().json["release"] == "late"


def test_its_log_is_in_the_journal_under_its_name(site: Instance) -> None:
    words = f"ahoy at {time.time()}"
    site.attempt(f"print({words!r}, flush=True)")
    until(lambda: any(words in entry["MESSAGE"] for entry in site.log()), "the line is in the journal")
    (entry,) = (entry for entry in site.log() if words in entry["MESSAGE"])
    assert entry["SYSLOG_IDENTIFIER"] == "site"


# --- Ends and new starts


def test_a_killed_main_process_is_back_within_seconds(green: Instance, host: Host) -> None:
    """With all that belongs to it: no worker of the old one goes on."""
    assert green.show("RestartUSec") == "1s"
    old = green.main
    worker = host.check_output(f"pgrep --parent {old}")
    host.check_output(f"kill -9 {old}")
    until(lambda: green.replaced(old), "another runs")
    assert host.run(f"kill -0 {worker}").failed


def test_an_application_that_ends_without_an_error_is_started_again(green: Instance, host: Host) -> None:
    old = green.main
    host.check_output(f"kill -TERM {old}")
    until(lambda: green.replaced(old), "another runs")


def test_a_stop_lets_a_running_request_end(green: Instance, host: Host) -> None:
    """SIGTERM comes to the main process alone, which sees to its workers."""
    enough = f"/srv/site/shared/enough-{time.time()}"  # the log keeps the words of earlier runs
    with ThreadPoolExecutor() as background:
        request = background.submit(green.ask, f"/wait?{enough}")
        try:
            until(lambda: any(e["MESSAGE"] == f"waiting for {enough}" for e in green.log()), "it is being worked on")
            host.check_output("systemctl stop --no-block %s", green.unit)
            until(lambda: green.show("ActiveState") == "deactivating", "the instance is being stopped")
        finally:
            host.check_output(f"touch {enough}")
        assert request.result().status == 200
    until(lambda: green.show("ActiveState") == "inactive", "the instance has stopped")
    assert green.show("Result") == "success"
    host.check_output(f"rm {enough}")


def test_a_stop_takes_no_longer_than_it_was_told(host: Host) -> None:
    """Also where the application does not heed SIGTERM. Systemd keeps the time, and says what it did."""
    with started(host, "other", "stubborn") as stubborn:
        assert stubborn.show("TimeoutStopUSec") == "3s"
        host.run("systemctl stop %s", stubborn.unit)
        assert stubborn.show("Result") == "timeout"
        words = "Stopping timed out. Killing." if is_debian_13(host) else "State 'stop-sigterm' timed out. Killing."
        until(lambda: stubborn.systemd_said(words), "systemd says that it killed it")


def test_a_stop_ends_no_process_of_anybody_else_s(site: Instance, host: Host) -> None:
    """Whatever number the application has said is its main process's: root sends the signal."""
    if not is_debian_13(host):
        assert site.show("ExecStop") == ""
        return
    (command,) = re.findall(
        r"^ExecStop=\+(/bin/sh -c '.*')$", host.check_output("systemctl cat %s", site.unit), re.MULTILINE
    )
    foreign = host.check_output("systemd-run --quiet --unit=neighbour sleep 600; systemctl show -P MainPID neighbour")
    try:
        host.check_output(f"MAINPID={foreign} {command.replace('$$', '$')}")
        host.check_output(f"MAINPID= {command.replace('$$', '$')}")
        assert host.run("systemctl is-active neighbour").succeeded
    finally:
        host.check_output("systemctl stop neighbour")


def test_a_start_takes_no_longer_than_it_was_told(host: Host, never: Future[CommandResult]) -> None:
    """Killed at once, not asked to end and waited for: it has no request to finish."""
    instance = Instance(host, "other", "never")
    assert instance.show("TimeoutStartUSec") == "20s"
    assert never.result().failed
    until(lambda: instance.systemd_said("start operation timed out. Killing."), "systemd says that it killed it")


def test_a_worker_that_runs_out_of_memory_takes_no_other_with_it(site: Instance) -> None:
    """What systemd says, as a server for tests may have no limit of memory to run into."""
    assert site.show("OOMPolicy") == "continue"


# --- The sandbox


@pytest.mark.after_reboot
@pytest.mark.parametrize("folder", ["/srv/site/shared", "/run/site/instances", "/tmp", "/var/tmp", "/dev/shm"])
def test_it_can_write_where_it_has_to(site: Instance, folder: str) -> None:
    assert site.can_write(folder)


@pytest.mark.parametrize(
    "folder", ["/srv/site/notes", "/srv/site/releases/blue", "/etc", "/var/lib", "/opt", "/", "/run", "/run/lock"]
)
def test_it_cannot_write_anywhere_else(site: Instance, host: Host, folder: str) -> None:
    """Also where the modes of files would allow it: for the first of these they do."""
    assert not site.can_write(folder)
    assert not host.file(f"{folder}/written").exists


@pytest.mark.parametrize(
    "path", ["/etc/shadow", "/tmp/secret", "/home/visitor", "/root/.ssh", "/dev/kmsg", "/proc/kmsg"]
)
def test_it_cannot_see_what_is_not_its_own(site: Instance, host: Host, path: str) -> None:
    """Files of root's, other programs' /tmp, homes, the kernel's log."""
    assert host.run("test -e %s", path).succeeded or path == "/dev/kmsg"
    outcome = site.attempt(f"os.listdir({path!r}) if os.path.isdir({path!r}) else os.open({path!r}, os.O_RDONLY)")
    assert outcome.get("error") in {"FileNotFoundError", "PermissionError"}, outcome


def test_it_sees_no_processes_of_other_users(site: Instance, host: Host) -> None:
    seen = set(site.attempt("[os.stat('/proc/' + p).st_uid for p in os.listdir('/proc') if p.isdigit()]")["value"])
    assert seen == {host.user("site").uid}


def test_it_cannot_end_another_instance(site: Instance, green: Instance, host: Host) -> None:
    """Although their user is the same. On Debian 12 it can, if it guesses its number."""
    processes = site.attempt("[p for p in os.listdir('/proc') if p.isdigit()]")["value"]
    assert len(processes) == 3  # tini, the main process, its worker
    assert ("error" in site.attempt(f"os.kill({green.main}, 0)")) is is_debian_13(host)


@pytest.mark.parametrize(
    "expression",
    [
        "os.chmod('/srv/site/shared/program', 0o4755)",
        "os.setpriority(os.PRIO_PROCESS, 0, 5)",
        "os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))",
        "ctypes.CDLL(None, use_errno=True).personality(0x40000) + 1 or os.stat('/nowhere')",
        "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)",
        "mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)",
        "os.listdir('/proc/sys')",
    ],
)
def test_it_cannot_do_what_a_web_application_has_no_need_of(site: Instance, host: Host, expression: str) -> None:
    """Though its user may."""
    site.attempt(OPEN.format("/srv/site/shared/program", "O_WRONLY"))
    assert "error" in site.attempt(expression)
    program = f"import ctypes, mmap, os, socket\n{expression}"
    unconfined = host.run("runuser --user site -- python3 -c %s", program)
    assert unconfined.succeeded, unconfined.stderr


def test_it_can_gain_no_privileges(site: Instance) -> None:
    status = site.attempt("open('/proc/self/status').read()")["value"]
    facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert int(facts["CapBnd"], 16) == int(facts["CapEff"], 16) == 0
    assert facts["NoNewPrivs"] == "1"
    assert facts["Seccomp"] == "2"


def test_systemd_finds_it_little_exposed(site: Instance, host: Host) -> None:
    judgement = host.check_output("systemd-analyze security --no-pager %s", site.unit)
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", judgement)
    assert found is not None, judgement
    assert float(found[1]) <= 1.3, judgement


def test_limits_hold_for_what_already_runs(host: Host) -> None:
    """Systemd makes a slice without limits for a program that starts before there is a unit, and keeps it."""
    folder, unit = "/srv/site/releases/blue/bin", "/etc/systemd/system/early.slice"
    shown = "systemctl show --property=TasksMax --value early.slice"
    host.check_output("systemd-run --quiet --slice=early.slice --unit=early sleep infinity")
    try:
        host.check_output(
            f"sed 's/^slice=.*/slice=early.slice/' {folder}/instance > {folder}/early && sh {folder}/early limit"
        )
        assert host.check_output(shown) == "2048"
        host.check_output(f"sed -i s/2048/77/ {unit} && systemctl daemon-reload && sh {folder}/early limit")
        assert host.check_output(shown) == "77"  # the running release's limits, until the next one starts
    finally:
        host.check_output(f"systemctl stop early; rm -f {folder}/early {unit}; systemctl daemon-reload")


def test_what_its_programs_may_use_is_bounded(site: Instance, host: Host) -> None:
    """That the kernel enforces it depends on the host's control groups; that systemd was told so can be seen anywhere."""
    limits = host.check_output("systemctl show --property=MemoryHigh,MemoryMax,TasksMax site.slice")
    found = {name: int(value) for name, value in (line.split("=") for line in limits.splitlines())}
    memory = int(host.check_output("awk '/MemTotal/ {print $2}' /proc/meminfo")) * 1024
    assert found["MemoryHigh"] < found["MemoryMax"] < memory
    assert found["TasksMax"] == 2048
    assert site.show("Slice") == "site.slice"
    for folder in ("/dev/shm", "/tmp", "/var/tmp"):
        room = site.attempt(f"os.statvfs({folder!r}).f_blocks * os.statvfs({folder!r}).f_frsize")["value"]
        assert room < memory * 0.11 or (folder != "/dev/shm" and not is_debian_13(host))
        host.check_output("touch %s/other", folder)
        assert "other" not in site.attempt(f"os.listdir({folder!r})")["value"]


def test_it_cannot_ask_the_cloud_about_its_server(site: Instance) -> None:
    """As above, what systemd was told: a filter on the control group enforces it."""
    assert "169.254.0.0/16" in site.show("IPAddressDeny")


def test_systemd_of_this_debian_knows_every_directive(site: Instance, other: Instance, host: Host) -> None:
    """What it does not know it ignores, with a line in the journal."""
    for instance in (site, other):
        told = host.run("systemd-analyze verify %s", instance.unit)
        assert f"/{instance.unit.partition('@')[0]}@" not in told.stdout + told.stderr
    journal = host.check_output("journalctl _PID=1 --boot --output=cat --no-pager")
    assert [line for line in journal.splitlines() if re.search(r"/(site|other)@\w+\.service:\d+:", line)] == []


# --- Variables


def test_a_directive_can_be_changed(site: Instance, other: Instance) -> None:
    """The role's own give way, also to null, which leaves one out."""
    machine_code = "mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()"
    assert other.attempt(machine_code) == {"value": None}
    assert "error" in site.attempt("os.stat('/proc/meminfo')")
    assert "value" in other.attempt("os.stat('/proc/meminfo')")
    assert other.attempt("open('/tmp/secret').read()")["value"].startswith("words")


def test_a_directive_can_be_added(other: Instance) -> None:
    assert other.attempt("os.getpriority(os.PRIO_PROCESS, 0)") == {"value": 5}


def test_a_directive_can_have_several_values(other: Instance) -> None:
    values = other.attempt("[os.environ.get('GREETING'), os.environ.get('SIGNATURE')]")["value"]
    assert values == ["ahoy", 'the "crew"']


def test_further_folders_can_be_written_to(other: Instance) -> None:
    assert other.can_write("/srv/other/notes")


def run(host: Host, site_service: dict[str, object]) -> subprocess.CompletedProcess[str]:
    """Run the scenario's play again for this server."""
    return play(SCENARIO / "converge.yml", "--limit", host.backend.host, site_service=site_service)


def test_a_changed_unit_is_known_at_once_and_leaves_a_running_instance_alone(site: Instance, host: Host) -> None:
    before = site.main
    try:
        changed = run(host, {"LimitCORE": 4096})
        assert changed.returncode == 0, said(changed)
        assert site.show("NeedDaemonReload") == "no"
        assert site.show("LimitCORE") == "4096"
        assert site.main == before
    finally:
        run(host, {})


def test_a_server_without_tini_is_told_what_to_do(site: Instance, host: Host) -> None:
    """By a deploy, before anything has changed: only site.yml installs packages."""
    host.check_output("mv /usr/bin/tini /usr/bin/tini.away")
    try:
        told = host.run("%s verify", site.program)
        assert told.failed
        assert "Run site.yml, which installs it." in told.stderr
    finally:
        host.check_output("mv /usr/bin/tini.away /usr/bin/tini")


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("ProtecHome", "yes", "ProtecHome=yes:"),
        ("RestartSec", "soon", "RestartSec=soon:"),
        ("ExecStart", "/bin/true", "Service has more than one ExecStart= setting"),
    ],
)
def test_a_directive_that_systemd_does_not_take_is_refused(
    site: Instance, host: Host, name: str, value: str, told: str
) -> None:
    """A misspelt one, which it ignores, would leave an application less guarded, or more, than its reader believes."""
    result = run(host, {name: value})
    assert result.returncode != 0
    assert "systemd_service, app_timers: nothing was changed, as systemd does not take" in said(result)
    assert told in said(result)
    assert site.show("NeedDaemonReload") == "no"


def test_a_unit_of_somebody_else_that_systemd_does_not_take_is_no_fault_of_the_site_s(
    site: Instance, host: Host
) -> None:
    other = "/etc/systemd/system/other.service"
    host.check_output("printf '[Service]\\nExecStart=/bin/true\\nExecStart=/bin/true\\n' > %s", other)
    host.check_output("ln -s %s /etc/systemd/system/multi-user.target.wants/", other)
    try:
        told = host.run("%s verify", site.program)
        assert told.succeeded, told.stderr
    finally:
        host.check_output("rm %s /etc/systemd/system/multi-user.target.wants/other.service", other)


# --- Diagnosis and emergencies


def test_a_crash_is_tried_again_for_ever_at_a_bounded_rate(crash: Instance) -> None:
    """Systemd gives up after five starts in ten seconds where it is not told otherwise: a site would stay down."""
    until(lambda: int(crash.show("NRestarts")) >= 6, "it was started six times more")
    # By its own clock: the journal's is that of the moment in which the journal took note.
    starts = [float(e["MESSAGE"].split()[-1]) for e in crash.log() if e["MESSAGE"].startswith("crash starts at ")]
    assert min(later - earlier for earlier, later in itertools.pairwise(starts[-6:])) >= 1
