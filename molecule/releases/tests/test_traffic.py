"""How a release gets the traffic, keeps it and loses it, on one server without an edge."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from testinfra.host import Host

from applications import GOOD, Deploys, active, answer, ask, record
from probe import until


def log(host: Host) -> list[dict]:
    """Return what became of each deploy of `changing`, the latest last."""
    return [json.loads(line) for line in host.file("/srv/changing/release.log").content_string.splitlines()]


def test_an_active_release_that_is_not_well_is_left_running(host: Host, deploys: Deploys) -> None:
    ill = "import os\n    assert not os.path.exists('data/notes/ill')\n    return"
    deploys.write(GOOD.replace("VERSION", "1").replace("return", ill))
    assert deploys.run()[0] == 0
    release = active(host, "changing")
    host.check_output("touch /srv/changing/shared/data/notes/ill")
    code, output = deploys.run(app_health_timeout_seconds=6)
    host.check_output("rm /srv/changing/shared/data/notes/ill")
    assert code != 0
    assert f"the release {release} has the traffic and is not healthy: answered 500" in output
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
    time.sleep(0.1)  # between two looks at systemd; what ends the wait is the restart, or `timeout`, which fails the test
"""


def test_a_worker_that_dies_is_said_with_its_last_words(host: Host, deploys: Deploys) -> None:
    """Whichever moment it is asked in: it is started again each second."""
    workers = [{"name": "frail", "command": "echo 'no broker to talk to'; exit 3"}]
    what = [f"/run/changing/instances/{active(host, 'changing')}.sock", "changing-frail-1@*"]
    with ThreadPoolExecutor() as background:
        stay = background.submit(host.run, "timeout 300 python3 -c %s %s %s", STAY_UNTIL_RESTARTED, *what)
        code, output = deploys.run(app_workers=workers, app_drain_timeout_seconds=300)
        assert stay.result().succeeded
    assert code != 0
    assert f"app_workers: changing-frail-1@{active(host, 'changing')}.service" in output
    assert "no broker to talk to" in output
    assert answer(host, "changing") == {"version": 1}  # the site itself is well, and stays with the new release


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
    assert not host.file(f"/run/changing/instances/{old}.sock").exists
    assert host.run("systemctl is-enabled changing@%s", old).rc != 0
    assert host.run("systemctl is-enabled changing@%s", new).rc == 0


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
    return {"app_health_timeout_seconds": 6}


def break_health_path(deploys: Deploys) -> dict:
    """It starts, and does not answer in time."""
    # The fault itself: an answer takes 60 s, and the release is given 3.
    deploys.write(GOOD.replace("return", "import time; time.sleep(60); return"))  # the fault, no wait of the test
    return {"app_health_timeout_seconds": 3}


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
    before, sockets = active(host, "changing"), host.check_output("ls /run/changing/instances")
    releases = set(host.check_output("ls /srv/changing/releases").split())
    code, output = deploys.run(**fault(deploys))
    assert code != 0, output
    assert variable in output, output
    assert reason in output, output
    assert answer(host, "changing") == {"version": 1}
    assert (active(host, "changing"), host.check_output("ls /run/changing/instances")) == (before, sockets)
    (failed,) = set(host.check_output("ls /srv/changing/releases").split()) - releases
    assert record(host, "changing", failed)["state"] == "failed"


def test_an_active_instance_that_died_is_started_by_the_next_deploy(host: Host, deploys: Deploys) -> None:
    host.check_output("systemctl stop changing@%s", active(host, "changing"))
    assert ask(host, "changing")[0] == 0
    assert deploys.run()[0] == 0
    assert answer(host, "changing") == {"version": 1}
