"""What tests need to ask a running server: HTTP as a visitor has it, conditions with a deadline, a playbook's run."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testinfra import get_host
from testinfra.host import Host

ROOT = Path(__file__).parents[2]
# Only a failure takes so long: it is far above what a busy machine needs.
DEADLINE_SECONDS = 60


@dataclass(frozen=True)
class Answer:
    """What came back for a request."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        """The body of a good answer, as data."""
        assert self.status in (200, 201), self
        return json.loads(self.body)


def ask(
    address: str,
    path: str,
    host: str | None = None,
    *,
    method: str = "GET",
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
) -> Answer:
    """Send one request to an address (port 80), with any Host header."""
    connection = http.client.HTTPConnection(address, timeout=DEADLINE_SECONDS)
    try:
        connection.request(method, path, body, {"Host": host or address, **(headers or {})})
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


def until(holds: Callable[[], object], what: str, seconds: float = DEADLINE_SECONDS) -> None:
    """Wait for a condition; fail when it does not come true in time. A connection that fails is not yet true."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if holds():
                return
            last: object = "no"
        except (OSError, http.client.HTTPException) as error:
            last = error
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s ({last})"
        time.sleep(0.1)  # between two looks


def playbook_command(playbook: Path, *arguments: str, inventory: Path | None = None, **variables: object) -> list[str]:
    """Return how a user runs a playbook, against the scenario's servers or an inventory's; variables go in as JSON."""
    inventory = inventory or Path(os.environ["MOLECULE_INVENTORY_FILE"]).parent
    argv = [
        str(Path(sys.executable).with_name("ansible-playbook")),
        f"--inventory={inventory}",
        str(playbook),
    ]
    if variables:
        argv += ["--extra-vars", json.dumps(variables)]
    return [*argv, *arguments]


def playbook_environment() -> dict[str, str]:
    """Return the environment of a playbook whose output is read as it comes, by a program."""
    return {**os.environ, "ANSIBLE_FORCE_COLOR": "0", "ANSIBLE_NOCOLOR": "1", "PYTHONUNBUFFERED": "1"}


def play(
    playbook: Path, *arguments: str, inventory: Path | None = None, **variables: object
) -> subprocess.CompletedProcess[str]:
    """Run a playbook to its end; output and exit code are the caller's to judge."""
    argv = playbook_command(playbook, *arguments, inventory=inventory, **variables)
    return subprocess.run(argv, env=playbook_environment(), capture_output=True, text=True, check=False)


def said(result: subprocess.CompletedProcess[str]) -> str:
    """Return a run's output with its white space folded, so that a message can be found however it was wrapped."""
    return " ".join((result.stdout + result.stderr).split())


def server(name: str) -> dict[str, str]:
    """Return what tools/servers knows of a server: Ansible's host variables."""
    known: dict[str, str] = json.loads((ROOT / f".servers/{name}.json").read_text())
    return known


def administrator(name: str, *, sudo: bool = True) -> Host:
    """Return a server as root sees it, however one logs in. sudo: otherwise as who logs in sees it."""
    known = server(name)
    return get_host(
        f"ssh://{known['ansible_user']}@{known['ansible_host']}",
        ssh_identity_file=known["ansible_ssh_private_key_file"],
        ssh_extra_args=known["ansible_ssh_common_args"],
        sudo=sudo and known["ansible_user"] != "root",
    )


@dataclass(frozen=True)
class Site:
    """A deployed environment: its inventory folder, the application's name, its edge's server and domain."""

    environment: Path
    name: str
    server: str
    domain: str | None = None

    @property
    def address(self) -> str:
        """Where the server is."""
        return str(server(self.server)["ansible_host"])

    @property
    def host(self) -> Host:
        """The server as root sees it."""
        return administrator(self.server)

    def ask(self, path: str, **how: object) -> Answer:
        """Send a request through the edge."""
        return ask(self.address, path, self.domain, **how)  # type: ignore[arg-type]

    def site_yml(self, *arguments: str, environment: Path | None = None, **variables: object) -> tuple[int, str]:
        """Run the main job once more; return exit code and output."""
        result = play(ROOT / "site.yml", *arguments, inventory=environment or self.environment, **variables)
        return result.returncode, said(result)

    def playbook(self, name: str, *arguments: str, **variables: object) -> tuple[int, str]:
        """Run one of the other playbooks, such as status; return exit code and output."""
        result = play(ROOT / f"playbooks/{name}.yml", *arguments, inventory=self.environment, **variables)
        return result.returncode, result.stdout + result.stderr
