"""What the throwaway servers promise, also after a crash. Needs root; has its own prefix."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from servers import network
from servers.names import N, Names
from servers.namespace import process_identity

PROGRAM = Path(__file__).parents[1]
NAMES = Names(f"{N.prefix[:30]}-selftest")


def call(*arguments: str) -> str:
    """Run tools/servers with our prefix; return what it printed."""
    done = subprocess.run(
        [sys.executable, str(PROGRAM), *arguments],
        env={**os.environ, "SLIPWAY_PREFIX": NAMES.prefix},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def up(name: str) -> str:
    return call("up", f"selftest-{name}", "--debian", "trixie")


def ssh(name: str, *command: str) -> str:
    return call("ssh", f"selftest-{name}", *command)


def listed() -> set[str]:
    return {line.split()[0].removeprefix("selftest-") for line in call("list").splitlines()}


def keeper() -> int:
    return int((NAMES.run / "keeper").read_text().split()[0])


def processes_inside() -> set[int]:
    """Living processes of our servers: they are in one cgroup of version 2, wherever that is mounted.

    One that was killed together with its parent waits for the machine's own PID 1 to take note of it, which is not ours
    to hasten.
    """
    found = set()
    for path in Path("/proc").glob("[0-9]*/cgroup"):
        with contextlib.suppress(OSError):
            if any(line.startswith(f"0::/{NAMES.prefix}/") for line in path.open()):
                found.add(int(path.parent.name))
    return {pid for pid in found if process_identity(pid)}


def processes_naming_us() -> list[str]:
    """Command lines that bear our folders: podman's monitors, SSH connections."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if f"{NAMES.data}/" in words or f"{NAMES.run}/" in words:
                found.append(words)
    return found


def kill(pids: set[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while any(process_identity(pid) for pid in pids):
        assert time.monotonic() < deadline, "killed processes linger"
        time.sleep(0.02)


def own_monitors() -> set[int]:
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes()
            if b"conmon" in words and f"{NAMES.data}/".encode() in words:
                found.add(int(path.parent.name))
    return found


@pytest.fixture(autouse=True, scope="module")
def _nothing_stays() -> Iterator[None]:
    call("down", "--all")
    yield
    call("purge")


def test_no_checkout_gets_the_subnet_that_podman_keeps_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the prefixes of 1000 checkouts some derive that one."""
    for number in range(1000):
        checkout = Names(f"slipway-{number}")
        monkeypatch.setattr(network, "N", checkout)
        if checkout.digest[0] == 88:
            assert not str(network.free_subnet()).startswith("10.88."), checkout.prefix


def test_two_calls_at_once_give_two_servers() -> None:
    with ThreadPoolExecutor() as pool:
        addresses = list(pool.map(up, ["one", "two"]))
    assert len(set(addresses)) == 2
    assert [ssh(name, "hostname") for name in ("one", "two")] == ["selftest-one", "selftest-two"]


def test_a_server_that_is_up_stays_as_it_is() -> None:
    address = up("one")
    ssh("one", "touch", "/root/mark")
    assert up("one") == address
    assert ssh("one", "ls", "/root/mark") == "/root/mark"


def test_a_reboot_starts_everything_anew_and_keeps_disk_and_address() -> None:
    address = up("one")
    ssh("one", "touch", "/root/mark", "/run/mark")
    call("reboot", "selftest-one")
    assert call("address", "selftest-one") == address
    assert ssh("one", "sh", "-c", "ls /root/mark /run/mark 2>/dev/null || true") == "/root/mark"


def test_who_comes_and_goes_is_unnoticed_by_the_connections_of_the_others() -> None:
    """The host keeps its hardware address, which they send to, also where the first server reboots alone."""
    bridge = Path("/sys/class/net", NAMES.bridge, "address")
    up("one")
    kept = bridge.read_text()
    for name in ("two", "three"):
        up(name)
        assert bridge.read_text() == kept
        assert kept.strip() in ssh(name, "ip", "neigh")
    call("down", "selftest-two", "selftest-three")
    call("reboot", "selftest-one")
    assert bridge.read_text() == kept
    call("down", "selftest-one")
    up("two")
    assert bridge.read_text() == kept


def test_a_bare_server_has_no_more_than_debian_and_sshd() -> None:
    up("one")
    programs = ["sudo", "nginx", "pip", "curl", "git"]
    assert ssh("one", "sh", "-c", f"which {' '.join(programs)} || true") == ""
    assert ssh("one", "sh", "-c", "ls /var/lib/apt/lists/*Packages 2>/dev/null || true") == ""
    assert ssh("one", "systemctl", "is-system-running") == "running"


def test_a_server_can_neither_set_the_machine_s_clock_nor_load_modules_into_its_kernel() -> None:
    up("one")
    status = ssh("one", "cat", "/proc/1/status")
    (bounding,) = (int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapBnd:"))
    sys_module, sys_time = 1 << 16, 1 << 25  # capabilities(7), linux/capability.h
    assert bounding & (sys_module | sys_time) == 0


def test_servers_that_lost_their_keeper_are_cleaned_up() -> None:
    up("one")
    up("two")
    before = processes_inside()
    assert before
    kill({keeper()})
    up("two")
    assert listed() == {"two"}
    assert not before & processes_inside()
    assert ssh("two", "hostname") == "selftest-two"


def test_a_run_of_which_everything_was_killed_breaks_nothing() -> None:
    up("one")
    kill({keeper()} | own_monitors() | processes_inside())
    assert up("two")
    assert listed() == {"two"}
    assert ssh("two", "hostname") == "selftest-two"


def test_a_server_killed_from_outside_is_booted_anew() -> None:
    up("one")
    kill(processes_inside())
    up("one")
    assert ssh("one", "hostname") == "selftest-one"


def test_a_server_of_which_everything_was_killed_can_be_rebooted() -> None:
    """podman still takes it for running, and fails to shut it down."""
    up("one")
    kill(own_monitors() | processes_inside())
    call("reboot", "selftest-one")
    assert ssh("one", "hostname") == "selftest-one"


def test_a_number_that_now_belongs_to_another_process_is_not_taken_for_the_keeper() -> None:
    up("one")
    kill({keeper()})
    (NAMES.run / "keeper").write_text(f"{os.getpid()} 1 another-boot\n")
    up("one")
    assert keeper() != os.getpid()
    assert ssh("one", "hostname") == "selftest-one"


def test_the_last_log_lines_of_a_server_are_kept_when_it_is_removed(tmp_path: Path) -> None:
    up("one")
    ssh("one", "systemd-run", "--wait", "--quiet", "echo", "last words")
    call("down", "--logs", str(tmp_path), "selftest-one")
    assert "last words" in (tmp_path / "selftest-one.log").read_text()


def test_nothing_is_left_when_the_last_server_is_down() -> None:
    up("one")
    subnet = call("address", "selftest-one").rpartition(".")[0] + ".0/24"
    before = keeper()
    call("down", *(f"selftest-{name}" for name in listed()))
    assert listed() == set()
    assert process_identity(before) is None
    assert processes_inside() == set()
    assert processes_naming_us() == []
    assert not NAMES.run.exists()
    assert NAMES.bridge not in subprocess.check_output(["ip", "-brief", "link"], text=True)
    assert subnet not in subprocess.check_output(["iptables-save"], text=True)
