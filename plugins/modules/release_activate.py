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
  - With O(alone), the deploy ends then, as M(slipway.flask.release_finish) does it.
extends_documentation_fragment:
  - slipway.flask.attributes
  - slipway.flask.release
  - slipway.flask.release.step
  - slipway.flask.release.instances
  - slipway.flask.release.end
  - slipway.flask.release.alone
options:
  id: {description: The release's id., type: str, required: true}
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
    drain_timeout: 30
    keep: 5
    lock: "{{ lock.run }}"
"""

RETURN = r"""
previous: {description: The release that had the traffic before; empty where there was none., type: str, returned: success}
drain_seconds: {description: How long the old instance's last connections took to end., type: float, returned: success}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.flask.plugins.module_utils.engine.activation import activate
from ansible_collections.slipway.flask.plugins.module_utils.engine.module import (
    ALONE,
    HOME,
    INSTANCES,
    STEP,
    end,
    step,
    traffic_of,
)
from ansible_collections.slipway.flask.plugins.module_utils.engine.record import Release


def main() -> None:
    """Run the module."""
    own = {"id": {"type": "str", "required": True}}
    module = AnsibleModule({**HOME, **STEP, **INSTANCES, **ALONE, **own}, supports_check_mode=True)
    params = module.params
    if module.check_mode:
        module.exit_json(changed=True)
    with step(module) as deploy:
        deploy.note(step="activate", id=params["id"])
        old, waited = activate(traffic_of(params), Release(params["home"], params["id"]), params["drain_timeout"])
        deploy.note(step="done", outcome="activated")
    if params["alone"]:
        end(module, params["lock"])
    module.exit_json(changed=True, previous=old, drain_seconds=round(waited, 1))


if __name__ == "__main__":
    main()
