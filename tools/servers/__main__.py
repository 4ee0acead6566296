#!/usr/bin/env python3
"""Throwaway Debian servers: system containers with systemd as PID 1 and sshd, run by podman.

This is the only place that knows podman. Everything else reaches a server over SSH, as it would
reach a real one.

    servers.py image trixie                build the image (once; again when its recipe changes)
    servers.py up demo --debian trixie     boot a server, print its address
    servers.py ssh demo [COMMAND...]       log in, or run a command
    servers.py vars demo                   its host variables for Ansible, as JSON
    servers.py create FILE a:trixie ...    boot several, write an Ansible inventory of them
    servers.py reboot demo                 restart it: same address
    servers.py down demo                   remove it (--all: every server of this checkout; purge: images, too)
    servers.py list | address demo | inventory demo...
    servers.py host                        install the Debian packages this needs

Every name given on the machine derives from one prefix (SLIPWAY_PREFIX, or a hash of the
checkout's path), so that two checkouts never meet. Needs root; needs nothing but Python's
standard library and the Debian packages in host.py.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import ipaddress
import json
import os
import re
import resource
import shlex
import shutil
import signal
import sys
import textwrap
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

# `python3 tools/servers` has Python look for modules in this folder; the package is in the one above.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from servers.host import (
    alone,
    install_missing_packages,
    locked,
    require_host,
    run,
    say,
    write_whole,
)
from servers.leftovers import sweep
from servers.names import SSH_KEY, STATE, N, SetupError
from servers.namespace import keeper, start_keeper
from servers.network import ensure_network, keep_bridge_address, mac_of
from servers.podman import configure_podman, podman, podman_agrees
from servers.recipe import CUSTOMIZE, DEBIANS, image_name

BOOT_TIMEOUT_SECONDS = 300  # only a failure takes so long

# The last lines of some units' log, without Ansible's own traces. For a shell on the server.
LAST_LINES = (
    "journalctl --unit='{units}' --lines=400 --output=short-precise --no-pager"
    " | grep -vE ': Invoked with | (sudo|sshd[a-z-]*)\\[[0-9]+\\]: ' | tail -n 40"
)


def ensure_keeper() -> int:
    pid = keeper()
    if pid is None:
        sweep()
        for lost in servers().values():
            lost.path.unlink(missing_ok=True)
        configure_podman()
        pid = start_keeper()
        # podman finds its run state gone, takes it for a reboot, and lets go of the old records.
        for container in podman("ps", "--all", "--quiet", "--external").split():
            podman("rm", "--force", "--time", "0", container, check=False)
        if podman("ps", "--all", "--quiet"):
            raise SetupError(f"Old container records will not go: remove {N.data} and try again.")
    return pid


# ----------------------------------------------------------------------------------- image


def ensure_image(debian: str) -> None:
    """Builds the image, or pulls it. Others may use podman while it is built, but none builds the same."""
    image = image_name(debian)
    with alone(N.lock.with_suffix(f".{debian}.lock")):
        with locked():
            ensure_keeper()
            if podman_agrees("image", "exists", image):
                return
            if not image.startswith("localhost/"):
                say(f"Pulling {image}")
                podman("pull", "--quiet", image)
                return
        say(f"Building the image of a bare Debian {debian} (once, about half a minute)")
        build_image(debian, image)


def build_image(debian: str, image: str) -> None:
    build = N.data / f"build-{debian}"
    shutil.rmtree(build, ignore_errors=True)
    build.mkdir()
    hook, tar = build / "customize", build / "root.tar"
    hook.write_text(f"#!/bin/sh\n{CUSTOMIZE}")
    hook.chmod(0o755)
    try:
        run(
            [
                "mmdebstrap",
                "--quiet",
                "--variant=minbase",
                f"--include={','.join(DEBIANS[debian].packages)}",
                f"--customize-hook={hook}",
                debian,
                tar,
            ]
        )
        with locked():
            ensure_keeper()
            podman("import", "--quiet", str(tar), image)
            remove_old_images(debian, keep=image)
    finally:
        shutil.rmtree(build, ignore_errors=True)


def remove_old_images(debian: str, keep: str) -> None:
    names_listed = podman("images", "--format", "{{.Repository}}:{{.Tag}}").splitlines()
    for name in names_listed:
        if name.startswith(f"localhost/slipway-{debian}:") and name != keep:
            podman("rmi", name, check=False)  # still in use by a server: stays


# --------------------------------------------------------------------------------- servers


@dataclasses.dataclass(frozen=True)
class Server:
    """One server, as its file in .servers/ tells."""

    name: str
    debian: str
    address: str

    @property
    def path(self) -> Path:
        return STATE / f"{self.name}.json"

    @property
    def user(self) -> str:
        return DEBIANS[self.debian].user

    @property
    def mac(self) -> str:
        """A new one at each start would leave the address unreachable until the host's ARP cache forgets."""
        return mac_of(self.address)

    def ssh_options(self) -> list[str]:
        options = {
            # A throwaway server's key is a new one each time, and nobody else is on its network.
            "StrictHostKeyChecking": "no",
            "UserKnownHostsFile": "/dev/null",
            "LogLevel": "ERROR",
            "IdentitiesOnly": "yes",
            "ConnectTimeout": "60",
            "ControlMaster": "auto",
            "ControlPersist": "600s",
            "ControlPath": f"{N.sockets}/%h",
        }
        return [word for key, value in options.items() for word in ("-o", f"{key}={value}")]

    def host_variables(self) -> dict[str, str]:
        """What Ansible and testinfra need to reach it. Plain values: testinfra does no templating."""
        return {
            "ansible_host": self.address,
            "ansible_user": self.user,
            "ansible_ssh_private_key_file": str(SSH_KEY),
            "ansible_ssh_common_args": shlex.join(self.ssh_options()),
            "ansible_python_interpreter": "/usr/bin/python3",
        }

    def ssh_command(self, *command: str) -> list[str]:
        login = ["ssh", *self.ssh_options(), "-i", str(SSH_KEY), f"{self.user}@{self.address}"]
        return [*login, *([shlex.join(command)] if command else [])]

    def write(self) -> None:
        known = {"name": self.name, "debian": self.debian, "prefix": N.prefix}
        content = {**known, **self.host_variables()}
        write_whole(self.path, json.dumps(content, indent=2) + "\n")

    def close_connections(self) -> None:
        """Ends the SSH master connection: it would hang once the server restarts."""
        socket = N.sockets / self.address
        run(["ssh", "-o", f"ControlPath={socket}", "-O", "exit", self.address], check=False)
        socket.unlink(missing_ok=True)


