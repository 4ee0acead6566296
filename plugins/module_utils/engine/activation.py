#!/usr/bin/python
"""Move the traffic to a release that was started and gated; see DOCUMENTATION."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.flask.plugins.module_utils.engine.deploy import Deploy
from ansible_collections.slipway.flask.plugins.module_utils.engine.release import Release, ReleaseError, last_lines, now
from ansible_collections.slipway.flask.plugins.module_utils.engine.traffic import Traffic

DOCUMENTATION = r"""
module: release_activate
short_description: Give a running release the traffic, and stop the one that had it
description:
  - Starts the release's workers and timers, sees to it that all of it starts at boot, and points C(<run>/app.sock) at its
    socket with a rename, so that the edge needs no reload and no connection is dropped.
  - Then waits until no connection to the old instance is left, and stops it with its workers, which get the time they need.
  - Fails where a worker of the new release has died by then; the release keeps the traffic.
options:
  home: {description: The application's folder., type: path, required: true}
  run: {description: Folder of the sockets; made anew at each boot., type: path, required: true}
  name: {description: The application's name., type: str, required: true}
  id: {description: The release's id., type: str, required: true}
  user: {description: The application's user., type: str, required: true}
  socket_group: {description: Group of the edge; it may connect., type: str, required: true}
  drain_timeout: {description: Seconds to wait for the old instance's connections to end., type: int, default: 30}
  lock: {description: What M(release_lock) returned as C(run)., type: str}
attributes:
  check_mode: {support: full}
author: Slipway
"""

EXAMPLES = r"""
- name: The release has the traffic
  release_activate:
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


def dead_workers(status: str, web: str) -> list[str]:
    """Return the programs beside the web server that have died since the start, by what bin/instance says of each.

    One that dies again and again is, in the moment of the question, just being started as often as not: it was
    restarted, which is counted.
    """
    programs = [line.split("\t") for line in status.splitlines()]
    return [
        name
        for name, state, _, restarts, *_ in programs
        if state == "failing" or (int(restarts) > 0 and not name.startswith(web))
    ]


def activate(traffic: Traffic, release: Release, params: dict[str, Any]) -> tuple[str, float]:
    """Move the traffic; return the id of the release that had it, and the seconds its connections took to end."""
    started = release.instance("activate")
    if started.returncode:
        raise release.fail(
            f"app_workers, app_timers: {release.id} cannot be made to run for good; what was active before still is.\n"
            f"{last_lines(started.stderr)}\n{release.log}"
        )
    release.note(activated=now())  # first, so that no release has had the traffic and is not known to be good
    old = traffic.give(release)
    waited = traffic.retire(traffic.others(release.id), params["drain_timeout"])
    dead = dead_workers(release.instance("status").stdout, f"{params['name']}@{release.id}")
    if dead:
        raise ReleaseError(
            f"app_workers: {', '.join(dead)} of the release {release.id} died after the start. The release has the traffic "
            f"and keeps it. Mend the command and deploy, or roll back.\n{release.log}"
        )
    return old, waited


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **{name: {"type": "path", "required": True} for name in ("home", "run")},
            **{name: {"type": "str", "required": True} for name in ("name", "id", "user", "socket_group")},
            "drain_timeout": {"type": "int", "default": 30},
            "lock": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    params = module.params
    if module.check_mode:
        module.exit_json(changed=True)
    traffic = Traffic(*(params[name] for name in ("home", "run", "name", "user", "socket_group")))
    deploy = Deploy(params["home"], params["lock"])
    with deploy.step(module):
        deploy.note(step="activate", id=params["id"])
        old, waited = activate(traffic, Release(params["home"], params["id"]), params)
        deploy.note(step="done", outcome="activated")
    module.exit_json(changed=True, previous=old, drain_seconds=round(waited, 1))


if __name__ == "__main__":
    main()
