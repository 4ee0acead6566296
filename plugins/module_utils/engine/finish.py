#!/usr/bin/python
"""End a deploy, whatever came of it; see DOCUMENTATION."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.flask.plugins.module_utils.engine.deploy import Deploy
from ansible_collections.slipway.flask.plugins.module_utils.engine.release import (
    ReleaseError,
    last_good,
    linked,
    releases,
    remove,
)
from ansible_collections.slipway.flask.plugins.module_utils.engine.traffic import Traffic

DOCUMENTATION = r"""
module: release_finish
short_description: Leave nothing running but the active release, and give the lock back
description:
  - Stops what runs beside the active release, removes old releases, appends what became of the deploy to
    C(<home>/release.log), and gives the lock back. Does nothing where the lock is not this deploy's, or where the
    application has been removed.
options:
  home: {description: The application's folder., type: path, required: true}
  run: {description: Folder of the sockets., type: path, required: true}
  name: {description: The application's name., type: str, required: true}
  user: {description: The application's user., type: str, required: true}
  socket_group: {description: Group of the edge; it may connect., type: str, required: true}
  drain_timeout: {description: Seconds to wait for the connections of an instance to end., type: int, default: 30}
  keep: {description: "Releases to keep. The active, the previous and the last good one always are.", type: int, default: 5}
  lock: {description: What M(release_lock) returned as C(run); empty where it returned nothing., type: str}
attributes:
  check_mode: {support: none}
author: Slipway
"""

EXAMPLES = r"""
- name: The deploy has ended
  release_finish:
    home: /srv/guestbook
    run: /run/guestbook
    name: guestbook
    user: guestbook
    socket_group: www-data
    lock: "{{ lock.run }}"
"""

RETURN = r"""
"""


def finish(traffic: Traffic, keep: int, drain_timeout: int) -> None:
    """Stop what should not run, and remove the oldest releases."""
    # Two where a switch was cut off in the middle: the static files are one's, the pages still the other's.
    active = {linked(traffic.home / "current"), traffic.answering}
    traffic.retire(traffic.others(*active), drain_timeout)
    safe = {*active, linked(traffic.home / "previous"), last_good(traffic.home)}
    for release in releases(traffic.home)[keep:]:
        if release.id not in safe:
            remove(release.path)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **{name: {"type": "path", "required": True} for name in ("home", "run")},
            **{name: {"type": "str", "required": True} for name in ("name", "user", "socket_group")},
            "drain_timeout": {"type": "int", "default": 30},
            "keep": {"type": "int", "default": 5},
            "lock": {"type": "str", "default": ""},
        },
    )
    params = module.params
    deploy = Deploy(params["home"], params["lock"])
    if not deploy.home.is_dir():
        module.exit_json(changed=False)
    try:
        with deploy.alone():
            if deploy.ours:
                try:
                    traffic = Traffic(*(params[name] for name in ("home", "run", "name", "user", "socket_group")))
                    finish(traffic, params["keep"], params["drain_timeout"])
                finally:
                    deploy.free()
    except ReleaseError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False)


if __name__ == "__main__":
    main()
