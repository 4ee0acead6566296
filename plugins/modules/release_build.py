#!/usr/bin/python
"""Build a release from what is in <home>/next; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: release_build
short_description: Build an immutable release whose id is derived from its content
description:
  - Takes everything below C(<home>/next) (the source's archive, the settings, the programs in bin/, the app server's
    requirements), derives the release's id from it, and builds C(<home>/releases/<id>) with uv unless it is there.
  - First comes what C(next/hashes.txt) pins, the app server and all it needs. Where it has hashes, each package must have
    one, and nothing is compiled.
  - Dependencies come from C(uv.lock), else a C(pyproject.toml) with C([project]), else C(requirements.txt), else a C(setup.py) or
    Poetry's C(pyproject.toml), else C(next/default_requirements.txt). The app server (C(next/requirements.txt)) overrides a version that the application
    asks for; of what it needs, the application's version counts.
  - Where nothing that can name a dependency has changed, it begins with a copy of an earlier release's virtualenv; a
    version that no file pins is then the one that was installed there, until O(plan.force) resolves again.
  - What the source brings runs as C(<user>-build), as a service of systemd with O(plan.build_service), and no process of it is
    left when the release is sealed. A finished release belongs to root, and O(plan.user) may only read it.
  - The module is imported as O(plan.user), with the release's settings, as a service with O(plan.sandbox).
  - Warns where the application has a package for WebSockets that do not work under the app server.
  - Fails, and marks the release failed, where a dependency cannot be installed or the module does not import; what was
    built of it is removed again.
extends_documentation_fragment: [slipway.flask.attributes, slipway.flask.release, slipway.flask.release.step, slipway.flask.release.plan]
attributes:
  check_mode: {support: full}
author: Slipway (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Build the release
  slipway.flask.release_build:
    home: /srv/guestbook
    plan:
      user: guestbook
      module: guestbook:create_app()
      uv: /opt/uv/bin/uv
      static_kinds: [css, js, png]
      static_forbidden_suffixes: [py, env]
      sandbox: {ProtectSystem: strict, ReadWritePaths: /srv/guestbook/shared}
      build_service: {ProtectSystem: strict, MemoryMax: 75%}
  register: release
"""

RETURN = r"""
id: {description: The release's id., type: str, returned: always}
prestarted: {description: Whether its prestart commands have run., type: bool, returned: always}
schema: {description: Heads of its Alembic migrations., type: list, elements: str, returned: always}
note:
  description: What to say of files that name dependencies and did not count for this build; empty for none.
  type: str
  returned: always
not_published:
  description: Files below O(plan.static_dir) that this build did not publish, and why.
  type: list
  elements: str
  returned: always
"""

import os
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.flask.plugins.module_utils.engine import websockets
from ansible_collections.slipway.flask.plugins.module_utils.engine.build import Made, make
from ansible_collections.slipway.flask.plugins.module_utils.engine.errors import last_lines
from ansible_collections.slipway.flask.plugins.module_utils.engine.files import replace
from ansible_collections.slipway.flask.plugins.module_utils.engine.module import HOME, PLAN, STEP, plan_of, step
from ansible_collections.slipway.flask.plugins.module_utils.engine.record import Release


def main() -> None:
    """Run the module."""
    module = AnsibleModule({**HOME, **STEP, **PLAN}, supports_check_mode=True)
    params = module.params
    force = params["plan"]["force"]
    if module.check_mode and not Path(params["home"], "next/source.tar.gz").exists():  # a dry run of a first deploy
        module.exit_json(changed=True, id="", prestarted=True, schema=[], not_published=[], note="")
    os.umask(0o077)  # nothing is readable by others before it is handed over
    plan = plan_of(params)
    if force and not module.check_mode:
        # It stays, so that the next deploy of the same input is this release and not the one before.
        replace(plan.stage / "forced", params["lock"] + "\n")
    release = Release(plan.home, plan.id)
    # A release that has the traffic is never built again under its visitors, whatever its record says.
    built = release.record.get("state") == "built" or release.active
    made = Made([], "")
    if not built and not module.check_mode:
        with step(module) as deploy:
            deploy.note(step="build", id=release.id, source=plan.source)
            made = make(release, plan)
        if said := websockets.warning(release, plan.server):
            module.warn(said)
    record = release.record
    module.exit_json(
        changed=not built,
        id=release.id,
        prestarted=bool(record.get("prestarted")),
        schema=record.get("schema", []),
        not_published=[last_lines(name) for name in made.refused],
        note=made.note,
    )


if __name__ == "__main__":
    main()
