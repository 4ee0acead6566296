"""What an interrupted run of this prefix left on the machine, and how it is removed."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
from pathlib import Path

from servers.host import run
from servers.names import N
from servers.network import stored_subnet


def sweep() -> None:
    """Remove processes, mounts, interfaces and files. The images and podman's records stay."""
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
    """Return the pids of podman, its monitors and kept SSH connections: they have our folders among their arguments."""
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
    """End every process of our containers: they are all in one cgroup of ours."""
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
      # cgroup.kill came with Linux 5.14. A process that ended by itself in the meantime is not a failure: the loop looks again.
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
    """Return the mount points below our folders, the deepest first."""
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    folders = (f"{N.data}/", f"{N.run}/")
    return sorted((mount for mount in mounts if mount.startswith(folders)), reverse=True)


def remove_firewall_rules() -> None:
    """Delete the rules and chains that a crashed network left: they name our subnet."""
    subnet = stored_subnet()
    if subnet is None:
        return
    for table in ("nat", "filter"):
        rules = run(["iptables-save", "-t", table], check=False).stdout.splitlines()
        ours = [rule for rule in rules if rule.startswith("-A ") and subnet in rule]
        chains = {word for rule in ours for word in rule.split() if word.startswith("NETAVARK-")}
        # These are shared by all networks of the machine.
        chains -= {"NETAVARK-HOSTPORT-MASQ", "NETAVARK-HOSTPORT-SETMARK", "NETAVARK-HOSTPORT-DNAT"}
        for rule in ours:
            words = shlex.split(rule)
            run(["iptables", "-t", table, "-D", *words[1:]], check=False)
        for chain in chains:
            run(["iptables", "-t", table, "-F", chain], check=False)
            run(["iptables", "-t", table, "-X", chain], check=False)
