#!/usr/bin/python
"""The server's half of the action plugin of the same name, which asks for the lock; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: release_select
short_description: Choose a good release to go back to
description:
  - Takes the lock, as M(slipway.flask.release_lock) does.
  - Returns the previous release, or the one asked for, where it was good once and did not fail since.
  - Fails where the database has had migrations since that the release does not know.
extends_documentation_fragment: [slipway.flask.attributes, slipway.flask.release, slipway.flask.release.asks]
options:
  id: {description: The release asked for; the previous good one where empty., type: str, default: ""}
  force: {description: Go back across a migration., type: bool, default: false}
  break_lock: {description: Take the lock from any holder., type: bool, default: false}
attributes:
  check_mode: {support: full}
author: Slipway (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Choose the release to go back to
  slipway.flask.release_select:
    home: /srv/guestbook
  register: release
"""

RETURN = r"""
run: {description: What the further steps of this deploy give as their O(ignore:lock)., type: str, returned: except in a dry run}
id: {description: The release's id., type: str, returned: success}
undo: {description: "That the release is brought back, which M(slipway.flask.release_start) has to know.", type: bool, returned: success}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.flask.plugins.module_utils.engine.application import select
from ansible_collections.slipway.flask.plugins.module_utils.engine.module import ASKS, HOME, errors_of, step, take_lock


def main() -> None:
    """Run the module."""
    own = {"id": {"type": "str", "default": ""}, "force": {"type": "bool", "default": False}}
    module = AnsibleModule({**HOME, **ASKS, **own}, supports_check_mode=True)
    params = module.params
    if module.check_mode:
        with errors_of(module):
            release = select(params["home"], params["id"], force=params["force"])
    else:
        take_lock(module)
        with step(module, params["asks"]["run"]) as deploy:
            release = select(params["home"], params["id"], force=params["force"])
            deploy.note(source=release.record.get("source", ""))
    module.exit_json(changed=False, id=release.id, undo=True)


if __name__ == "__main__":
    main()
