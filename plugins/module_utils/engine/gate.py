#!/usr/bin/python
"""Start a release beside the running one, and gate it; see DOCUMENTATION."""

from __future__ import annotations

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.flask.plugins.module_utils.engine.deploy import Deploy
from ansible_collections.slipway.flask.plugins.module_utils.engine.release import Release, ReleaseError
from ansible_collections.slipway.flask.plugins.module_utils.engine.traffic import POLL_SECONDS, Traffic, ask

DOCUMENTATION = r"""
module: release_start
short_description: Start a built release beside the one that has the traffic, and see whether it answers
description:
  - Starts an instance of the release on its own socket and asks it for the health path until it answers.
  - One that does not start or answer in time is stopped and marked failed; what has the traffic keeps it.
  - Where the release has the traffic already it is started if it is not running. If it runs and does not answer in time,
    the module fails and leaves it running.
options:
  home: {description: The application's folder., type: path, required: true}
  run: {description: Folder of the sockets; made anew at each boot., type: path, required: true}
  name: {description: The application's name., type: str, required: true}
  id: {description: The release's id., type: str, required: true}
  user: {description: The application's user., type: str, required: true}
  socket_group: {description: Group of the edge; it may connect., type: str, required: true}
  health_path: {description: Any answer below 500 to a GET of it counts as healthy., type: str, default: /}
  health_host: {description: The Host header of that request., type: str, default: localhost}
  health_timeout: {description: Seconds in which a started instance must answer., type: int, default: 30}
  lock: {description: What M(release_lock) returned as C(run)., type: str}
  undo:
    description: Whether this brings a release back. One that answered before is not marked failed for not answering now.
    type: bool
    default: false
attributes:
  check_mode: {support: full}
author: Slipway
"""

EXAMPLES = r"""
- name: The release answers on its own socket
  release_start:
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
  description: Whether the release has the traffic already, answers, and no other runs beside it.
  type: bool
  returned: always
"""


def healthy(traffic: Traffic, release: Release, params: dict[str, Any]) -> str:
    """Ask the instance until it answers or the time is over; return what was wrong last."""
    deadline = time.monotonic() + params["health_timeout"]
    while True:
        left = max(1.0, deadline - time.monotonic())
        wrong = ask(traffic.socket(release.id), params["health_path"], params["health_host"], left)
        if not wrong or time.monotonic() >= deadline:
            return wrong
        # An answer that is wrong fills the log; it is asked for again less often than one that is not there yet.
        time.sleep(1 if wrong.startswith("answered") else POLL_SECONDS)


def start(traffic: Traffic, release: Release, params: dict[str, Any]) -> None:
    """Start the instance and wait until it is healthy. Raises ReleaseError, with nothing new left running."""
    active = traffic.active
    traffic.make_run_folder(traffic.answering)
    release.note(running=True)
    started = release.instance("start")
    wrong = started.stderr.strip() if started.returncode else healthy(traffic, release, params)
    if not wrong:
        return
    what = f"app_health_path: the release {release.id} {{}}: {wrong}. It must answer GET "
    what += f"{params['health_path']} with a status below 500 within {params['health_timeout']} s "
    what += "(app_health_timeout_seconds).{}\nIts last log lines:\n"
    log = release.log
    if release.id in (active, traffic.answering):
        raise ReleaseError(what.format("has the traffic and is not well", " It was left as it is.") + log)
    traffic.stop(release)
    message = what.format("did not come up", " It was stopped; what was active before still is.") + log
    raise ReleaseError(message) if params["undo"] else release.fail(message)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **{name: {"type": "path", "required": True} for name in ("home", "run")},
            **{name: {"type": "str", "required": True} for name in ("name", "id", "user", "socket_group")},
            "health_path": {"type": "str", "default": "/"},
            "health_host": {"type": "str", "default": "localhost"},
            "health_timeout": {"type": "int", "default": 30},
            "lock": {"type": "str", "default": ""},
            "undo": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    params = module.params
    traffic = Traffic(*(params[name] for name in ("home", "run", "name", "user", "socket_group")))
    release = Release(params["home"], params["id"])
    answers = traffic.active == release.id and not ask(
        traffic.socket(release.id), params["health_path"], params["health_host"], 10
    )
    settled = answers and not traffic.others(release.id)
    if not answers and not module.check_mode:
        deploy = Deploy(params["home"], params["lock"])
        with deploy.step(module):
            deploy.note(step="gate", id=release.id)
            start(traffic, release, params)
    module.exit_json(changed=not answers, settled=settled)


if __name__ == "__main__":
    main()
