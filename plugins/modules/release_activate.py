#!/usr/bin/python
"""Move the traffic to a release that was started and gated; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: release_activate
short_description: Give a running release the traffic, and stop the one that had it
description:
  - Starts the release's workers and timers, makes all of it start at boot, and points C(<run>/app.sock) at its
    socket with a rename, so that the edge needs no reload and no connection is dropped.
  - Then waits until no connection to the old instance is left, and stops it with its workers, which get the time they need.
  - Fails where a worker of the new release has died by then; the release keeps the traffic.
extends_documentation_fragment: [slipway.flask.attributes, slipway.flask.release, slipway.flask.release.step, slipway.flask.release.instances]
options:
  id: {description: The release's id., type: str, required: true}
  drain_timeout: {description: Seconds to wait for the old instance's connections to end., type: int, required: true}
attributes:
  check_mode: {support: full}
author: Slipway (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Switch the traffic to the release
  slipway.flask.release_activate:
    home: /srv/guestbook
    run: /run/guestbook
    name: guestbook
    user: guestbook
    socket_group: www-data
    id: "{{ release.id }}"
    lock: "{{ lock.run }}"
"""

RETURN = r"""
previous: {description: The release that had the traffic before; empty where there was none., type: str, returned: success}
drain_seconds: {description: How long the old instance's last connections took to end., type: float, returned: success}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.flask.plugins.module_utils.engine.module import HOME, INSTANCES, STEP, switch


def main() -> None:
    """Run the module."""
    own = {"id": {"type": "str", "required": True}, "drain_timeout": {"type": "int", "required": True}}
    module = AnsibleModule({**HOME, **STEP, **INSTANCES, **own}, supports_check_mode=True)
    if module.check_mode:
        module.exit_json(changed=True)
    module.exit_json(**switch(module))


if __name__ == "__main__":
    main()
