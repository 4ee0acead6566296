"""The life of a site's releases, in the order of this file, on one server that visitors never leave.

After each test every answer that a visitor got was right, and the book holds each entry once that was acknowledged.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import pytest
from testinfra.host import Host

from probe import ROOT, Site, play, playbook_command, playbook_environment, said, until
from visitors import NAME, Visitors

SITE = Site(Path(__file__).parents[1] / "environment", "guestbook", "lifecycle-trixie")
HOME = "/srv/guestbook"
EDGE_LOG = "/var/log/nginx/guestbook.error.log"
LOG_UNITS = "guestbook*"
pytestmark = pytest.mark.lost_requests
KEPT = 3  # app_releases_kept, in the environment
# `make test-lifecycle` asks for all of it: twenty deploys in a row, and a deploy killed in every step.
ALL = os.environ.get("SLIPWAY_LIFECYCLE") == "all"
BACK_TO_BACK = 20 if ALL else KEPT + 1  # which shows that the first of them goes
# Far above what a step of a deploy takes.
STEP_SECONDS = 120


# ------------------------------------------------------------------------------------------------ what tests deploy


class Source:
    """The application's folder, as a developer works on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.edition = 0
        self.run = time.strftime("%F %T")  # what a run before deployed on this server is something else
        shutil.copytree(ROOT / "app", folder, ignore=shutil.ignore_patterns("tests", "instance", "__pycache__"))

    def edit(self, name: str, old: str, new: str) -> None:
        """Change a file in one place."""
        text = (self.folder / name).read_text()
        assert text.count(old) == 1, (name, old)
        (self.folder / name).write_text(text.replace(old, new))

    def new_edition(self) -> str:
        """Make the next edition of the site; return what its pages say."""
        name = "guestbook/templates/base.html"
        self.edit(name, f"{self.mark()}</main>", f"{self.mark(1)}</main>")
        self.edition += 1
        return self.mark()

    def mark(self, ahead: int = 0) -> str:
        """Return what the pages of an edition say."""
        return f"<p>Edition {self.edition + ahead} of {self.run}.</p>" if self.edition + ahead else ""

    def migration(self, body: str) -> None:
        """Add a migration."""
        (self.folder / "migrations/versions/0002_mood.py").write_text(
            "import sqlalchemy as sa\nfrom alembic import op\n\n"
            f'revision = "0002"\ndown_revision = "0001"\n\n\ndef upgrade() -> None:\n    {body}\n'
        )

    @contextlib.contextmanager
    def put_back(self) -> Iterator[None]:
        """Undo at the end what was changed since."""
        kept = self.folder.with_name("kept")
        shutil.copytree(self.folder, kept)
        try:
            yield
        finally:
            shutil.rmtree(self.folder)
            kept.rename(self.folder)


# Waits on the server until a deploy is in a step, and sends a signal to who does it: the one process that has the
# application's folder open, as it holds the kernel's lock on it. A step can be over before a second question would get there.
AT_STEP = """
import contextlib, json, os, pathlib, sys, time
home, pid, step, number, seconds = sys.argv[1:]
deadline = time.monotonic() + float(seconds)
lock = {}
while time.monotonic() < deadline:
    there = False
    with contextlib.suppress(FileNotFoundError, ValueError):
        lock = json.loads(pathlib.Path(home, "deploy.lock").read_text())
        there = (lock.get("pid"), lock.get("step")) == (int(pid), step)
    for fd in pathlib.Path("/proc").glob("[0-9]*/fd/*") if there else ():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended in the meantime
            if os.readlink(fd) == home:
                os.kill(int(fd.parts[2]), int(number))
                print(fd.parts[2])
                sys.exit()
    time.sleep(0.005)  # far shorter than any step
sys.exit(f"no process was in the step {step}: {lock}")
"""


