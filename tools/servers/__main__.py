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
import subprocess
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
    lasting_environment,
    locked,
    require_host,
    run,
    say,
    write_whole,
)
from servers.names import SSH_KEY, STATE, N, SetupError
from servers.recipe import CUSTOMIZE, DEBIANS, image_name

BOOT_TIMEOUT_SECONDS = 300  # only a failure takes so long

# The last lines of some units' log, without Ansible's own traces. For a shell on the server.
LAST_LINES = (
    "journalctl --unit='{units}' --lines=400 --output=short-precise --no-pager"
    " | grep -vE ': Invoked with | (sudo|sshd[a-z-]*)\\[[0-9]+\\]: ' | tail -n 40"
)


# ---------------------------------------------------------------------------------- keeper
#
# podman lives in a mount namespace of our own, which a sleeping process keeps:
# - crun refuses a hybrid /sys/fs/cgroup (version 1 and 2 mixed): in here it is plain version 2,
#   and the machine's own mounts stay as they are;
# - podman pins network namespaces in /run/netns and notes addresses in /run/containers, one for the
#   whole machine: in here they are our own, and vanish with the keeper, also after a crash.

KEEPER = """
set -eu
if [ "$(stat -f -c %T /sys/fs/cgroup)" != cgroup2fs ]; then
  umount -R /sys/fs/cgroup
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
fi
mkdir -p /run/netns /run/containers
mount -t tmpfs -o mode=0755 tmpfs /run/netns
mount -t tmpfs -o mode=0755 tmpfs /run/containers
echo ready
exec sleep infinity >/dev/null 2>&1
"""


def process_identity(pid: int) -> str | None:
    """A text that no other process ever bears: pid, its start time, and the boot it ran in."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    state, start_time = fields[0], fields[19]
    if state in "ZX":
        return None
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{pid} {start_time} {boot}"


def keeper() -> int | None:
    """The pid of our keeper, if it lives."""
    try:
        identity = (N.run / "keeper").read_text().strip()
        pid = int(identity.split()[0])
    except (OSError, ValueError, IndexError):
        return None
    return pid if process_identity(pid) == identity else None


def start_keeper() -> int:
    process = subprocess.Popen(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", KEEPER],
        env=lasting_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a Ctrl-C at the terminal is not meant for it
        cwd="/",
    )
    assert process.stdout is not None
    assert process.stderr is not None
    if process.stdout.readline().strip() != "ready":
        raise SetupError(f"No mount namespace with a plain cgroup2:\n{process.stderr.read()}")
    identity = process_identity(process.pid)
    if identity is None:
        raise SetupError("The process that keeps the mount namespace ended at once.")
    N.run.mkdir(mode=0o700, exist_ok=True)
    (N.run / "keeper").write_text(identity + "\n")
    process.returncode = 0  # it outlives us on purpose: no warning from Popen
    return process.pid


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


def sweep() -> None:
    """Removes what an interrupted run of this prefix left: processes, mounts, interfaces, files."""
    for pid in own_processes():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    empty_cgroup()
    remove_firewall_rules()
    run(["ip", "link", "delete", N.bridge], check=False)
    for mount in own_mounts():
        run(["umount", "--lazy", mount], check=False)
    shutil.rmtree(N.run, ignore_errors=True)


def own_processes() -> list[int]:
    """podman, its monitors and kept SSH connections bear our folders among their arguments."""
    folders = (f"{N.data}/", f"{N.run}/")
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            helper = Path(words[0]).name in {"podman", "conmon", "netavark"}
            connection = words[0].startswith(f"ssh: {N.sockets}/")
            if connection or (helper and any(word.startswith(folders) for word in words[1:])):
                found.append(int(entry.name))
    return found


def empty_cgroup() -> None:
    """Ends every process of our containers: they are all in one cgroup of ours."""
    script = f"""
    set -eu
    top=/sys/fs/cgroup
    if [ "$(stat -f -c %T $top)" != cgroup2fs ]; then
      umount -R $top
      mount -t cgroup2 cgroup2 $top
    fi
    cd $top/{N.prefix} 2>/dev/null || exit 0
    tries=0
    while grep -q '^populated 1' cgroup.events && [ $tries -lt 100 ]; do
      # cgroup.kill came with Linux 5.14. A process that ended by itself meanwhile is no failure: the loop looks again.
      echo 1 2>/dev/null > cgroup.kill || find . -name cgroup.procs -exec cat {{}} + |
        xargs -r kill -9 2>/dev/null || true
      sleep 0.05
      tries=$((tries + 1))
    done
    cd ..
    find {N.prefix} -depth -type d -exec rmdir {{}} +
    """
    run(["unshare", "--mount", "--propagation", "private", "sh", "-c", script], check=False)


def own_mounts() -> list[str]:
    """Mount points below our folders, the deepest first."""
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    folders = (f"{N.data}/", f"{N.run}/")
    return sorted((mount for mount in mounts if mount.startswith(folders)), reverse=True)


def remove_firewall_rules() -> None:
    """Deletes the rules and chains that a crashed network left: they name our subnet or bridge."""
    subnet = stored_subnet()
    if subnet is None:
        return
    for table in ("nat", "filter"):
        rules = run(["iptables-save", "-t", table], check=False).stdout.splitlines()
        ours = [rule for rule in rules if rule.startswith("-A ") and subnet in rule]
        chains = {word for rule in ours for word in rule.split() if word.startswith("NETAVARK-")}
        chains -= {"NETAVARK-HOSTPORT-MASQ", "NETAVARK-HOSTPORT-SETMARK", "NETAVARK-HOSTPORT-DNAT"}
        for rule in ours:
            words = shlex.split(rule)
            run(["iptables", "-t", table, "-D", *words[1:]], check=False)
        for chain in chains:
            run(["iptables", "-t", table, "-F", chain], check=False)
            run(["iptables", "-t", table, "-X", chain], check=False)


# ---------------------------------------------------------------------------------- podman


def configure_podman() -> None:
    text = """\
    [containers]
    log_driver = "k8s-file"

    [engine]
    cgroup_manager = "cgroupfs"
    events_logger = "none"
    # The default, shared memory, is one segment for the whole machine.
    lock_type = "file"
    runtime = "crun"

    [network]
    network_backend = "netavark"
    """
    N.data.mkdir(mode=0o700, exist_ok=True)
    write_whole(N.data / "containers.conf", textwrap.dedent(text))


def podman_command(pid: int, *arguments: str) -> list[str]:
    return [
        "nsenter",
        f"--mount=/proc/{pid}/ns/mnt",
        "podman",
        f"--root={N.data}/storage",
        f"--runroot={N.run}/storage",
        f"--tmpdir={N.run}/libpod",
        f"--network-config-dir={N.data}/networks",
        *arguments,
    ]


def call_podman(*arguments: str, check: bool, text_in: str | None = None) -> subprocess.CompletedProcess[str]:
    """Runs podman in our namespace, with our configuration and no other."""
    pid = keeper()
    if pid is None:
        raise SetupError("The process that keeps the mount namespace has gone. Run that again.")
    env = {**lasting_environment(), "CONTAINERS_CONF": f"{N.data}/containers.conf", "TMPDIR": "/var/tmp"}
    return run(podman_command(pid, *arguments), check=check, text_in=text_in, env=env)


def podman(*arguments: str, check: bool = True, text_in: str | None = None) -> str:
    """What podman printed."""
    return call_podman(*arguments, check=check, text_in=text_in).stdout.strip()


def podman_agrees(*arguments: str) -> bool:
    """Whether podman answered a question with yes."""
    return call_podman(*arguments, check=False).returncode == 0


def taken_networks() -> list[ipaddress.IPv4Network]:
    """What this machine can already reach, without its default route and our own bridge."""
    # podman keeps the first for its default network, whether or not there is one.
    found = [ipaddress.IPv4Network("10.88.0.0/16")]
    for route in json.loads(run(["ip", "-json", "-4", "route", "show", "table", "all"]).stdout):
        if route.get("dev") != N.bridge and route["dst"] != "default":
            with contextlib.suppress(ValueError):
                found.append(ipaddress.IPv4Network(route["dst"]))
    return found


def free_subnet() -> ipaddress.IPv4Network:
    """A /24 that derives from the prefix, or the next one that is free."""
    taken = taken_networks()
    start = int.from_bytes(N.digest[:2], "big")
    for step in range(256):
        number = (start + step * 257) % 65536
        subnet = ipaddress.IPv4Network((int(ipaddress.IPv4Address("10.0.0.0")) + (number << 8), 24))
        if not any(subnet.overlaps(other) for other in taken):
            return subnet
    raise SetupError("No free /24 in 10.0.0.0/8 for the servers' network.")


def mac_of(address: str) -> str:
    """A locally administered hardware address, for one of our network's."""
    return "02:00:" + ipaddress.IPv4Address(address).packed.hex(":")


