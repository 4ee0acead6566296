"""Migrations, prestart.sh and the prestart commands: once for a release, as the application and in its sandbox."""

from __future__ import annotations

import re
import secrets
import shlex
from pathlib import Path
from typing import Any, NamedTuple

from ansible_collections.slipway.flask.plugins.module_utils.engine import database, sandbox
from ansible_collections.slipway.flask.plugins.module_utils.engine.errors import last_lines, read_only
from ansible_collections.slipway.flask.plugins.module_utils.engine.files import replace
from ansible_collections.slipway.flask.plugins.module_utils.engine.record import Release, now

# Sourced, so that its exports can be seen; env(1) prints them unambiguously, each ended by a zero byte.
PRESTART_SH = "sh prestart.sh"
# The variables before and after are printed between marks that nothing else prints; from a trap, as the script may call exit.
SOURCE_IT = """
variables() { printf '%s' "$0"; env -0; printf '%s' "$0"; }
variables
trap variables EXIT
. ./prestart.sh
"""
FOUND = {"app_migrate": " Slipway found it in the source; with app_migrate: false it is not run."}
NAME = re.compile("[A-Za-z_][A-Za-z0-9_]*")
NOT_EXPORTED = {"PWD", "OLDPWD", "SHLVL", "_"}


class Work(NamedTuple):
    """What is done before a release starts.

    user: the application's. sandbox: directives of systemd. commands: of the shell, after the migrations (`migrate`) and
    prestart.sh. timeout: seconds that one command may take.
    """

    user: str
    sandbox: dict[str, Any]
    commands: list[str]
    migrate: bool
    timeout: float


def variables(text: str) -> dict[str, str]:
    """Return what env -0 printed."""
    pairs = (entry.partition("=") for entry in text.split("\0"))
    return {name: value for name, _, value in pairs if NAME.fullmatch(name)}


def run_command(release: Release, work: Work, argv: list[str]) -> tuple[int, str]:
    """Run a command as the application does: with its settings and virtualenv, in its folder and its sandbox."""
    return sandbox.run(
        f"{work.user}-prestart",
        [str(release.path / "bin/run"), *argv],
        user=work.user,
        cwd=release.path / "code",
        directives=work.sandbox,
        seconds=work.timeout,
    )


def source_script(release: Release, work: Work) -> tuple[int, str]:
    """Run prestart.sh and keep what it exported in the release (env.prestart); return its exit code and output."""
    mark = secrets.token_hex()
    status, output = run_command(release, work, ["sh", "-ec", SOURCE_IT, mark])
    parts = output.split(mark)
    if status == 0 and len(parts) == 5:  # it can replace itself by another program
        before, after = variables(parts[1]), variables(parts[3])
        exported = {n: v for n, v in after.items() if before.get(n) != v and n not in NOT_EXPORTED}
        if exported:
            lines = [f"{name}={shlex.quote(value)}\n" for name, value in sorted(exported.items())]
            replace(release.path / "env.prestart", "".join(lines), 0o640, group=work.user)
    return status, "".join(parts[::2])


def migration(code: Path) -> str:
    """Return the command that brings the database to the newest schema, for a source with migrations.

    FLASK_APP says which application: `flask --app` came with Flask 2.2.
    """
    return "alembic upgrade heads" if (code / "alembic.ini").is_file() else "flask db upgrade"


def commands(release: Release, work: Work) -> list[tuple[str, str]]:
    """Return the release's prestart commands, each with the variable that it comes from."""
    code = release.path / "code"
    found = []
    if work.migrate and release.record.get("schema"):
        found.append(("app_migrate", migration(code)))
    if (code / "prestart.sh").is_file():
        found.append(("app_source", PRESTART_SH))
    return [*found, *(("app_prestart", command) for command in work.commands)]


def prestart(release: Release, work: Work) -> list[str]:
    """Run the commands; return each with the end of what it printed. Raises ReleaseError at the first that fails."""
    outputs = []
    for origin, command in commands(release, work):
        if command == PRESTART_SH:
            status, output = source_script(release, work)
        else:
            status, output = run_command(release, work, ["sh", "-c", command])
        if status != 0:
            raise release.fail(
                f"{origin}: {command!r} ended with code {status}; the release was not activated.{FOUND.get(origin, '')}"
                f"{database.missing(release)} Fix the error below, then deploy again. {release.by_hand(work.user)}\n"
                f"{last_lines(output)}{read_only(output, release.path / 'code')}"
            )
        outputs.append(f"{command}:\n{last_lines(output)}")
    release.note(prestarted=now())
    return outputs