def servers() -> dict[str, Server]:
    """The servers that were booted and not taken down, by name."""
    found = {}
    for path in sorted(STATE.glob("*.json")):
        known: dict[str, str] = json.loads(path.read_text())
        if known["prefix"] == N.prefix:
            found[known["name"]] = Server(known["name"], known["debian"], known["ansible_host"])
    return found


def server(name: str) -> Server:
    known = servers()
    if name not in known:
        raise SetupError(
            f"No server {name!r} here. Running: {', '.join(known) or 'none'}. "
            f"Boot it with: servers.py up {name} --debian trixie"
        )
    return known[name]


def inventory(chosen: Sequence[str]) -> str:
    """Return an Ansible inventory of servers, as JSON."""
    hosts = {name: server(name).host_variables() for name in chosen}
    return json.dumps({"all": {"hosts": hosts}}, indent=2) + "\n"


def is_running(name: str) -> bool:
    """Whether the server's own PID 1 lives: podman's word alone outlives a kill -9."""
    form = "{{.State.Running}} {{.State.Pid}}"
    answer = podman("inspect", "--type=container", f"--format={form}", N.container(name), check=False)
    running, _, pid = answer.partition(" ")
    return running == "true" and Path(f"/proc/{pid}/ns").exists()


def up(name: str, debian: str) -> Server:
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,40}", name):
        raise SetupError(f"{name!r} cannot be a host name: lower-case letters, digits and dashes.")
    ensure_ssh_key()
    ensure_image(debian)
    with locked():
        ensure_keeper()
        N.sockets.mkdir(mode=0o700, exist_ok=True)
        machine = servers().get(name)
        if machine and is_running(name):
            if machine.debian != debian:
                raise SetupError(f"Server {name!r} runs Debian {machine.debian}: take it down first.")
        else:
            machine = create(name, debian)
    wait_until_booted(machine)
    return machine