class Deploy:
    """A deploy that runs while the test does."""

    def __init__(self, source: Source, output: Path, **variables: object) -> None:
        argv = playbook_command(
            ROOT / "playbooks/deploy.yml",
            inventory=SITE.environment,
            app_source=str(source.folder),
            **variables,
        )
        self.output = output
        # Into a file: who reads a pipe to its end would also wait for what a killed deploy leaves behind.
        with output.open("w") as stream:
            self.process = subprocess.Popen(argv, env=playbook_environment(), stdout=stream, stderr=subprocess.STDOUT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def kill(self) -> None:
        """End it as a lost connection, a closed laptop or the kernel would: it is told nothing, and this process alone."""
        self.process.kill()
        self.process.wait()

    def end(self) -> tuple[int, str]:
        """Wait for its end; return exit code and output."""
        code = self.process.wait(5 * STEP_SECONDS)
        return code, self.output.read_text()

    def signal(self, host: Host, step: str, number: signal.Signals) -> str:
        """Wait until its lock on the server says that it is in a step; send a signal to the process that does it.

        Return that process's number.
        """
        what = [HOME, str(self.process.pid), step, str(number.value), str(STEP_SECONDS)]
        return str(host.check_output("python3 -c %s %s %s %s %s %s", AT_STEP, *what))

    def kill_in(self, host: Host, step: str) -> None:
        """Kill it in a step: a task of the play by its name, or what its lock on the server says.

        The work on the server is paused until the deploy is killed, and then goes on to the step's end.
        """
        if step in SERVER_STEPS:
            pid = self.signal(host, step, signal.SIGSTOP)
            self.kill()
            host.check_output("kill -CONT %s", pid)
            return

        def there() -> bool:
            assert self.process.poll() is None, self.output.read_text()
            return f"TASK [{step}]" in self.output.read_text()

        until(there, f"the deploy is in {step}", STEP_SECONDS)
        self.kill()


def deploy(source: Source, *arguments: str, **variables: object) -> tuple[int, str]:
    """Deploy; return exit code and output."""
    playbook = ROOT / "playbooks/deploy.yml"
    done = play(playbook, *arguments, inventory=SITE.environment, app_source=str(source.folder), **variables)
    return done.returncode, said(done)


def rollback(**variables: object) -> tuple[int, str]:
    """Roll back; return exit code and output."""
    done = play(ROOT / "playbooks/rollback.yml", inventory=SITE.environment, **variables)
    return done.returncode, said(done)


# ------------------------------------------------------------------------------------------------ what tests look at


def active(host: Host) -> str:
    """Return the release that has the traffic."""
    return host.check_output("basename $(readlink %s/current)", HOME)


def cached() -> tuple[str, str]:
    """Return the state of a page that the edge keeps for an hour, and which release made it."""
    first, second = SITE.ask("/api/whoami"), SITE.ask("/api/whoami")
    assert (second.headers["X-Cache"], second.body) == ("HIT", first.body)
    return str(first.headers["X-Cache"]), first.json["served_by"]["release"]


def record(host: Host, release: str) -> dict[str, Any]:
    """Return what is known of a release."""
    known: dict[str, Any] = json.loads(host.file(f"{HOME}/releases/{release}/release.json").content_string)
    return known


def kept(host: Host) -> set[str]:
    """Return the releases that are on the server."""
    return set(host.check_output("ls %s/releases", HOME).split())


def log(host: Host) -> list[dict[str, Any]]:
    """Return what became of each deploy, the latest last."""
    return [json.loads(line) for line in host.check_output("cat %s/release.log", HOME).splitlines()]


def holder(host: Host) -> dict[str, Any]:
    """Return the holder of the lock; {} where there is none."""
    lock: dict[str, Any] = json.loads(host.run("cat %s/deploy.lock", HOME).stdout or "{}")
    return lock


def units(release: str) -> set[str]:
    """Return the units of a release that runs."""
    return {f"guestbook@{release}.service", f"guestbook-idle-1@{release}.service", f"guestbook-nightly@{release}.timer"}


def listed(host: Host, command: str) -> set[str]:
    """Return the units of the application's releases that systemd lists."""
    lines = host.check_output(f"systemctl {command} --plain --no-legend --no-pager 'guestbook*@*'").splitlines()
    return {line.split()[0] for line in lines}


def assert_settled(host: Host, release: str) -> None:
    """One release has the traffic, runs, and will after a reboot; of no other there is anything but its folder."""
    assert active(host) == release
    assert host.check_output("readlink /run/guestbook/app.sock") == f"instances/{release}.sock"
    assert set(host.check_output("ls /run/guestbook/instances").split()) == {f"{release}.sock"}
    assert listed(host, "list-units") == units(release)
    assert listed(host, "list-unit-files") == units(release) | {f"guestbook-nightly@{release}.service"}
    assert listed(host, "list-unit-files --state=enabled") == units(release)
    assert (
        f"app.sock - - - - instances/{release}.sock"
        in host.file("/etc/tmpfiles.d/slipway-guestbook.conf").content_string
    )
    assert holder(host) == {}
    assert release in SITE.ask("/").body.decode()


def sql(host: Host, statement: str) -> str:
    """Ask the application's database as its administrator."""
    return str(host.check_output("cd / && runuser -u postgres -- psql -qAtc %s guestbook", statement))


def in_the_book(host: Host) -> Counter[str]:
    """Return how often each visitor's entry is in the database."""
    return Counter(sql(host, f"select message from entries where name = '{NAME}'").splitlines())


# ------------------------------------------------------------------------------------------------ what holds all the time


@pytest.fixture(scope="module")
def visitors(host: Host) -> Iterator[Visitors]:
    sql(host, "delete from entries")
    host.check_output("truncate --size=0 %s", EDGE_LOG)
    with Visitors(SITE.address) as there:
        there.all_come_round()
        yield there
    print(f"{len(there.pages)} pages, {len(there.written)} entries")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, visitors: Visitors) -> Source:
    return Source(tmp_path_factory.mktemp("source") / "app")


