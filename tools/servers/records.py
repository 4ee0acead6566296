"""What is known of the servers that were booted: a file of each in .servers/, and the key that opens all of them."""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Sequence
from pathlib import Path

from servers.host import alone, run, write_whole
from servers.names import SSH_KEY, STATE, N, SetupError
from servers.network import mac_of
from servers.recipe import DEBIANS


@dataclasses.dataclass(frozen=True)
class Server:
    """One server; debian is a key of DEBIANS, address an IPv4 address of our network."""

    name: str
    debian: str
    address: str

    @property
    def path(self) -> Path:
        """Its file: JSON, with its host variables for Ansible."""
        return STATE / f"{self.name}.json"

    @property
    def user(self) -> str:
        """Who logs in to it."""
        return DEBIANS[self.debian].user

    @property
    def mac(self) -> str:
        """Its hardware address. A new one at each start would leave it unreachable until the host's ARP cache forgets."""
        return mac_of(self.address)

    def ssh_options(self) -> list[str]:
        """Return the options of ssh that reach it."""
        options = {
            # A throwaway server's key is a new one each time, and no other machine is on its network.
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
        """Return what Ansible and testinfra need to reach it. Plain values: testinfra does no templating."""
        return {
            "ansible_host": self.address,
            "ansible_user": self.user,
            "ansible_ssh_private_key_file": str(SSH_KEY),
            "ansible_ssh_common_args": shlex.join(self.ssh_options()),
            "ansible_python_interpreter": "/usr/bin/python3",
        }

    def ssh_command(self, *command: str) -> list[str]:
        """Return what runs a command on it or, without one, logs in."""
        login = ["ssh", *self.ssh_options(), "-i", str(SSH_KEY), f"{self.user}@{self.address}"]
        return [*login, *([shlex.join(command)] if command else [])]

    def write(self) -> None:
        """Write its file."""
        known = {"name": self.name, "debian": self.debian, "prefix": N.prefix}
        content = {**known, **self.host_variables()}
        write_whole(self.path, json.dumps(content, indent=2) + "\n")

    def close_connections(self) -> None:
        """End the SSH master connection: it would hang once the server restarts."""
        socket = N.sockets / self.address
        run(["ssh", "-o", f"ControlPath={socket}", "-O", "exit", self.address], check=False)
        socket.unlink(missing_ok=True)


def known_servers() -> dict[str, Server]:
    """Return the servers of this prefix that were booted and not taken down, by name."""
    found = {}
    for path in sorted(STATE.glob("*.json")):
        known: dict[str, str] = json.loads(path.read_text())
        if known["prefix"] == N.prefix:
            found[known["name"]] = Server(known["name"], known["debian"], known["ansible_host"])
    return found


def server(name: str) -> Server:
    """Return a server by its name. Raises SetupError where it was not booted."""
    known = known_servers()
    if name not in known:
        raise SetupError(
            f"No server {name!r} here. Running: {', '.join(known) or 'none'}. "
            f"Boot it with: python3 tools/servers up {name} --debian trixie"
        )
    return known[name]


def inventory(chosen: Sequence[str]) -> str:
    """Return an Ansible inventory of servers, as JSON."""
    hosts = {name: server(name).host_variables() for name in chosen}
    return json.dumps({"all": {"hosts": hosts}}, indent=2) + "\n"


def ensure_ssh_key() -> None:
    """Make the key pair that opens all servers of this checkout, where it is not there."""
    STATE.mkdir(mode=0o700, exist_ok=True)
    with alone(STATE / ".lock"):
        if not SSH_KEY.exists() or not SSH_KEY.with_suffix(".pub").exists():
            SSH_KEY.unlink(missing_ok=True)
            comment = f"{N.prefix} throwaway"
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", SSH_KEY])
