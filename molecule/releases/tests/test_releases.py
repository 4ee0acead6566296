"""The life of an application's releases, on one server without an edge.

It is the same whichever app server serves them: here Granian, which is the quickest to install.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

from applications import active, answer, ask, record
from probe import play, said, until

SCENARIO = Path(__file__).parents[1]


def log(host: Host) -> list[dict]:
    """Return what became of each deploy of `changing`, the latest last."""
    return [json.loads(line) for line in host.file("/srv/changing/release.log").content_string.splitlines()]


class Deploys:
    """Deploys of the application `changing` from a folder that a test may change."""

    def __init__(self, host: Host, source: Path) -> None:
        self.host, self.source = host, source

    def run(self, *arguments: str, **variables: Any) -> tuple[int, str]:
        """Deploy as playbooks/ would; return the exit code and all that was said."""
        given: dict[str, Any] = {
            "app_name": "changing",
            "app_source": str(self.source),
            "app_module": "main:app",
            "app_server": "granian",
            "app_build_packages": [],
            "app_shared_dirs": ["data/notes"],
            "app_health_timeout_seconds": 3,
            "granian_graceful_timeout_seconds": 2,  # a request that hangs is waited for no longer
            **variables,
        }
        # A server is provisioned once, as with playbooks/deploy.yml.
        given["provision"] = given["app_name"] not in PROVISIONED
        result = play(SCENARIO / "again.yml", *arguments, **given)
        if result.returncode == 0 and "--check" not in arguments:
            PROVISIONED.add(given["app_name"])
        return result.returncode, said(result)

    def roll_back(self, *arguments: str, **variables: Any) -> tuple[int, str]:
        """Roll back; return the exit code and all that was said."""
        given = {"app_name": "changing", "app_source": str(self.source), **variables}
        result = play(SCENARIO / "rollback.yml", *arguments, **given)
        return result.returncode, said(result)

    def write(self, text: str, name: str = "main.py") -> None:
        """Change a file of the application."""
        (self.source / name).write_text(text)


GOOD = """
from flask import Flask
app = Flask(__name__)
@app.get("/")
def index():
    return {"version": VERSION}
"""


PROVISIONED: set[str] = set()
# The release id of the good application, after its first deploy. The same files give the same id.
GOOD_RELEASE: dict[str, str] = {}


@pytest.fixture
def deploys(host: Host, tmp_path: Path) -> Iterator[Deploys]:
    """Return deploys of a good application; afterwards exactly one instance runs, whatever the test did."""
    result = Deploys(host, tmp_path)
    result.write(GOOD.replace("VERSION", "1"))
    good = GOOD_RELEASE.get("id")
    if not good or good != active(host, "changing"):  # most tests leave it as it was
        kept = good and host.file(f"/srv/changing/releases/{good}/.venv").exists
        code, output = result.roll_back(app_release=good) if kept else result.run()
        assert code == 0, output
        GOOD_RELEASE["id"] = active(host, "changing")
    yield result
    assert len(host.check_output("systemctl list-units --plain --no-legend 'changing@*'").splitlines()) == 1
    assert not host.file("/srv/changing/deploy.lock").exists


def test_the_same_input_is_the_same_release(host: Host, deploys: Deploys) -> None:
    assert deploys.run()[0] == 0  # a rollback leaves the input of the release before in its place
    before, pid = (
        active(host, "changing"),
        host.check_output("systemctl show -P MainPID changing@%s", active(host, "changing")),
    )
    code, output = deploys.run()
    assert (code, "changed=0" in output) == (0, True), output
    assert active(host, "changing") == before
    assert host.check_output("systemctl show -P MainPID changing@%s", before) == pid


def test_a_changed_setting_is_a_new_release_without_what_another_app_server_left(host: Host, deploys: Deploys) -> None:
    """And the old setting is the release that was there before."""
    before = active(host, "changing")
    code, output = deploys.run(app_server="gunicorn")
    assert code == 0, output
    other = active(host, "changing")
    assert host.file(f"/srv/changing/releases/{other}/bin/gunicorn.conf.py").exists
    host.check_output("touch /srv/changing/next/bin/uwsgi.ini")
    # One setting of the app server; tests/test_release_modules.py covers everything that a release is made of.
    code, output = deploys.run(granian_blocking_threads=3)
    assert code == 0, output
    changed = active(host, "changing")
    assert len({before, other, changed}) == 3
    left = {"gunicorn.conf.py", "uwsgi.ini"}
    assert left <= set(host.check_output("ls /srv/changing/next/bin").split())
    assert not left & set(host.check_output("ls /srv/changing/releases/%s/bin", changed).split())
    code, output = deploys.run()
    assert code == 0, output
    assert active(host, "changing") == before


WITH_A_PACKAGE_OF_ITS_OWN = """
import package
from flask import Flask
app = Flask(__name__)
@app.get("/")
def index():
    return {"version": package.VERSION}
