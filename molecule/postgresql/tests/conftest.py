"""What the tests of this scenario share."""

from __future__ import annotations

import dataclasses
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import testinfra
from testinfra.backend.base import CommandResult
from testinfra.host import Host

from probe import DEADLINE_SECONDS, until

SCENARIO = Path(__file__).parents[1]
PASSWORD_FILE = "/etc/slipway/postgresql/shop.password"

Application = Callable[..., CommandResult]
Play = Callable[..., "Played"]
Sql = Callable[..., str]
Connect = Callable[..., CommandResult]


@dataclasses.dataclass(frozen=True)
class Played:
    """How a run of the scenario's play ended, and what it printed."""

    failed: bool
    output: str

    def changes(self, host: str) -> int:
        """Return the number of changes it reports for a host."""
        assert not self.failed, self.output
        recap = self.output.rpartition("PLAY RECAP")[2]
        (line,) = (line for line in recap.splitlines() if line.startswith(f"{host} "))
        return int(line.partition("changed=")[2].split()[0])


def psql(host: Host, database: str, statement: str, role: str | None = None, user: str | None = None) -> CommandResult:
    """Run one statement as a unix user (the superuser's, if none) through the socket."""
    options = f"--username={role} " if role else ""
    return host.run(
        f"cd / && sudo --set-home --user={user or 'postgres'} psql {options}--dbname={database} "
        f"--no-psqlrc --no-password --tuples-only --no-align --command={shlex.quote(statement)}"
    )


@pytest.fixture(scope="module")
def server(host: Host) -> Host:
    """The server, once PostgreSQL answers: after a reboot that takes a moment."""
    try:
        until(lambda: host.run("pg_isready --quiet").succeeded, "PostgreSQL answers")
    except AssertionError as error:
        error.add_note(host.check_output("tail -n 30 /var/log/postgresql/*.log"))
        raise
    return host


@pytest.fixture(scope="module")
def client(host: Host) -> Host:
    """The other host, where an application of this server's clients runs."""
    other = testinfra.get_host("ansible://postgresql-bookworm", ansible_inventory=host.backend.ansible_inventory)
    other.backend.sudo = True
    return other


@pytest.fixture(scope="module")
def sql(server: Host) -> Sql:
    """Ask the server as its superuser."""

    def ask(statement: str, database: str = "postgres") -> str:
        answer = psql(server, database, statement)
        assert answer.succeeded, answer.stderr
        return answer.stdout.strip()

    return ask


@pytest.fixture(scope="module")
def application(server: Host) -> Application:
    """Run a statement as an application does: its unix user, through the socket."""

    def run(user: str, database: str, statement: str, role: str | None = None) -> CommandResult:
        return psql(server, database, statement, role, user)

    return run


@pytest.fixture
def play(server: Host) -> Play:
    """Run the scenario's play again with other variables.

    For this server and the first environment alone, unless told.
    """

    inventory = Path(os.environ["MOLECULE_INVENTORY_FILE"]).parent

    def again(
        *arguments: str,
        limit: str = server.backend.host,
        whole: bool = False,
        playbook: str = "converge.yml",
        **variables: object,
    ) -> Played:
        command = [
            str(Path(sys.executable).with_name("ansible-playbook")),
            f"--inventory={inventory}",
            f"--limit={limit}",
            f"--extra-vars={json.dumps({'whole': whole, **variables})}",
            *arguments,
            str(SCENARIO / playbook),
        ]
        environment = {**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        return Played(done.returncode != 0, done.stdout + done.stderr)

    return again


@pytest.fixture
def started(sql: Sql) -> Callable[[], str]:
    """Tell since when the server has been running."""
    return lambda: sql("SELECT pg_postmaster_start_time()")


@pytest.fixture
def files(server: Host) -> Callable[[], str]:
    """Tell what PostgreSQL's files contain, to compare later."""
    config = "/etc/postgresql/*/main"
    return lambda: server.check_output(f"cat {config}/conf.d/slipway.conf {config}/pg_hba.conf | sha256sum")


@pytest.fixture(scope="module")
def address(server: Host) -> str:
    """The server's, in the network that both hosts share, once it listens there."""
    address = str(server.backend.get_variables()["ansible_host"])
    until(lambda: server.run(f"pg_isready --quiet --host={address}").succeeded, "PostgreSQL listens on the network")
    return address


@pytest.fixture
def connect(client: Host, address: str) -> Connect:
    """Connect over the network, from the application's host unless told otherwise."""

    def run(
        role: str = "shop",
        database: str = "shop",
        sslmode: str = "require",
        source: Host = client,
        password: str = "",
        statement: str = "SELECT current_user",
    ) -> CommandResult:
        conninfo = f"host={address} dbname={database} user={role} sslmode={sslmode} connect_timeout={DEADLINE_SECONDS}"
        if password:
            conninfo += f" password={password}"
        elif sslmode != "disable":
            conninfo += " channel_binding=require"
        return source.run(
            f"cd / && sudo --set-home --user=shop psql {shlex.quote(conninfo)} --no-psqlrc --no-password"
            f" --tuples-only --no-align --command={shlex.quote(statement)}"
        )

    return run


@pytest.fixture
def leaks(server: Host) -> Callable[[], str]:
    """Look for the password in every file but its own, and in the journal; tell where it is."""

    def find() -> str:
        # By the name of its file: on a command line it would end up in sudo's log.
        assert "statement: CREATE DATABASE" in server.check_output("cat /var/log/postgresql/*.log")
        folder, _, name = PASSWORD_FILE.rpartition("/")
        places = "/etc /home /opt /root /run /srv /tmp /var"
        options = f"--fixed-strings --file={folder}/{name}"
        in_files = server.run(
            f"grep --recursive --files-with-matches --devices=skip --exclude={name} {options} {places}"
        )
        in_journal = server.run(f"journalctl --output=cat | grep {options}")
        return in_files.stdout + in_journal.stdout

    return find
