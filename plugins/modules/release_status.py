#!/usr/bin/python
"""Return the status of an application on this host; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: release_status
short_description: Return the status of an application on this host
description:
  - Looks at releases, programs, the log of deploys, the lock, the disk and the site's certificates. It takes no lock and
    changes nothing, so it may look while a deploy is under way; what a deploy removes in the meantime is left out.
extends_documentation_fragment: [slipway.flask.attributes, slipway.flask.release]
options:
  name: {description: The application's name., type: str, required: true}
  deploys: {description: How many of the last deploys to return., type: int, default: 5}
  site: {description: "The edge's file of the site; its certificates are those named there (C(ssl_certificate)).", type: path}
  maintenance_flag: {description: The file that exists while the site is in maintenance., type: path}
attributes:
  check_mode: {support: full}
author: Slipway (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Read the application's status
  slipway.flask.release_status:
    home: /srv/guestbook
    name: guestbook
    site: /etc/nginx/sites-enabled/guestbook
  register: status
"""

RETURN = r"""
status:
  description: Everything that is known. Times are in seconds since 1970, sizes in bytes; what is not known is null or empty.
  returned: always
  type: dict
  contains:
    time: {description: When this was looked at., type: int}
    host: {description: The host's own name., type: str}
    up_seconds: {description: Since the host's boot., type: int}
    load: {description: "Load of the last 1, 5 and 15 minutes.", type: list, elements: float}
    active: {description: Id of the release that has the traffic; empty where none has., type: str}
    previous: {description: Id of the release that had it before., type: str}
    releases:
      description: >-
        The latest first. Each has C(id), C(state) (active, previous, good, built, failed, building or unfinished),
        C(built), C(activated), C(source), C(reason) of a failure.
      type: list
      elements: dict
    pages: {description: Whether the active release is of a site without an application., type: bool}
    programs:
      description: >-
        Of each release that runs. C(release), C(name), C(kind) (web, worker, timer, job), C(state) (running, waiting, stopped,
        failing), C(seconds) in that state, C(restarts), C(memory).
      type: list
      elements: dict
    deploys: {description: "The last lines of release.log, the latest first.", type: list, elements: dict}
    lock: {description: "Who holds the lock (C(who), C(host), C(since), C(verb), C(step)); null where there is none.", type: dict}
    maintenance: {description: Since when the site is in maintenance; null where it is not., type: int}
    disk: {description: "C(total), C(used) and C(free) of the file system that the releases are on.", type: dict}
    memory: {description: "C(total) and C(available) of the host.", type: dict}
    certificates: {description: "C(path), C(from), C(until), C(problem).", type: list, elements: dict}
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.flask.plugins.module_utils.engine.module import HOME
from ansible_collections.slipway.flask.plugins.module_utils.engine.status import look


def main() -> None:
    """Run the module."""
    own = {
        "name": {"type": "str", "required": True},
        "deploys": {"type": "int", "default": 5},
        "site": {"type": "path"},
        "maintenance_flag": {"type": "path"},
    }
    module = AnsibleModule({**HOME, **own}, supports_check_mode=True)
    params = module.params
    status = look(
        Path(params["home"]),
        params["name"],
        site=params["site"],
        maintenance_flag=params["maintenance_flag"],
        count=params["deploys"],
    )
    module.exit_json(changed=False, status=status)


if __name__ == "__main__":
    main()
