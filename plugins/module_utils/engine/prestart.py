#!/usr/bin/python
"""Run a release's prestart commands; see DOCUMENTATION."""

from __future__ import annotations

import os
import re
import secrets
import shlex
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.flask.plugins.module_utils.engine import sandbox
from ansible_collections.slipway.flask.plugins.module_utils.engine.deploy import Deploy
from ansible_collections.slipway.flask.plugins.module_utils.engine.release import Release, last_lines, now, replace

DOCUMENTATION = r"""
module: release_prestart
short_description: Run migrations and the like in a release before it starts
description:
  - Runs, as the application's user, with the release's settings, virtualenv and folder, and once for a release, first the
    migrations (C(alembic upgrade heads), or C(flask db upgrade) where Flask-Migrate keeps them), then C(prestart.sh) where
    the application's folder has one, then each command in order. What C(prestart.sh) exports reaches the application.
  - Each runs as a service of systemd with I(sandbox), and no process of it is left when it is over.
  - A command that fails marks the release failed, and fails the play with the command's last lines.
options:
  home: {description: The application's folder., type: path, required: true}
  id: {description: The release's id., type: str, required: true}
  user: {description: The application's user., type: str, required: true}
  sandbox: {description: Directives of systemd for what runs as I(user)., type: dict, required: true}
  commands: {description: Shell commands., type: list, elements: str, default: []}
  migrate: {description: Whether to run migrations where the release has some., type: bool, default: true}
  module: {description: "The WSGI callable, which C(flask db upgrade) is told.", type: str, default: "main:app"}
  lock: {description: What M(release_lock) returned as C(run)., type: str}
  timeout: {description: Seconds that one command may take., type: int, default: 600}
attributes:
  check_mode: {support: full}
author: Slipway
"""

EXAMPLES = r"""
- name: The database has the release's schema
  release_prestart:
    home: /srv/guestbook
    id: 0123456789ab
    user: guestbook
    sandbox: {ProtectSystem: strict, ReadWritePaths: /srv/guestbook/shared}
    commands: [alembic upgrade head]
"""

RETURN = r"""
exported: {description: "Whether C(prestart.sh) exported something; it is in the release's C(env.prestart).", type: bool, returned: always}
output: {description: What the commands printed., type: list, elements: str, returned: always}
"""


# Sourced, so that what it exports can be seen; env(1) prints it beyond doubt, one variable to a zero byte.
PRESTART_SH = "sh prestart.sh"
# What is exported before and after stands between marks that nothing else prints; from a trap, as the script may say exit.
SOURCE_IT = """
variables() { printf '%s' "$0"; env -0; printf '%s' "$0"; }
variables
trap variables EXIT
. ./prestart.sh
"""
NAME = re.compile("[A-Za-z_][A-Za-z0-9_]*")
NOT_EXPORTED = {"PWD", "OLDPWD", "SHLVL", "_"}


def variables(text: str) -> dict[str, str]:
    """Return what env -0 printed."""
    pairs = (entry.partition("=") for entry in text.split("\0"))
    return {name: value for name, _, value in pairs if NAME.fullmatch(name)}


def run_command(release: Release, params: dict[str, Any], argv: list[str]) -> tuple[int, str]:
    """Run a command as the application does: with its settings and virtualenv, in its folder and its sandbox."""
    return sandbox.run(
        f"{params['user']}-prestart",
        [str(release.path / "bin/run"), *argv],
        user=params["user"],
        cwd=release.path / "code",
        directives=params["sandbox"],
        seconds=params["timeout"],
    )


def source_script(release: Release, params: dict[str, Any]) -> tuple[int, str]:
    """Run prestart.sh and keep what it exported in the release (env.prestart); return its exit code and output."""
    mark = secrets.token_hex()
    status, output = run_command(release, params, ["sh", "-ec", SOURCE_IT, mark])
    parts = output.split(mark)
    if status == 0 and len(parts) == 5:  # it can replace itself by another program
        before, after = variables(parts[1]), variables(parts[3])
        exported = {n: v for n, v in after.items() if before.get(n) != v and n not in NOT_EXPORTED}
        if exported:
            lines = [f"{name}={shlex.quote(value)}\n" for name, value in sorted(exported.items())]
            replace(release.path / "env.prestart", "".join(lines), 0o640, group=params["user"])
    return status, "".join(parts[::2])


def commands(release: Release, params: dict[str, Any]) -> list[str]:
    """Return the release's prestart commands."""
    code = release.path / "code"
    found = []
    if params["migrate"] and release.record.get("schema"):
        # An application's own uwsgi.ini may name another than app_module.
        flask = f"flask --app {shlex.quote(release.record.get('module') or params['module'])} db upgrade"
        found.append("alembic upgrade heads" if (code / "alembic.ini").is_file() else flask)
    if (code / "prestart.sh").is_file():
        found.append(PRESTART_SH)
    return [*found, *params["commands"]]


def run(release: Release, params: dict[str, Any]) -> list[str]:
    """Run the commands; return the end of what each printed. Raises ReleaseError at the first that fails."""
    outputs = []
    for command in commands(release, params):
        if command == PRESTART_SH:
            status, output = source_script(release, params)
        else:
            status, output = run_command(release, params, ["sh", "-c", command])
        if status != 0:
            raise release.fail(
                f"app_prestart: {command!r} ended with code {status}; the release was not activated. "
                f"Mend what it says below, then deploy again.\n{last_lines(output)}"
            )
        outputs.append(last_lines(output))
    release.note(prestarted=now())
    return outputs


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "home": {"type": "path", "required": True},
            "id": {"type": "str", "required": True},
            "user": {"type": "str", "required": True},
            "sandbox": {"type": "dict", "required": True},
            "commands": {"type": "list", "elements": "str", "default": []},
            "migrate": {"type": "bool", "default": True},
            "module": {"type": "str", "default": "main:app"},
            "lock": {"type": "str", "default": ""},
            "timeout": {"type": "int", "default": 600},
        },
        supports_check_mode=True,
    )
    params = module.params
    os.umask(0o077)  # nothing is for others before it has been given to them
    release = Release(params["home"], params["id"])
    done = bool(release.record.get("prestarted"))
    outputs: list[str] = []
    if not done and not module.check_mode:
        deploy = Deploy(params["home"], params["lock"])
        with deploy.step(module):
            deploy.note(step="prestart", id=release.id)
            outputs = run(release, params)
    module.exit_json(changed=not done, output=outputs, exported=(release.path / "env.prestart").exists())


if __name__ == "__main__":
    main()