"""


def test_packages_are_taken_from_a_release_with_the_same_dependencies_only(host: Host, deploys: Deploys) -> None:
    """And of five releases only so many are kept as app_releases_kept says."""
    backend = "[build-system]\nrequires = ['flit_core']\nbuild-backend = 'flit_core.buildapi'\n"
    (deploys.source / "package").mkdir()
    deploys.write(backend + "[project]\nname = 'package'\nversion = '1'\ndescription = ''\n", "package/pyproject.toml")
    deploys.write("flask\ntomli==2.0.1\n./package\n", "requirements.txt")
    deploys.write(WITH_A_PACKAGE_OF_ITS_OWN)
    mark = "/srv/changing/current/.venv/mark"

    def deployed(version: int, **variables: Any) -> None:
        deploys.write(f"VERSION = {version}\n", "package/package.py")
        code, output = deploys.run(app_releases_kept=2, **variables)
        assert code == 0, output
        assert answer(host, "changing") == {"version": version}

    deployed(1)
    first = active(host, "changing")
    host.check_output("touch %s", mark)
    deployed(2)  # of which no dependency file says anything
    assert host.file(mark).exists
    assert host.run("grep -rIl %s /srv/changing/current/.venv", first).stdout == "", "a program of another release's"
    deployed(3, app_release_force=True)
    assert not host.file(mark).exists
    host.check_output("touch %s.forced", mark)
    deployed(4)  # the packages of the forced build are kept
    assert (host.file(mark).exists, host.file(f"{mark}.forced").exists) == (False, True)
    deploys.write("flask\n./package\n", "requirements.txt")
    deployed(5)
    assert not host.file(f"{mark}.forced").exists
    assert host.run("ls -d /srv/changing/current/.venv/lib/*/site-packages/tomli").rc != 0
    kept = host.check_output("ls /srv/changing/releases").split()
    assert set(kept) == {active(host, "changing"), host.check_output("basename $(readlink /srv/changing/previous)")}


def test_changed_prestart_commands_are_a_new_release(host: Host, deploys: Deploys) -> None:
    before, sockets = active(host, "changing"), host.check_output("ls /run/changing")
    code, output = deploys.run(app_prestart=["echo migrating", "echo 'column is missing' >&2; exit 7"])
    assert code != 0, output
    assert "app_prestart:" in output
    assert "column is missing" in output
    assert (active(host, "changing"), host.check_output("ls /run/changing")) == (before, sockets)
    assert record(host, "changing", before)["state"] == "built"
    assert answer(host, "changing") == {"version": 1}
    code, output = deploys.run(app_prestart=["touch data/notes/migrated"])
    assert code == 0, output
    assert active(host, "changing") != before
    assert host.file("/srv/changing/shared/data/notes/migrated").user == "changing"


def test_nothing_outside_the_source_is_published(host: Host, deploys: Deploys) -> None:
    host.check_output("mkdir -p /srv/changing/shared/static/uploads && chown -R changing: /srv/changing/shared/static")
    host.check_output("ln -sf /etc/shadow /srv/changing/shared/static/uploads/shadow")
    (deploys.source / "static").mkdir()
    (deploys.source / "static/passwd").symlink_to("/etc/passwd")
    (deploys.source / "static/site.css").write_text("b {}")
    code, output = deploys.run(app_shared_dirs=["data/notes", "static/uploads"])
    assert code == 0, output
    assert host.check_output("cd /srv/changing/current/public && find . ! -type d") == "./static/site.css"


def test_a_static_folder_that_leads_elsewhere_is_not_published(host: Host, deploys: Deploys) -> None:
    (deploys.source / "static").symlink_to("/etc")
    code, output = deploys.run()
    assert code == 0, output
    assert host.check_output("find /srv/changing/current/public -type f") == ""


def test_a_shared_folder_cannot_lead_out_of_the_release(host: Host, deploys: Deploys) -> None:
    host.check_output("mkdir -p /srv/outside/kept && touch /srv/outside/kept/file")
    (deploys.source / "way").symlink_to("/srv/outside")
    code, output = deploys.run(app_shared_dirs=["way/kept"])
    assert code != 0
    assert "app_shared_dirs: 'way/kept' does not lie below the application's folder" in output
    assert host.file("/srv/outside/kept/file").exists
    host.check_output("rm -r /srv/outside")


def test_an_active_release_that_is_not_well_is_left_running(host: Host, deploys: Deploys) -> None:
    ill = "import os\n    assert not os.path.exists('data/notes/ill')\n    return"
    deploys.write(GOOD.replace("VERSION", "1").replace("return", ill))
    assert deploys.run()[0] == 0
    release = active(host, "changing")
    host.check_output("touch /srv/changing/shared/data/notes/ill")
    code, output = deploys.run()
    host.check_output("rm /srv/changing/shared/data/notes/ill")
    assert code != 0
    assert f"the release {release} has the traffic and is not well: answered 500" in output
    assert ask(host, "changing")[0] == 200


def test_an_instance_left_over_by_an_interrupted_deploy_is_stopped(host: Host, deploys: Deploys) -> None:
    deploys.write(GOOD.replace("VERSION", "2"))
    assert deploys.run()[0] == 0
    old = host.check_output("basename $(readlink /srv/changing/previous)")
    host.check_output("/srv/changing/releases/%s/bin/instance start", old)
    host.check_output("/srv/changing/releases/%s/bin/instance activate", old)
    assert deploys.run()[0] == 0
    assert host.run("systemctl is-active changing@%s", old).stdout.strip() == "inactive"
    assert host.run("systemctl is-enabled changing@%s", old).rc != 0
    assert answer(host, "changing") == {"version": 2}


def test_a_prestart_command_that_takes_too_long_is_ended_with_all_it_started(host: Host, deploys: Deploys) -> None:
    # The last has left the command's session, and holds its output open.
    command = "(sleep 4; touch data/notes/late) & setsid sleep 61 & wait"
    code, output = deploys.run(app_prestart=[command], app_prestart_timeout_seconds=1)
    assert code != 0
    assert "stopped after 1 seconds" in output
    host.check_output("pkill -f '[s]leep 61'")  # nobody waited for it
    assert host.run("sleep 4; ls /srv/changing/shared/data/notes/late").rc != 0


def test_a_dry_run_of_a_first_deploy_does_not_fail(host: Host, deploys: Deploys) -> None:
    code, output = deploys.run("--check", "--diff", app_name="newcomer")
    assert code == 0, output
    assert not host.file("/srv/newcomer").exists


def test_workers_and_timers_move_with_the_release(host: Host, deploys: Deploys) -> None:
    """The old ones get the time they need to finish, and none of them is left."""
    finish = "trap 'sleep 1; echo finished $APP_RELEASE >> data/notes/work; exit' TERM"
    work = f"{finish}; while :; do sleep 0.1 & wait; done"
    programs = {
        "app_workers": [{"name": "mill", "command": work, "count": 2}, {"name": "one", "command": "exec sleep 1000"}],
        "app_timers": [{"name": "tick", "command": "echo $APP_RELEASE >> data/notes/ticks", "on_calendar": "*:*:*"}],
    }
    host.check_output("rm -f /srv/changing/shared/data/notes/*")
    assert deploys.run(**programs)[0] == 0
    first = active(host, "changing")
    listed = f"systemctl list-units --plain --no-legend --state=active 'changing-*@{first}.*'"
    units = [line.split()[0] for line in host.check_output(listed).splitlines()]
    assert units == [
        f"changing-mill-1@{first}.service",
        f"changing-mill-2@{first}.service",
        f"changing-one-1@{first}.service",
        f"changing-tick@{first}.timer",
    ]
    until(lambda: first in host.run("cat /srv/changing/shared/data/notes/ticks").stdout, "the timer's program has run")
    for unit in units:
        assert host.run("systemctl is-enabled %s", unit).rc == 0
    deploys.write(GOOD.replace("VERSION", "2"))
    assert deploys.run(**programs)[0] == 0
    work_done = host.file("/srv/changing/shared/data/notes/work").content_string.split()
    assert work_done == ["finished", first] * 2
    assert host.run("systemctl list-unit-files --no-legend '*@%s.*'", first).stdout == ""
    assert len(host.check_output(listed.replace(first, active(host, "changing"))).splitlines()) == 4
    code, output = deploys.roll_back()
    assert code == 0, output
    assert len(host.check_output(listed).splitlines()) == 4


# Keeps a connection to an instance's socket, which is drained for so long, until a unit was started again.
STAY_UNTIL_RESTARTED = """
import socket, subprocess, sys, time
path, unit = sys.argv[1:]
connection = socket.socket(socket.AF_UNIX); connection.connect(path); connection.sendall(b"GET / HTTP/1.1\\r\\n")
show = ["systemctl", "show", "--property=NRestarts", "--value", unit]
while not subprocess.check_output(show, text=True).strip().strip("0"):
    time.sleep(0.1)  # between two looks; the connection stays open until the restart
