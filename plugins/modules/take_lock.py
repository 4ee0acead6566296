#!/usr/bin/python
"""Take the lock on an application's releases; see DOCUMENTATION. The action plugin of this name says who asks."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.flask.plugins.module_utils.engine.deploy import NO_ROOM, Deploy, no_room
from ansible_collections.slipway.flask.plugins.module_utils.engine.release import ReleaseError

DOCUMENTATION = r"""
module: release_lock
short_description: Let one deploy at a time change an application's releases
description:
  - Writes who deploys, since when and from where to C(<home>/deploy.lock); M(release_finish) takes it away again.
  - A lock whose deploy has ended without that (killed, or cut off) is taken over, where the deploy ran on the same
    control machine and so can be seen to have ended. A step of it that still runs on the server is waited for.
  - Otherwise fails, and says who deploys.
options:
  home: {description: The application's folder., type: path, required: true}
  verb: {description: "What is done, for the log.", type: str, default: deploy}
  source: {description: "What is deployed, for the log.", type: str}
  force: {description: Take it whoever holds it., type: bool, default: false}
attributes:
  check_mode: {support: none}
author: Slipway
"""

EXAMPLES = r"""
- name: Nobody else deploys
  release_lock:
    home: /srv/guestbook
  register: lock
"""

RETURN = r"""
run: {description: What the further steps of this deploy give as their I(lock)., type: str, returned: always}
"""


def other(deploy: Deploy, params: dict[str, Any]) -> dict[str, Any]:
    """Return who holds the lock and has not been judged to be gone; {} where nobody does."""
    held = deploy.holder
    return {} if params["force"] or held.get("run") in (params["run"], params["instead_of"]) else held


def main() -> None:
    """Run the module: the action plugin adds who asks, and judges the holder that this returns."""
    module = AnsibleModule(
        argument_spec={
            "home": {"type": "path", "required": True},
            "run": {"type": "str", "required": True},
            "holder": {"type": "dict", "required": True},
            "instead_of": {"type": "str", "default": ""},
            "force": {"type": "bool", "default": False},
        },
    )
    params = module.params
    deploy = Deploy(params["home"], params["run"])
    if not (deploy.home / "releases").is_dir():
        module.fail_json(
            msg=f"app_name: there is no application here to deploy or look at ({deploy.home}/releases is missing). "
            "Run site.yml first, or set app_name to the one that is."
        )
    try:
        if not (held := other(deploy, params)):
            with deploy.alone():  # a step of a deploy that has ended on the control machine may still run
                if not (held := other(deploy, params)):
                    deploy.take(params["holder"])
    except ReleaseError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=no_room(deploy.home) if error.errno in NO_ROOM else str(error))
    module.exit_json(run=params["run"], held=held)


if __name__ == "__main__":
    main()