def keep_bridge_address(name: str) -> None:
    """Gives the bridge a hardware address of its own, once `name` has brought it up.

    Else it has that of one server's end, and another when that one goes. The others would go on sending to the old one for
    up to a minute, and their connections stand still for nearly two.
    """
    wanted = mac_of(str(ipaddress.IPv4Network(str(stored_subnet()))[1]))
    if Path(f"/sys/class/net/{N.bridge}/address").read_text().strip() != wanted:
        run(["ip", "link", "set", "dev", N.bridge, "address", wanted])
        podman("exec", N.container(name), "ip", "neigh", "flush", "all")


def network_file() -> Path:
    return N.data / "networks" / f"{N.prefix}.json"


def stored_subnet() -> str | None:
    try:
        network = json.loads(network_file().read_text())
        return str(network["subnets"][0]["subnet"])
    except (OSError, ValueError, LookupError):
        return None


def ensure_network() -> ipaddress.IPv4Network:
    stored = stored_subnet()
    if stored is not None:
        subnet = ipaddress.IPv4Network(stored)
        in_use = bool(podman("ps", "--all", "--quiet"))
        if in_use or not any(subnet.overlaps(other) for other in taken_networks()):
            return subnet
        podman("network", "rm", "--force", N.prefix)
    subnet = free_subnet()
    # No DNS: real servers do not find each other by container name either.
    podman("network", "create", f"--subnet={subnet}", "--disable-dns", N.prefix)
    # podman 4.3 has no option for the interface's name, and picks one that another checkout may
    # have picked too.
    path = network_file()
    network = json.loads(path.read_text())
    network["network_interface"] = N.bridge
    path.write_text(json.dumps(network, indent=2))
    return subnet


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
