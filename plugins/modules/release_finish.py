#!/usr/bin/python
"""End a deploy, successful or not; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: release_finish
short_description: Leave nothing running but the active release, and give the lock back
description:
  - Stops everything but the active release, removes old releases, appends the outcome of the deploy to
    C(<home>/release.log), and gives the lock back. Does nothing where the lock is not this deploy's, or where the
    application has been removed.
extends_documentation_fragment: [slipway.flask.attributes, slipway.flask.release, slipway.flask.release.step, slipway.flask.release.instances, slipway.flask.release.end]
attributes:
  check_mode: {support: none}
author: Slipway (!UNKNOWN)
"""

EXAMPLES = r"""
- name: End the deploy
  slipway.flask.release_finish:
    home: /srv/guestbook
    run: /run/guestbook
    name: guestbook
    user: guestbook
    socket_group: www-data
    lock: "{{ lock.run }}"
"""

RETURN = r""" # """

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.flask.plugins.module_utils.engine.module import END, HOME, INSTANCES, STEP, end


def main() -> None:
    """Run the module."""
    module = AnsibleModule({**HOME, **STEP, **INSTANCES, **END})
    if Path(module.params["home"]).is_dir():
        end(module, module.params["lock"])
    module.exit_json(changed=False)


if __name__ == "__main__":
    main()
