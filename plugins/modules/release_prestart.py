#!/usr/bin/python
"""Run a release's prestart commands; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: release_prestart
short_description: Run migrations and the like in a release before it starts
description:
  - Runs, as the application's user, with the release's settings, virtualenv and folder, and once for a release, first the
    migrations (C(alembic upgrade heads), or C(flask db upgrade) where Flask-Migrate keeps them), then C(prestart.sh) where
    the application's folder has one, then each command in order. What C(prestart.sh) exports reaches the application.
  - Each runs as a service of systemd with O(sandbox), and no process of it is left when it is over.
  - A command that fails marks the release failed, and fails the play with the command's last lines.
extends_documentation_fragment: [slipway.flask.attributes, slipway.flask.release, slipway.flask.release.step]
options:
  id: {description: The release's id., type: str, required: true}
  user: {description: The application's user., type: str, required: true}
  sandbox: {description: Directives of systemd for what runs as O(user)., type: dict, required: true}
  commands: {description: Shell commands., type: list, elements: str, default: []}
  migrate: {description: Whether to run migrations where the release has some., type: bool, default: true}
  timeout: {description: Seconds that one command may take., type: int, required: true}
attributes:
  check_mode: {support: full}
author: Slipway (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Bring the database to the release's schema
  slipway.flask.release_prestart:
    home: /srv/guestbook
    id: 0123456789ab
    user: guestbook
    sandbox: {ProtectSystem: strict, ReadWritePaths: /srv/guestbook/shared}
    commands: [alembic upgrade head]
"""

RETURN = r"""
exported:
  description: Whether C(prestart.sh) exported something; it is in the release's C(env.prestart).
  type: bool
  returned: always
output: {description: The commands that were run and what they printed., type: list, elements: str, returned: always}
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.flask.plugins.module_utils.engine.module import HOME, STEP, step
from ansible_collections.slipway.flask.plugins.module_utils.engine.prestart import Work, prestart
from ansible_collections.slipway.flask.plugins.module_utils.engine.record import Release


def main() -> None:
    """Run the module."""
    own = {
        "id": {"type": "str", "required": True},
        "user": {"type": "str", "required": True},
        "sandbox": {"type": "dict", "required": True},
        "commands": {"type": "list", "elements": "str", "default": []},
        "migrate": {"type": "bool", "default": True},
        "timeout": {"type": "int", "required": True},
    }
    module = AnsibleModule({**HOME, **STEP, **own}, supports_check_mode=True)
    params = module.params
    os.umask(0o077)  # nothing is readable by others before it is handed over
    release = Release(params["home"], params["id"])
    done = bool(release.record.get("prestarted"))
    output: list[str] = []
    if not done and not module.check_mode:
        with step(module) as deploy:
            deploy.note(step="prestart", id=release.id)
            output = prestart(release, Work(**{name: params[name] for name in Work._fields}))
    module.exit_json(changed=not done, output=output, exported=(release.path / "env.prestart").exists())


if __name__ == "__main__":
    main()