@pytest.fixture(autouse=True)
def no_visitor_is_let_down(host: Host, visitors: Visitors) -> Iterator[None]:
    """Every answer was right at the first try, no visitor stayed away, and no entry is lost or there twice."""
    yield
    visitors.all_come_round()
    trouble = host.run("grep -E '\\[(error|crit|alert|emerg)\\]' %s", EDGE_LOG).stdout
    host.check_output("truncate --size=0 %s", EDGE_LOG)
    assert trouble == "", "the edge had to try again, or gave up"
    with visitors.standing_still():
        book = in_the_book(host)
        wrong, visitors.wrong = visitors.wrong, []
        assert wrong == [], f"{len(wrong)} of {len(visitors.pages)} rounds"
        assert [entry for entry, times in book.items() if times > 1] == []
        assert visitors.written - set(book) == set()
        assert set(book) - visitors.written - visitors.unknown == set()


# ------------------------------------------------------------------------------------------------ the journey


# Waits for the end of a unit; prints how many connections its socket had at the last moment before it was told to stop.
# Source: proc_net(5), /proc/net/unix: state 03 is connected, and the accepting side has the listener's path.
LAST_CONNECTIONS = """
import pathlib, subprocess, sys
unit, path = sys.argv[1:]
last = None
while True:
    rows = [row.split() for row in pathlib.Path("/proc/net/unix").read_text().splitlines()]
    count = sum(row[5] == "03" and row[-1] == path for row in rows)
    if subprocess.run(["systemctl", "is-active", "--quiet", unit]).returncode:
        break
    last = count
print(last)
"""


def test_a_new_version_takes_over_and_the_old_one_is_drained_first(host: Host, source: Source) -> None:
    old, edition = active(host), source.new_edition()
    with ThreadPoolExecutor() as watchers:
        what = [f"guestbook@{old}.service", f"/run/guestbook/instances/{old}.sock"]
        last = watchers.submit(host.check_output, "timeout 300 python3 -c %s %s %s", LAST_CONNECTIONS, *what)
        code, output = deploy(source)
    assert code == 0, output
    assert last.result() == "0"
    assert active(host) != old
    assert edition in SITE.ask("/").body.decode()
    assert_settled(host, active(host))
    finished = host.file(f"{HOME}/shared/instance/uploads/finished").content_string.split()
    assert finished[-1] == old, "the worker of the release before was not let finish"


def cannot_be_imported(source: Source) -> None:
    source.edit("guestbook/api.py", "import Any\n", "import Any\n\nraise RuntimeError('no such luck')\n")


def cannot_be_started(source: Source) -> None:
    source.edit("guestbook/__init__.py", "    configure_logging()\n", "    raise RuntimeError('no such luck')\n")


