#!/usr/bin/python
"""The server's half of the action plugin of the same name, which packs, renders and asks for the lock; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: release_stage
short_description: Bring all that the next release is made of to the server, and see whether it runs already
description:
  - Takes the lock, as M(slipway.flask.release_lock) does, before it writes anything.
  - Packs O(source) on the control machine into C(<home>/next/source.tar.gz), and renders O(files) from O(templates), as
    M(slipway.flask.release_files) does. With them it writes what other roles had that module keep
    (C(release_files_collect)). All of it is written, or nothing.
  - Where the release that this is has the traffic already, nothing is left to do; with O(alone), the deploy ends at once.
extends_documentation_fragment:
  - slipway.flask.attributes
  - slipway.flask.attributes.diff
  - slipway.flask.files
  - slipway.flask.release
  - slipway.flask.release.asks
  - slipway.flask.release.plan
  - slipway.flask.release.source
  - slipway.flask.release.instances
  - slipway.flask.release.gate
  - slipway.flask.release.end
  - slipway.flask.release.alone
options:
  published:
    description:
      - A folder of static files below the application's. Where a bundler's output in it, or in a folder such as C(dist), stays
        behind because C(.gitignore) names it, RV(notes) say so. Empty where the server makes it.
    type: str
  templates: {description: Folders with templates; the first that has one wins., type: list, elements: path}
  break_lock: {description: Take the lock from any holder., type: bool, default: false}
attributes:
  check_mode: {support: full}
  diff_mode: {support: full}
author: Slipway (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Stage the release
  slipway.flask.release_stage:
    home: /srv/guestbook
    group: guestbook
    source: ./app
    templates: ["{{ role_path }}/templates"]
    files: [{src: env.j2, dest: env, secret: true}]
"""

RETURN = r"""
run: {description: What the further steps of this deploy give as their O(ignore:lock)., type: str, returned: except in a dry run}
pending: {description: "Whether it is, or in a dry run would be, built.", type: bool, returned: success}
settled: {description: "Whether the release has the traffic already, answers, and no other is running.", type: bool, returned: success}
folder:
  description: The application's folder in the archive, where all of the source was packed; empty otherwise.
  type: str
  returned: always
notes:
  description: Sentences about what was left out of the source, and about what is large.
  type: list
  elements: str
  returned: always
version:
  description: The ref asked for and the commit it is, where there is one; else the source as it was named.
  type: str
  returned: always
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.flask.plugins.module_utils.engine.gate import Check, look
from ansible_collections.slipway.flask.plugins.module_utils.engine.module import (
    ALONE,
    ASKS,
    GATE,
    HOME,
    INSTANCES,
    PLAN,
    end,
    plan_of,
    take_lock,
    traffic_of,
)
from ansible_collections.slipway.flask.plugins.module_utils.engine.record import Release
from ansible_collections.slipway.flask.plugins.module_utils.writing import FILES, write_all


def state_of(params: dict[str, Any]) -> tuple[bool, bool]:
    """Return whether what is staged has to be built, and whether nothing is left to do."""
    plan = plan_of(params)
    release = Release(plan.home, plan.id)
    record = release.record
    pending = params["plan"]["force"] or not (record.get("state") == "built" or release.active)
    ready = not pending and (record.get("prestarted") or not plan.has_application)
    check = Check(params["health_path"], params["health_host"], params["health_timeout"])
    return pending, bool(ready and look(traffic_of(params), release, check).settled)


def main() -> None:
    """Run the module."""
    module = AnsibleModule({**HOME, **ASKS, **FILES, **PLAN, **INSTANCES, **GATE, **ALONE}, supports_check_mode=True)
    params = module.params
    take_lock(module)
    written = write_all(module, Path(params["home"], "next"))
    pending, settled = state_of(params)
    if module.check_mode and written["changed"]:  # the files that are staged are still those of the release before
        settled = False
    if settled and params["alone"] and not module.check_mode:
        end(module, params["asks"]["run"])
    module.exit_json(**written, pending=pending, settled=settled)


if __name__ == "__main__":
    main()