def create(name: str, debian: str) -> Server:
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
        # Without it crun needs CAP_SYS_RESOURCE for the device cgroup, and systemd could not
        # sandbox its services.
        "--privileged",
        "--systemd=always",
        "--no-hosts",
        *limits(),
        "--stop-timeout=20",
        "--stop-signal=SIGRTMIN+3",  # systemd's word for: power off
        image_name(debian),
        # The clock and the kernel's modules are the machine's. podman ignores --cap-drop beside --privileged.
        "setpriv",
        "--bounding-set=-sys_time,-sys_module",
        "/sbin/init",
    )
    keep_bridge_address(name)
    podman("exec", "--interactive", N.container(name), "sh", "-s", text_in=first_boot(machine))
    machine.write()
    return machine


def limits() -> list[str]:
    """What a host without CAP_SYS_RESOURCE allows: podman's own defaults are above that."""
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
    taken = {other.address for other in servers().values() if other.name != name}
    return next(str(host) for host in list(subnet.hosts())[9:] if str(host) not in taken)


def first_boot(machine: Server) -> str:
    """What a hosting company does to a new server: our key, and how to reach the network."""
    home = "/root" if machine.user == "root" else f"/home/{machine.user}"
    key = SSH_KEY.with_suffix(".pub").read_text().strip()
    script = f"""\
    set -eu
    # Early in a boot systemd still mounts and empties /tmp under the programs started below.
    tries=0
    until systemctl is-system-running --wait 2>/dev/null | grep -qE 'running|degraded'; do
      tries=$((tries + 1))
      [ $tries -lt 300 ] || {{ journalctl -n 30 >&2; exit 1; }}
      sleep 0.1
    done
    echo '127.0.1.1 {machine.name}' >> /etc/hosts
    install -d -m 0700 -o {machine.user} -g {machine.user} {home}/.ssh
    echo {shlex.quote(key)} > {home}/.ssh/authorized_keys
    chown {machine.user}:{machine.user} {home}/.ssh/authorized_keys
    chmod 0600 {home}/.ssh/authorized_keys
    """
    return textwrap.dedent(script) + trust_script()


def trust_script() -> str:
    """Lets the server trust the authorities that this host was told to trust, in pip and uv too."""
    certificates = sorted(Path("/usr/local/share/ca-certificates").glob("**/*.crt"))
    if not certificates:
        return ""
    lines = []
    for number, certificate in enumerate(certificates):
        target = f"/usr/local/share/ca-certificates/host-{number}.crt"
        lines.append(f"cat > {target} <<'END'\n{certificate.read_text().strip()}\nEND")
    lines += [
        "update-ca-certificates >/dev/null",
        "bundle=/etc/ssl/certs/ca-certificates.crt",
        # pip and uv bring bundles of their own: system-wide settings reach them however they are
        # started, also with a cleaned environment.
        r'printf "[global]\ncert = $bundle\n" > /etc/pip.conf',
        "mkdir -p /etc/uv",
        'echo "system-certs = true" > /etc/uv/uv.toml',
    ]
    return "\n".join(lines) + "\n"


def ensure_ssh_key() -> None:
    STATE.mkdir(mode=0o700, exist_ok=True)
    with alone(STATE / ".lock"):
        if not SSH_KEY.exists() or not SSH_KEY.with_suffix(".pub").exists():
            SSH_KEY.unlink(missing_ok=True)
            comment = f"{N.prefix} throwaway"
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", SSH_KEY])


def wait_until_booted(machine: Server) -> None:
    """Waits until sshd lets us in and systemd has started what it had to start."""
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
        time.sleep(0.1)


def reboot(name: str) -> None:
    machine = server(name)
    with locked():
        ensure_keeper()
        if not podman_agrees("container", "exists", N.container(name)):
            raise SetupError(f"{name} is gone. Boot it with: servers.py up {name}")
        machine.close_connections()
        podman("restart", N.container(name))
        keep_bridge_address(name)
    wait_until_booted(machine)


def down(chosen: Sequence[str], logs: Path | None) -> None:
    """Removes servers; with the last of them everything but the images goes. Their last lines stay, where a folder is named."""
    with locked():
        ensure_keeper()
        known = servers()
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
    with locked():
        ensure_keeper()
        for known in servers().values():
            known.close_connections()
            known.path.unlink(missing_ok=True)
        podman("rm", "--all", "--force", "--time=0")
        release_if_unused()


def release_if_unused() -> None:
    """Leaves nothing running on the machine where no server is left."""
    pid = keeper()
    if pid is None or podman("ps", "--all", "--quiet"):
        return
    podman("network", "rm", "--force", N.prefix, check=False)
    os.kill(pid, signal.SIGKILL)
    sweep()