def answers_500(source: Source) -> None:
    source.edit("guestbook/health.py", "return report, 200", "return report, 500")


def cannot_migrate(source: Source) -> None:
    source.migration('op.execute("alter table no_such_table add column mood text")')


@pytest.mark.parametrize(
    ("change", "reasons"),
    [
        (cannot_be_imported, ["app_module: 'guestbook:create_app()' cannot be imported", "RuntimeError: no such luck"]),
        (cannot_be_started, ["app_health_path: the release", "did not come up", "RuntimeError: no such luck"]),
        (answers_500, ["app_health_path: the release", "did not come up: answered 500"]),
        (
            cannot_migrate,
            ["app_migrate: 'alembic upgrade heads' ended with code 1", 'relation "no_such_table" does not'],
        ),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_version_that_is_no_good_is_let_near_no_visitor(
    host: Host, source: Source, visitors: Visitors, change: Any, reasons: list[str]
) -> None:
    old, began = active(host), time.monotonic()
    with source.put_back():
        change(source)
        code, output = deploy(source, app_health_timeout_seconds=15)
    assert code != 0
    for reason in reasons:
        assert reason in output
    failed = log(host)[-1]
    assert (failed["outcome"], record(host, failed["id"])["state"]) == ("failed", "failed")
    assert record(host, failed["id"])["reason"] == failed["reason"]
    assert failed["reason"].startswith(reasons[0])
    assert_settled(host, old)
    assert visitors.releases_since(began) == {old}


def test_one_goes_back_from_a_good_version_and_never_to_a_bad_one(host: Host, source: Source) -> None:
    old, old_edition, bad = active(host), source.mark(), log(host)[-1]
    assert cached()[1] == old
    code, output = rollback(app_release=bad["id"])
    assert code != 0
    assert f"app_release: {bad['id']} was never good: app_migrate: 'alembic upgrade heads' ended with code 1" in output
    assert_settled(host, old)
    edition = source.new_edition()
    code, output = deploy(source)
    assert code == 0, output
    new = active(host)
    assert edition in SITE.ask("/").body.decode()
    assert cached() == ("MISS", new)
    code, output = rollback()
    assert code == 0, output
    # Not even what it had answered before it was left.
    assert cached() == ("MISS", old)
    code, output = SITE.playbook("purge", path="/api")
    assert code == 0, output
    assert cached() == ("MISS", old)
    assert (active(host), host.check_output("basename $(readlink %s/previous)", HOME)) == (old, new)
    assert old_edition in SITE.ask("/").body.decode()
    assert_settled(host, old)


def test_after_a_reboot_the_active_release_is_back_and_no_other(host: Host, visitors: Visitors) -> None:
    links = f"readlink {HOME}/current {HOME}/previous /run/guestbook/app.sock"
    release, before = active(host), host.check_output(links)
    with visitors.forgiving():
        program = [sys.executable, str(ROOT / "tools/servers"), "reboot", SITE.server]
        subprocess.run(program, check=True, capture_output=True)
    host.check_output("truncate --size=0 %s", EDGE_LOG)  # nginx is there before the application
    assert host.check_output(links) == before
    assert_settled(host, release)


def test_deploys_back_to_back_leave_what_should_be_kept(host: Host, source: Source) -> None:
    deployed: list[str] = []
    for _ in range(BACK_TO_BACK):
        edition = source.new_edition()
        code, output = deploy(source)
        assert code == 0, output
        assert edition in SITE.ask("/").body.decode()
        deployed.append(active(host))
    assert len(set(deployed)) == BACK_TO_BACK
    assert kept(host) == set(deployed[-KEPT:])
    assert_settled(host, deployed[-1])


def test_one_goes_back_to_any_release_that_was_good(host: Host) -> None:
    links = [host.check_output("basename $(readlink %s/%s)", HOME, name) for name in ("current", "previous")]
    wanted = min(kept(host) - set(links), key=lambda release: record(host, release)["activated"])
    code, output = rollback(app_release="0123456789ab")
    assert code != 0
    assert "app_release: release 0123456789ab does not exist here" in output
    code, output = rollback(app_release=wanted)
    assert code == 0, output
    assert_settled(host, wanted)


# ------------------------------------------------------------------------------------------------ two at once


def test_a_second_deploy_says_who_is_at_it_and_since_when(host: Host, source: Source, tmp_path: Path) -> None:
    edition = source.new_edition()
    done = f"{HOME}/shared/done"
    waits = f"for _ in $(seq {STEP_SECONDS}0); do [ -e {done} ] && exit; sleep 0.1; done; exit 1"
    try:
        with Deploy(source, tmp_path / "first", app_prestart=[waits]) as first:
            first.signal(host, "prestart", signal.SIGCONT)  # it goes on as if nothing had been
            before = holder(host)
            code, output = deploy(source)
            assert code != 0
            since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(before["since"]))
            assert f"app_lock_break: root has held the deploy lock from {os.uname().nodename} since {since}" in output
            assert holder(host) == before
            host.check_output("touch %s", done)
            code, output = first.end()
    finally:
        host.check_output("rm -f %s", done)
    assert code == 0, output
    assert edition in SITE.ask("/").body.decode()
    assert_settled(host, active(host))


def test_the_lock_of_a_machine_that_is_gone_is_broken_by_name_only(host: Host, source: Source) -> None:
    old = active(host)
    source.new_edition()
    lock = {
        "run": "0123456789ab",
        "who": "ada",
        "host": "difference-engine",
        "machine": "elsewhere",
        "pid": 1,
        "started": "",
        "since": int(time.time()) - 3600,
        "verb": "deploy",
        "source": "v3",
        "step": "build",
    }
    host.check_output("echo %s > %s/deploy.lock", json.dumps(lock), HOME)
    code, output = deploy(source)
    assert code != 0
    assert "app_lock_break: ada has held the deploy lock from difference-engine since" in output
    assert "again with -e app_lock_break=true" in output
    assert (active(host), holder(host)) == (old, lock)
    code, output = deploy(source, app_lock_break=True)
    assert code == 0, output
    assert active(host) != old
    assert_settled(host, active(host))
    interrupted, deployed = log(host)[-2:]
    assert (interrupted["who"], interrupted["outcome"], interrupted["step"]) == ("ada", "interrupted", "build")
    assert (deployed["who"], deployed["outcome"], deployed["id"]) == ("root", "activated", active(host))


# ------------------------------------------------------------------------------------------------ deploys that are killed

SERVER_STEPS = ("build", "prestart", "gate", "activate")
STEPS = [
    "slipway.flask.app : Stage the next release, and see whether it has the traffic already",
    *SERVER_STEPS,
    "slipway.flask.app : Stop old instances and release the lock",
]


def test_a_deploy_that_is_killed_at_any_step_is_made_good_by_the_next(
    host: Host, source: Source, tmp_path: Path
) -> None:
    edition, before = source.new_edition(), len(log(host))
    for number, step in enumerate(STEPS):
        # Each has different settings, so that what the one before did after its end is not what this one would do.
        with Deploy(source, tmp_path / str(number), app_env={"NEW": f"settings {number}"}) as killed:
            killed.kill_in(host, step)
        assert SITE.ask("/").status == 200
        # On the server a step goes on to its end: the first takes the lock, and the last two give it back.
        if step not in (STEPS[0], *STEPS[-2:]):
            assert holder(host), "a deploy that was killed does not give its lock back"
    code, output = deploy(source, app_env={"NEW": "settings"})
    assert code == 0, output
    assert edition in SITE.ask("/").body.decode()
    assert_settled(host, active(host))
    entries = log(host)[before:]
    interrupted = {entry["step"] for entry in entries if entry["outcome"] == "interrupted"}
    assert {"build", "prestart", "gate"} <= interrupted
    assert record(host, active(host))["activated"]


@pytest.mark.parametrize("step", ["build", "activate"])
def test_a_step_that_dies_on_the_server_is_made_good_by_the_next_deploy(
    host: Host, source: Source, tmp_path: Path, step: str
) -> None:
    old, edition = active(host), source.new_edition()
    with Deploy(source, tmp_path / "killed") as deploying:
        deploying.signal(host, step, signal.SIGKILL)
        code, output = deploying.end()
    assert code != 0, output
    assert_settled(host, active(host))
    assert (log(host)[-1]["outcome"], log(host)[-1]["step"]) == ("interrupted", step)
    code, output = deploy(source)
    assert code == 0, output
    assert edition in SITE.ask("/").body.decode()
    new = active(host)
    assert new != old
    assert_settled(host, new)
    assert record(host, new)["activated"]


def test_a_switch_that_was_torn_in_the_middle_is_completed_by_the_next_deploy(
    host: Host, source: Source, visitors: Visitors, tmp_path: Path
) -> None:
    """Between the two renames of a switch: the static files are of the new release already, the pages still of the old one."""
    old, edition, began = active(host), source.new_edition(), time.monotonic()
    torn = tmp_path / "torn.yml"
    first = {"src": "releases/{{ _app_release.id }}", "dest": f"{HOME}/current", "state": "link"}
    torn.write_text(json.dumps([{"ansible.builtin.file": first}, {"ansible.builtin.fail": {"msg": "torn"}}]))
    code, output = deploy(source, app_before_activation=[str(torn)])
    assert code != 0, output
    new = active(host)
    assert new != old
    assert SITE.ask("/").status == 200
    code, output = deploy(source)
    assert code == 0, output
    assert edition in SITE.ask("/").body.decode()
    assert_settled(host, new)
    assert record(host, new)["activated"]
    assert visitors.releases_since(began) == {old, new}


# ------------------------------------------------------------------------------------------------ a full disk


@pytest.fixture
def small_disk(host: Host) -> Iterator[str]:
    """A folder of releases with little room left."""
    folder = f"{HOME}/releases"
    used = int(host.check_output("du -sk %s", folder).split()[0])
    host.check_output(
        "mkdir -p /mnt/small && mount -t tmpfs -o size=%sk,mode=0755 small /mnt/small", str(used + 16 * 1024)
    )
    host.check_output("cp -a %s/. /mnt/small && mount --bind /mnt/small %s && umount /mnt/small", folder, folder)
    yield folder
    # What lies below becomes what lay above; then the programs that have it open may keep it as long as they like.
    host.check_output(
        f"mount --bind {HOME} /mnt/small && rm -rf /mnt/small/releases/* && cp -a {folder}/. /mnt/small/releases"
        f" && umount /mnt/small && umount --lazy {folder}"
    )


def test_a_full_disk_stops_a_build_and_nothing_else(
    host: Host, source: Source, visitors: Visitors, small_disk: str
) -> None:
    old, edition, began = active(host), source.new_edition(), time.monotonic()
    code, output = deploy(source)
    assert code != 0
    assert f"The disk of {HOME} is full; the active release was left as it is. Make room" in output
    assert "app_releases_kept" in output
    failed = log(host)[-1]
    assert (failed["outcome"], record(host, failed["id"])["state"]) == ("failed", "failed")
    assert_settled(host, old)
    assert visitors.releases_since(began) == {old}
    host.check_output("mount -o remount,size=2g %s", small_disk)
    code, output = deploy(source)
    assert code == 0, output
    assert edition in SITE.ask("/").body.decode()
    assert active(host) == failed["id"]
    assert_settled(host, failed["id"])


# ------------------------------------------------------------------------------------------------ a migration


def test_a_rollback_stops_at_a_migration(host: Host, source: Source, visitors: Visitors) -> None:
    old, old_edition = active(host), source.mark()
    source.new_edition()
    source.migration('op.add_column("entries", sa.Column("mood", sa.String(20)))')
    code, output = deploy(source)
    assert code == 0, output
    new, began = active(host), time.monotonic()
    assert record(host, new)["schema"] == ["0002"]
    code, output = rollback()
    assert code != 0
    assert "app_rollback_force: the database is at the schema 0002" in output
    assert f"{old} was built for 0001. Nothing was changed." in output
    assert_settled(host, new)
    assert visitors.releases_since(began) == {new}
    code, output = rollback(app_rollback_force=True)
    assert code == 0, output
    assert old_edition in SITE.ask("/").body.decode()
    assert_settled(host, old)
    # These tests begin with the application as it is in app/, also where they run once more on the same server.
    sql(host, "alter table entries drop column mood; update alembic_version set version_num = '0001'")