"""


def test_a_worker_that_dies_is_said_with_its_last_words(host: Host, deploys: Deploys) -> None:
    """Whichever moment it is asked in: it is started again each second."""
    workers = [{"name": "frail", "command": "echo 'no broker to talk to'; exit 3"}]
    what = [f"/run/changing/{active(host, 'changing')}.sock", "changing-frail-1@*"]
    with ThreadPoolExecutor() as background:
        stay = background.submit(host.run, "timeout 300 python3 -c %s %s %s", STAY_UNTIL_RESTARTED, *what)
        code, output = deploys.run(app_workers=workers, app_drain_timeout_seconds=300)
        assert stay.result().succeeded
    assert code != 0
    assert f"app_workers: changing-frail-1@{active(host, 'changing')}.service" in output
    assert "no broker to talk to" in output
    assert answer(host, "changing") == {"version": 1}  # the site itself is well, and stays with the new release


def test_a_time_that_the_server_s_systemd_cannot_read_is_refused(deploys: Deploys) -> None:
    """What needs no server to be judged is in tests/test_preflight.py."""
    timers = [{"name": "tick", "command": "true", "on_calendar": "every now and then"}]
    code, output = deploys.run(preflight=True, app_timers=timers)
    assert code != 0
    assert "OnCalendar=every" in output


def test_a_new_release_takes_over_the_old_one_stops_and_hooks_run_around_it(
    host: Host, deploys: Deploys, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("hooks")
    hooks = {}
    for name in ("app_before_build", "app_after_build", "app_before_activation", "app_after_activation"):
        path = folder / f"{name}.yml"
        command = f"echo {name} $(basename $(readlink /srv/changing/current)) >> /run/hooks"
        path.write_text(json.dumps([{"name": name, "ansible.builtin.shell": command, "changed_when": False}]))
        hooks[name] = [str(path)]
    old = active(host, "changing")
    deploys.write(GOOD.replace("VERSION", "2"))
    for _ in range(2):  # the second time there is nothing to do
        code, output = deploys.run(**hooks)
        assert code == 0, output
    new = active(host, "changing")
    expected = [
        f"app_before_build {old}",
        f"app_after_build {old}",
        f"app_before_activation {old}",
        f"app_after_activation {new}",
    ]
    assert host.check_output("cat /run/hooks; rm /run/hooks").splitlines() == expected
    assert answer(host, "changing") == {"version": 2}
    assert host.check_output("basename $(readlink /srv/changing/previous)") == old
    assert not host.file(f"/run/changing/{old}.sock").exists
    assert host.run("systemctl is-enabled changing@%s", old).rc != 0
    assert host.run("systemctl is-enabled changing@%s", new).rc == 0


def test_a_prestart_script_of_the_application_s_is_run(host: Host, deploys: Deploys) -> None:
    """What it exports reaches the application, as with the container images that know such a script."""
    script = (
        'echo script for $APP_RELEASE >> data/notes/prestart\nexport WORDS="it\'s $APP_NAME"\nNOT_EXPORTED=1\nexit 0\n'
    )
    deploys.write(script, "prestart.sh")
    deploys.write("import os\n" + GOOD.replace("VERSION", "(os.environ['WORDS'], 'NOT_EXPORTED' in os.environ)"))
    prestart = "echo command >> data/notes/prestart"
    code, output = deploys.run(app_prestart=[prestart])
    assert code == 0, output
    assert answer(host, "changing") == {"version": ["it's changing", False]}
    file = host.file("/srv/changing/current/env.prestart")
    assert (file.user, file.group, file.mode) == ("root", "changing", 0o640)
    lines = host.file("/srv/changing/shared/data/notes/prestart").content_string.splitlines()
    assert lines == [f"script for {active(host, 'changing')}", "command"]


ALEMBIC = {
    "alembic.ini": "[alembic]\nscript_location = migrations\n",
    "requirements.txt": "flask==3.1.3\nalembic==1.16.5\n",
    "migrations/env.py": "open('data/notes/migrated', 'a').write('by alembic')",
    "migrations/versions/one.py": "revision = 'abc1'\ndown_revision = None\n",
}


def test_migrations_are_found_and_run_and_their_head_is_recorded(host: Host, deploys: Deploys) -> None:
    (deploys.source / "migrations/versions").mkdir(parents=True)
    for name, text in ALEMBIC.items():
        deploys.write(text, name)
    code, output = deploys.run(app_name="migrating")
    assert code == 0, output
    assert record(host, "migrating", active(host, "migrating"))["schema"] == ["abc1"]
    assert host.file("/srv/migrating/shared/data/notes/migrated").content_string == "by alembic"
    host.check_output("rm /srv/migrating/shared/data/notes/migrated")
    assert deploys.run(app_name="migrating", app_migrate=False)[0] == 0
    assert not host.file("/srv/migrating/shared/data/notes/migrated").exists


def test_a_release_can_be_built_anew_and_stays(host: Host, deploys: Deploys) -> None:
    before = active(host, "changing")
    assert deploys.run(app_release_force=True)[0] == 0
    forced = active(host, "changing")
    assert forced != before
    code, output = deploys.run()
    assert (code, "changed=0" in output) == (0, True), output
    assert active(host, "changing") == forced
    host.check_output("rm /srv/changing/next/forced")


def test_a_rollback_goes_to_good_releases_only_and_brings_their_settings_back(host: Host, deploys: Deploys) -> None:
    """Those of the application, and those of what runs it. What became of each attempt is logged."""
    old, before = active(host, "changing"), len(log(host))
    assert deploys.run(app_env={"A": "1"}, systemd_service={"Nice": 5})[0] == 0
    new = active(host, "changing")
    assert host.check_output("systemctl show -P Nice changing@%s", new) == "5"
    deploys.write("raise RuntimeError('no luck at all')")
    assert deploys.run()[0] != 0
    failed = log(host)[-1]["id"]
    assert record(host, "changing", failed)["state"] == "failed"
    for wanted, message in [
        (failed, "was never good: app_module"),
        ("0123456789ab", "release 0123456789ab does not exist here"),
        ("../../etc", "is not a release id"),
    ]:
        code, output = deploys.roll_back(app_release=wanted)
        assert code != 0
        assert message in output
    assert active(host, "changing") == new
    code, output = deploys.roll_back()
    assert code == 0, output
    assert active(host, "changing") == old
    assert host.check_output("systemctl show -P Nice changing@%s", old) == "0"
    assert "A=" not in host.file("/srv/changing/current/env").content_string
    entries = log(host)[before:]
    good = [(entry["verb"], entry["id"]) for entry in entries if entry["outcome"] == "activated"]
    assert good == [("deploy", new), ("rollback", old)]
    (reason,) = (entry["reason"] for entry in entries if (entry["verb"], entry["outcome"]) == ("deploy", "failed"))
    assert "app_module" in reason
    for entry in entries:
        assert {"time", "id", "source", "who", "host", "seconds"} <= entry.keys()


def break_import(deploys: Deploys) -> dict:
    """The module raises at import."""
    deploys.write("raise RuntimeError('no such luck')")
    return {}


def break_name(deploys: Deploys) -> dict:
    """The module has no such application."""
    return {"app_module": "main:wrong"}


def break_dependency(deploys: Deploys) -> dict:
    """A dependency cannot be had."""
    deploys.write("flask==0.0.999\n", "requirements.txt")
    return {}


def break_health(deploys: Deploys) -> dict:
    """It starts, and answers 500."""
    deploys.write(GOOD.replace("VERSION", "1 / 0"))
    return {}


def break_health_path(deploys: Deploys) -> dict:
    """It starts, and does not answer within app_health_timeout_seconds, 3 here."""
    deploys.write(GOOD.replace("return", "import time; time.sleep(60); return"))
    return {}


@pytest.mark.parametrize(
    ("fault", "variable", "reason"),
    [
        (break_import, "app_module:", "RuntimeError: no such luck"),
        (break_name, "app_module:", "has no attribute 'wrong'"),
        (break_dependency, "app_source:", "flask==0.0.999"),
        (break_health, "app_health_path:", "ZeroDivisionError"),
        (break_health_path, "app_health_path:", "no answer"),
    ],
)
def test_a_release_that_fails_is_never_let_near_a_visitor(
    host: Host, deploys: Deploys, fault: Callable[[Deploys], dict], variable: str, reason: str
) -> None:
    before, sockets = active(host, "changing"), host.check_output("ls /run/changing")
    releases = set(host.check_output("ls /srv/changing/releases").split())
    code, output = deploys.run(**fault(deploys))
    assert code != 0, output
    assert variable in output, output
    assert reason in output, output
    assert answer(host, "changing") == {"version": 1}
    assert (active(host, "changing"), host.check_output("ls /run/changing")) == (before, sockets)
    (failed,) = set(host.check_output("ls /srv/changing/releases").split()) - releases
    assert record(host, "changing", failed)["state"] == "failed"


def test_an_active_instance_that_died_is_started_by_the_next_deploy(host: Host, deploys: Deploys) -> None:
    host.check_output("systemctl stop changing@%s", active(host, "changing"))
    assert ask(host, "changing")[0] == 0
    assert deploys.run()[0] == 0
    assert answer(host, "changing") == {"version": 1}
