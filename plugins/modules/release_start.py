#!/usr/bin/python
"""Start a release next to the running one, and gate it; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: release_start
short_description: Start a built release next to the one that has the traffic, and check that it answers
description:
  - Starts an instance of the release on its own socket and asks it for the health path until it answers.
  - One that does not start or answer in time is stopped and marked failed; what has the traffic keeps it.
  - One that does not understand what the edge of this host speaks is refused, and not marked failed.
  - A release of a site without an application has no instance. Its build has seen that it has a front page.
  - Where the release has the traffic already it is started if it is not running. If it runs and does not answer in time,
    the module fails and leaves it running.
extends_documentation_fragment:
  - slipway.flask.attributes
  - slipway.flask.release
  - slipway.flask.release.step
  - slipway.flask.release.instances
  - slipway.flask.release.gate
options:
  id: {description: The release's id., type: str, required: true}
  undo:
    description: Whether this brings a release back. One that answered before is not marked failed for not answering now.
    type: bool
    default: false
  edge_sites:
    description: Paths that the edge's file of the site may have. One that names C(<run>/app.uwsgi) speaks uwsgi.
    type: list
    elements: path
    default: []
attributes:
  check_mode: {support: full}
author: Slipway (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Start the release on its own socket
  slipway.flask.release_start:
    home: /srv/guestbook
    run: /run/guestbook
    name: guestbook
    user: guestbook
    socket_group: www-data
    id: "{{ release.id }}"
    lock: "{{ lock.run }}"
"""

RETURN = r"""
settled:
  description: Whether the release has the traffic, answers, and no other is running.
  type: bool
  returned: always
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.flask.plugins.module_utils.engine.gate import Check, look, start
from ansible_collections.slipway.flask.plugins.module_utils.engine.module import (
    GATE,
    HOME,
    INSTANCES,
    STEP,
    step,
    traffic_of,
)
from ansible_collections.slipway.flask.plugins.module_utils.engine.protocol import check_release
from ansible_collections.slipway.flask.plugins.module_utils.engine.record import Release


def main() -> None:
    """Run the module."""
    own = {
        "id": {"type": "str", "required": True},
        "undo": {"type": "bool", "default": False},
        "edge_sites": {"type": "list", "elements": "path", "default": []},
    }
    module = AnsibleModule({**HOME, **STEP, **INSTANCES, **GATE, **own}, supports_check_mode=True)
    params = module.params
    traffic, release = traffic_of(params), Release(params["home"], params["id"])
    check = Check(params["health_path"], params["health_host"], params["health_timeout"])
    state = look(traffic, release, check)
    if not state.answers and not module.check_mode:
        with step(module) as deploy:
            deploy.note(step="gate", id=release.id)
            check_release(release, params["edge_sites"], traffic.run)
            if warning := start(traffic, release, check, undo=params["undo"]):
                module.warn(warning)
    module.exit_json(changed=not state.answers, settled=state.settled)


if __name__ == "__main__":
    main()
