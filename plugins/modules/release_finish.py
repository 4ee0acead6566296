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
extends_documentation_fragment: [slipway.flask.attributes, slipway.flask.release, slipway.flask.release.step, slipway.flask.release.instances]
options:
  drain_timeout: {description: Seconds to wait for the connections of an instance to end., type: int, required: true}
  keep: {description: "Releases to keep. The active, the previous and the last good one always are.", type: int, required: true}
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

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.flask.plugins.module_utils.engine.activation import finish
from ansible_collections.slipway.flask.plugins.module_utils.engine.lock import Deploy
from ansible_collections.slipway.flask.plugins.module_utils.engine.module import (
    HOME,
    INSTANCES,
    STEP,
    errors_of,
    traffic_of,
)


def main() -> None:
    """Run the module."""
    own = {"drain_timeout": {"type": "int", "required": True}, "keep": {"type": "int", "required": True}}
    module = AnsibleModule({**HOME, **STEP, **INSTANCES, **own})
    params = module.params
    deploy = Deploy(params["home"], params["lock"])
    if deploy.home.is_dir():
        with errors_of(module), deploy.alone():
            if deploy.ours:
                try:
                    finish(traffic_of(params), params["keep"], params["drain_timeout"])
                finally:
                    deploy.free()
    module.exit_json(changed=False)


if __name__ == "__main__":
    main()