# -------------------------------------------------------------------------------- commands


def command_host(_: argparse.Namespace) -> None:
    """Installs the Debian packages that servers need, or says which."""
    install_missing_packages()
    require_host()


def command_prefix(_: argparse.Namespace) -> None:
    """Prints what every name on the machine begins with."""
    print(N.prefix)


def command_image(options: argparse.Namespace) -> None:
    """Builds the image of a bare server, if it is not there."""
    require_host()
    ensure_image(options.debian)
    with locked():
        release_if_unused()
    print(image_name(options.debian))


def command_up(options: argparse.Namespace) -> None:
    """Boots a server and prints its address."""
    require_host()
    print(up(options.name, options.debian).address)


def command_create(options: argparse.Namespace) -> None:
    """Boots servers side by side, and writes an inventory of them."""
    require_host()
    wanted = [word.partition(":") for word in options.servers]
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda each: up(each[0], each[2]), wanted))
    write_whole(Path(options.inventory), inventory([name for name, _, _ in wanted]))


def command_down(options: argparse.Namespace) -> None:
    """Removes servers."""
    require_host()
    if options.all:
        down_all()
    else:
        down(options.names, options.logs)


def command_purge(_: argparse.Namespace) -> None:
    """Removes every server and the images: nothing of this checkout stays on the machine."""
    require_host()
    down_all()
    with locked():
        shutil.rmtree(N.data, ignore_errors=True)


def command_reboot(options: argparse.Namespace) -> None:
    """Restarts servers; their addresses stay."""
    require_host()
    with ThreadPoolExecutor() as pool:
        list(pool.map(reboot, options.names))


def command_ssh(options: argparse.Namespace) -> NoReturn:
    """Logs in, or runs a command."""
    command = server(options.name).ssh_command(*options.words)
    os.execvp(command[0], command)


def command_address(options: argparse.Namespace) -> None:
    """Prints a server's address."""
    print(server(options.name).address)


def command_vars(options: argparse.Namespace) -> None:
    """Prints a server's host variables for Ansible, as JSON."""
    print(json.dumps(server(options.name).host_variables(), indent=2))


def command_inventory(options: argparse.Namespace) -> None:
    """Prints an Ansible inventory of servers, as JSON."""
    print(inventory(options.names), end="")


def command_list(_: argparse.Namespace) -> None:
    """Prints each server's name, Debian release and address."""
    for machine in servers().values():
        print(f"{machine.name}\t{machine.debian}\t{machine.address}")


def parser() -> argparse.ArgumentParser:
    assert __doc__ is not None
    top = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = top.add_subparsers(required=True)

    def add(act: Callable[[argparse.Namespace], None]) -> argparse.ArgumentParser:
        name = act.__name__.removeprefix("command_")
        command: argparse.ArgumentParser = commands.add_parser(name, help=act.__doc__)
        command.set_defaults(act=act)
        return command

    add(command_host)
    add(command_prefix)
    add(command_image).add_argument("debian", choices=DEBIANS)
    command = add(command_up)
    command.add_argument("name")
    command.add_argument("--debian", choices=DEBIANS, default="trixie")
    command = add(command_create)
    command.add_argument("inventory", help="the file to write")
    command.add_argument("servers", nargs="+", metavar="NAME:DEBIAN")
    command = add(command_down)
    command.add_argument("names", nargs="*")
    command.add_argument("--all", action="store_true", help="every server of this checkout")
    command.add_argument("--logs", type=Path, metavar="FOLDER", help="write there what each logged last (NAME.log)")
    add(command_purge)
    add(command_reboot).add_argument("names", nargs="+")
    command = add(command_ssh)
    command.add_argument("name")
    command.add_argument("words", nargs=argparse.REMAINDER)
    add(command_address).add_argument("name")
    add(command_vars).add_argument("name")
    add(command_inventory).add_argument("names", nargs="+")
    add(command_list)
    return top


def main() -> NoReturn:
    # Where a user's PATH has no programs for administrators.
    os.environ["PATH"] = f"{os.environ.get('PATH', '/usr/bin:/bin')}:/usr/sbin:/sbin"
    try:
        options = parser().parse_args()
        options.act(options)
    except SetupError as problem:
        sys.exit(f"servers.py: {problem}")
    sys.exit(0)


if __name__ == "__main__":
    main()
