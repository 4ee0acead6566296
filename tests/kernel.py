"""What the kernel enforces of an application's limits: `make test-kernel`, on a server with its own kernel.

The throwaway servers of the scenarios share their host's, which need not have quotas and control groups; there the tests
ask whether the limits are set.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import virtual_machine
from probe import Answer, ask, play, said, until

ROOT = Path(__file__).parents[1]
METADATA = "169.254.169.254"  # where clouds tell a server its secrets
VARIABLES = {
    "app_name": "told",
    "app_disk_max": "64M",
    "process_manager_memory_high": "infinity",  # else it would be slowed down, not ended
    "process_manager_memory_max": "500M",
    "process_manager_tasks_max": 300,
}


@dataclass(frozen=True)
class Machine:
    """A server with a site whose application runs what it is told."""

    known: dict[str, str]
    inventory: Path

    def root(self, program: str) -> str:
        """Run a program of the shell's as root; return what it printed."""
        done = subprocess.run(
            virtual_machine.login(self.known, "sh", "-euc", program), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done
        return done.stdout.strip()

    def boot(self) -> str:
        """Return which boot of the machine this is; "" where no login is possible."""
        argv = virtual_machine.login(self.known, "cat", "/proc/sys/kernel/random/boot_id")
        return subprocess.run(argv, capture_output=True, text=True, check=False).stdout

    def page(self) -> Answer:
        """Return the site's first page."""
        return ask(self.known["web"], "/", "told.test")

    def told(self, program: str) -> tuple[int, str]:
        """Let the application run a program of the shell's; return its exit code and output."""
        answer = ask(self.known["web"], "/run", "told.test", method="POST", body=program.encode()).json
        return answer["code"], answer["output"]

    def site_yml(self, *arguments: str, **variables: object) -> str:
        """Run the main job; return its output."""
        done = play(ROOT / "site.yml", *arguments, inventory=self.inventory, **variables)
        assert done.returncode == 0, said(done)
        return said(done)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Boot the server, and deploy."""
    source = tmp_path_factory.mktemp("told")
    shutil.copy(ROOT / "molecule/hostile/files/attacker/main.py", source)
    with virtual_machine.booted() as known:
        host = {name: value for name, value in known.items() if name.startswith("ansible_")}
        groups: dict[str, object] = {group: {"hosts": {"vm": {}}} for group in ("edge", "app", "db")}
        variables = {**VARIABLES, "app_source": str(source), "app_domains": ["told.test"]}
        inventory = source.with_suffix(".json")
        inventory.write_text(json.dumps({"all": {"hosts": {"vm": host}, "children": groups, "vars": variables}}))
        found = Machine(known, inventory)
        found.site_yml()
        yield found


def test_an_application_keeps_no_more_on_the_disk_than_it_may(machine: Machine) -> None:
    code, output = machine.told("head -c 100M /dev/zero > $HOME/big")
    assert code != 0
    assert "Disk quota exceeded" in output
    assert 60 << 20 < int(machine.root("stat -c %s /srv/told/shared/big")) <= 64 << 20
    machine.root("runuser -u games -- head -c 100M /dev/zero > /var/tmp/games; rm /var/tmp/games")
    assert machine.told("rm $HOME/big; echo 1 > $HOME/small; rm $HOME/small")[0] == 0


def test_an_application_keeps_no_more_files_than_the_disk_has_room_for(machine: Machine) -> None:
    code, output = machine.told("mkdir $HOME/many; cd $HOME/many; seq 5000 | xargs touch")
    assert code != 0
    assert "Disk quota exceeded" in output
    assert 4000 < int(machine.root("find /srv/told/shared/many | wc -l")) <= 4096
    assert machine.told("rm -r $HOME/many")[0] == 0


def test_an_application_starts_no_more_processes_than_it_may(machine: Machine) -> None:
    code, output = machine.told("for n in $(seq 500); do sleep 1000 > /dev/null 2>&1 & done")
    assert code != 0
    assert "Cannot fork" in output
    assert int(machine.root("cat /sys/fs/cgroup/told.slice/pids.peak")) == VARIABLES["process_manager_tasks_max"]
    machine.root("runuser -u games -- true")
    machine.root("pkill --uid told sleep")
    assert machine.told("true")[0] == 0


def test_an_application_that_takes_more_memory_than_it_may_is_ended_and_nobody_else(machine: Machine) -> None:
    others = "systemctl show --property=ActiveEnterTimestampMonotonic nginx postgresql@17-main"
    before = machine.root(others)
    machine.told("python3 -c 'bytearray(900 << 20)'")
    until(lambda: "oom_memcg=/told.slice" in machine.root("journalctl --dmesg"), "the kernel says whom it ended")
    until(lambda: machine.page().status == 200, "the site answers again")
    assert machine.root(others) == before


def test_an_application_does_not_reach_what_a_cloud_tells_a_server(machine: Machine) -> None:
    machine.root(
        f"ip address add {METADATA}/32 dev lo; systemd-run --quiet python3 -m http.server --bind {METADATA} 8000"
    )
    asked = f"python3 -c 'import urllib.request as u; print(u.urlopen(\"http://{METADATA}:8000/\", timeout=5).status)'"
    # Until the server listens, the question fails; that it does is what is waited for.
    until(lambda: machine.root(f"{asked} || true") == "200", "root reaches it")
    code, output = machine.told(asked)
    assert code != 0
    assert re.search("not permitted|timed out", output)


def test_a_second_run_changes_nothing(machine: Machine) -> None:
    assert "changed=0 " in machine.site_yml()


def test_the_limit_of_the_disk_holds_after_a_restart(machine: Machine) -> None:
    before = machine.boot()
    subprocess.run(virtual_machine.login(machine.known, "systemctl", "reboot"), check=False)
    until(lambda: machine.boot() not in ("", before), "it restarts", virtual_machine.BOOT_TIMEOUT_SECONDS)
    until(lambda: machine.page().status == 200, "the site answers again")
    assert machine.told("head -c 100M /dev/zero > $HOME/big")[0] != 0
    assert machine.told("rm $HOME/big")[0] == 0


def test_a_limit_of_the_disk_is_taken_away(machine: Machine) -> None:
    assert "changed=1 " in machine.site_yml("--check", "--diff", app_disk_max="")
    assert machine.told("head -c 100M /dev/zero > $HOME/big")[0] != 0
    assert "changed=1 " in machine.site_yml(app_disk_max="")
    assert machine.told("head -c 100M /dev/zero > $HOME/big")[0] == 0
    assert "changed=0 " in machine.site_yml(app_disk_max="")
