#!/usr/bin/python
"""Run a release's prestart commands; see DOCUMENTATION."""

from __future__ import annotations

import os

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.release import Release, last_lines, run_as

DOCUMENTATION = r"""
module: release_prestart
short_description: Run migrations and the like in a release before it starts
description:
  - Runs each command once, in order, as the application's user, with the release's settings, virtualenv and folder.
  - A command that fails marks the release failed, and fails the play with the command's last lines.
options:
  home: {description: The application's folder., type: path, required: true}
  id: {description: The release's id., type: str, required: true}
  user: {description: The application's user., type: str, required: true}
  commands: {description: Shell commands., type: list, elements: str, default: []}
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
    commands: [alembic upgrade head]
"""

RETURN = r"""
output: {description: What the commands printed., type: list, elements: str, returned: always}
"""


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "home": {"type": "path", "required": True},
            "id": {"type": "str", "required": True},
            "user": {"type": "str", "required": True},
            "commands": {"type": "list", "elements": "str", "default": []},
            "timeout": {"type": "int", "default": 600},
        },
        supports_check_mode=True,
    )
    params = module.params
    release = Release(params["home"], params["id"])
    outputs: list[str] = []
    if release.record.get("prestarted"):
        module.exit_json(changed=False, output=outputs)
    if module.check_mode:
        module.exit_json(changed=True, output=outputs)
    for command in params["commands"]:
        argv = [str(release.path / "bin/run"), "sh", "-c", command]
        status, output = run_as(params["user"], argv, release.path / "code", dict(os.environ), params["timeout"])
        if status != 0:
            error = release.fail(
                f"app_prestart: {command!r} ended with code {status}; the release was not activated. "
                f"Mend what it says below, then deploy again.\n{last_lines(output)}"
            )
            module.fail_json(msg=str(error))
        outputs.append(last_lines(output))
    release.note(prestarted=True)
    module.exit_json(changed=True, output=outputs)


if __name__ == "__main__":
    main()
