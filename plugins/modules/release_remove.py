#!/usr/bin/python
"""Remove an application from this host; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: release_remove
short_description: Remove an application from this host
description:
  - Stops every program of every release, and removes the releases, the sockets' folder, and the users with their groups.
  - What cannot be created again is moved to O(kept), where only root may read it, namely what visitors uploaded (C(shared)),
    the secret key, and the log of deploys.
  - Does nothing on a host without the application; a user, or a folder in /run, that is not the application's own is left.
extends_documentation_fragment: [slipway.flask.attributes, slipway.flask.release, slipway.flask.release.step]
options:
  run: {description: Folder of the sockets., type: path, required: true}
  name: {description: The application's name., type: str, required: true}
  user: {description: The application's user., type: str, required: true}
  kept: {description: Folder to make for what is kept., type: path, required: true}
attributes:
  check_mode: {support: full}
author: Slipway (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Remove the application from the host
  slipway.flask.release_remove:
    home: /srv/guestbook
    run: /run/guestbook
    name: guestbook
    user: guestbook
    kept: /var/backups/slipway/guestbook-20260201T120000
    lock: "{{ lock.run }}"
"""

RETURN = r"""
folder: {description: O(kept)., type: str, returned: always}
kept: {description: "What was, or in a dry run would be, moved to O(kept).", type: list, elements: str, returned: always}
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.flask.plugins.module_utils.engine.module import HOME, STEP, errors_of, step
from ansible_collections.slipway.flask.plugins.module_utils.engine.removal import own_users, precious, remove
from ansible_collections.slipway.flask.plugins.module_utils.engine.traffic import Traffic


def main() -> None:
    """Run the module."""
    own = {
        "run": {"type": "path", "required": True},
        "name": {"type": "str", "required": True},
        "user": {"type": "str", "required": True},
        "kept": {"type": "path", "required": True},
    }
    module = AnsibleModule({**HOME, **STEP, **own}, supports_check_mode=True)
    params = module.params
    home = Path(params["home"])
    traffic = Traffic(params["home"], params["run"], params["name"], params["user"], "")
    locked = (home / "releases").is_dir()
    names = precious(home)
    there = locked or bool(own_users(home, params["user"]))
    if there and not module.check_mode:
        if locked:
            with step(module) as deploy:
                deploy.note(step="remove")
                names = remove(traffic, Path(params["kept"]))
        else:  # a removal that was cut off may have left a user without a folder, and so without a lock
            with errors_of(module):
                names = remove(traffic, Path(params["kept"]))
    module.exit_json(changed=there, folder=params["kept"], kept=names if there else [])


if __name__ == "__main__":
    main()
