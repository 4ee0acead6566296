"""Servers as containers: boot them, restart them, remove them."""

from __future__ import annotations

import contextlib
import ipaddress
import re
import resource
import time
from collections.abc import Sequence
from pathlib import Path

from servers.first_boot import first_boot_script
from servers.host import locked, run, say, write_whole
from servers.image import ensure_image
from servers.names import N, SetupError
from servers.network import ensure_network, keep_bridge_address
from servers.podman import call_podman, podman, podman_agrees
from servers.recipe import image_name
from servers.records import Server, ensure_ssh_key, known_servers, server
from servers.session import ensure_keeper, release_if_unused

BOOT_TIMEOUT_SECONDS = 300  # only a failure takes so long

# A command for a shell on a server: the last 40 lines of some units' log, without what Ansible logs itself.
LAST_LINES = (
    "journalctl --unit='{units}' --lines=400 --output=short-precise --no-pager"
    " | grep -vE ': Invoked with | (sudo|sshd[a-z-]*)\\[[0-9]+\\]: ' | tail -n 40"
)


def is_running(name: str) -> bool:
    """Whether the server's own PID 1 runs: podman alone still says so after a kill -9."""
    form = "{{.State.Running}} {{.State.Pid}}"
    answer = podman("inspect", "--type=container", f"--format={form}", N.container(name), check=False)
    running, _, pid = answer.partition(" ")
    return running == "true" and Path(f"/proc/{pid}/ns").exists()


def up(name: str, debian: str) -> Server:
    """Boot a server and wait until one can log in; one that is up stays as it is. debian is a key of DEBIANS.

    Raises SetupError where the name cannot be a host's, or the server runs another Debian.
    """
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,40}", name):
        raise SetupError(f"{name!r} cannot be a host name: lower-case letters, digits and dashes.")
    ensure_ssh_key()
    ensure_image(debian)
    with locked():
        ensure_keeper()
        N.sockets.mkdir(mode=0o700, exist_ok=True)
        machine = known_servers().get(name)
        if machine and is_running(name):
            if machine.debian != debian:
                raise SetupError(f"Server {name!r} runs Debian {machine.debian}: take it down first.")
        else:
            machine = create(name, debian)
    wait_until_booted(machine)
    return machine


def create(name: str, debian: str) -> Server:
    """Start a new server in place of what has its name, and note it; systemd may still be busy. Needs the lock."""
    podman("rm", "--force", "--time=0", "--ignore", N.container(name))
    subnet = ensure_network()
    machine = Server(name, debian, free_address(name, subnet))
    machine.close_connections()
    say(f"Booting {name} (Debian {debian}) at {machine.address}")
    podman(
        "run",
        "--detach",
        f"--name={N.container(name)}",
        f"--hostname={name}",
        f"--network={N.prefix}",
        f"--ip={machine.address}",
        f"--mac-address={machine.mac}",
        f"--cgroup-parent=/{N.prefix}",
        # Without it crun needs CAP_SYS_RESOURCE for the device cgroup, and systemd could not sandbox its services.
        "--privileged",
        "--systemd=always",
        "--no-hosts",
        *limits(),
        "--stop-timeout=20",
        "--stop-signal=SIGRTMIN+3",  # has systemd power off
        image_name(debian),
        # The clock and the kernel's modules are the machine's. podman ignores --cap-drop with --privileged.
        "setpriv",
        "--bounding-set=-sys_time,-sys_module",
        "/sbin/init",
    )
    keep_bridge_address(name)
    podman("exec", "--interactive", N.container(name), "sh", "-s", text_in=first_boot_script(machine))
    machine.write()
    return machine


def limits() -> list[str]:
    """Return options of podman: the limits that a host without CAP_SYS_RESOURCE allows. podman's own defaults are higher."""
    open_files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    # podman lowers its own limit to pid_max, and so that of everything it starts.
    processes = int(Path("/proc/sys/kernel/pid_max").read_text())
    hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    if hard != resource.RLIM_INFINITY:
        processes = min(hard, processes)
    return [
        "--pids-limit=0",
        f"--ulimit=nofile={open_files}:{open_files}",
        f"--ulimit=nproc={processes}:{processes}",
    ]


def free_address(name: str, subnet: ipaddress.IPv4Network) -> str:
    """Return an address that no other server has. The first nine are left out; the bridge has the first."""
    taken = {other.address for other in known_servers().values() if other.name != name}
    return next(str(host) for host in list(subnet.hosts())[9:] if str(host) not in taken)


def wait_until_booted(machine: Server) -> None:
    """Wait until sshd lets us in and systemd has started what it had to start.

    A unit that failed is reported, and is not an error. Raises SetupError with the log's end after BOOT_TIMEOUT_SECONDS.
    """
    deadline = time.monotonic() + BOOT_TIMEOUT_SECONDS
    while True:
        answer = run(machine.ssh_command("systemctl", "is-system-running", "--wait"), check=False)
        state = answer.stdout.strip()
        if state == "running":
            return
        if state == "degraded":
            failed = run(machine.ssh_command("systemctl", "list-units", "--failed", "--plain"))
            say(f"{machine.name} is up, but not everything started:\n{failed.stdout}")
            return
        if time.monotonic() > deadline:
            log = podman("exec", N.container(machine.name), "journalctl", "-n30", check=False)
            raise SetupError(
                f"{machine.name} did not come up in {BOOT_TIMEOUT_SECONDS} s: {state} {answer.stderr.strip()}\n{log}"
            )
        time.sleep(0.1)  # between two looks


def reboot(name: str) -> None:
    """Restart a server, which keeps its disk and address, and wait until it is up."""
    machine = server(name)
    with locked():
        ensure_keeper()
        if not podman_agrees("container", "exists", N.container(name)):
            raise SetupError(f"{name} is gone. Boot it with: python3 tools/servers up {name}")
        machine.close_connections()
        # Not `restart`, nor may a complaint of `stop` end it: podman 4.3 and crun fail where the process that they were to kill has just
        # ended by itself ("open pidfd"), as is wanted, and leave the server off. `start` tidies up after it.
        told = call_podman("stop", N.container(name), check=False).stderr
        if is_running(name):
            raise SetupError(f"{name} could not be shut down: {told}")
        podman("start", N.container(name))
        keep_bridge_address(name)
    wait_until_booted(machine)


def down(chosen: Sequence[str], logs: Path | None) -> None:
    """Remove servers; with the last of them everything but the images goes.

    With a folder, the last log lines of each are kept there, as NAME.log.
    """
    with locked():
        ensure_keeper()
        known = known_servers()
        for name in chosen:
            if name in known:
                if logs:
                    last = podman("exec", N.container(name), "sh", "-c", LAST_LINES.format(units="*"), check=False)
                    with contextlib.suppress(OSError):  # the disk is full: the server goes, to make room
                        write_whole(logs / f"{name}.log", last + "\n")
                known[name].close_connections()
                known[name].path.unlink(missing_ok=True)
            podman("rm", "--force", "--time=0", "--ignore", N.container(name))
        release_if_unused()


def down_all() -> None:
    """Remove every server of this prefix."""
    with locked():
        ensure_keeper()
        for known in known_servers().values():
            known.close_connections()
            known.path.unlink(missing_ok=True)
        podman("rm", "--all", "--force", "--time=0")
        release_if_unused()
