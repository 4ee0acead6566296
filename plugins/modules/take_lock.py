#!/usr/bin/python
"""Take the lock on an application's releases; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: take_lock
short_description: Take the lock on an application's releases
description:
  - The server's half of M(slipway.flask.release_lock), which says who asks and judges the holder that this returns.
extends_documentation_fragment: [slipway.flask.attributes, slipway.flask.release]
options:
  run: {description: "The deploy's id, which its further steps give.", type: str, required: true}
  holder: {description: "Who asks, since when and from where.", type: dict, required: true}
  instead_of: {description: The id of a deploy that has ended without giving the lock back., type: str, default: ""}
  force: {description: Take it from any holder., type: bool, default: false}
attributes:
  check_mode: {support: none}
author: Slipway (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Take the lock
  slipway.flask.take_lock:
    home: /srv/guestbook
    run: 0123456789ab
    holder: {who: ada, host: desk, verb: deploy}
"""

RETURN = r"""
run: {description: O(run)., type: str, returned: success}
held: {description: Who holds the lock; empty where it was taken., type: dict, returned: success}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.flask.plugins.module_utils.engine.lock import Deploy
from ansible_collections.slipway.flask.plugins.module_utils.engine.module import HOME, errors_of


def main() -> None:
    """Run the module."""
    own = {
        "run": {"type": "str", "required": True},
        "holder": {"type": "dict", "required": True},
        "instead_of": {"type": "str", "default": ""},
        "force": {"type": "bool", "default": False},
    }
    module = AnsibleModule({**HOME, **own})
    params = module.params
    deploy = Deploy(params["home"], params["run"])
    if not (deploy.home / "releases").is_dir():
        module.fail_json(
            msg=f"app_name: this host has no application of that name ({deploy.home}/releases is missing). "
            "Run site.yml first, or correct app_name."
        )
    try:
        with errors_of(module):
            held = deploy.ask(params["holder"], instead_of=params["instead_of"], force=params["force"])
    except OSError as error:  # the first that would notice a file system that is read-only
        module.fail_json(msg=f"{deploy.path}: {error.strerror}")
    module.exit_json(run=params["run"], held=held)


if __name__ == "__main__":
    main()
