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
    version that no file pins is then the one that was installed there, until O(force) resolves again.
  - What the source brings runs as C(<user>-build), as a service of systemd with O(build_service), and no process of it is
    left when the release is sealed. A finished release belongs to root, and O(user) may only read it.
  - The module is imported as O(user), with the release's settings, as a service with O(sandbox).
  - Warns where the application has a package for WebSockets that do not work under the app server.
  - Fails, and marks the release failed, where a dependency cannot be installed or the module does not import; what was
    built of it is removed again.
extends_documentation_fragment: [slipway.flask.attributes, slipway.flask.release, slipway.flask.release.step]
options:
  user: {description: The application's user., type: str, required: true}
  module:
    description: The WSGI callable in gunicorn's notation, C(package.module:name) or C(module:factory()).
    type: str
    required: true
  server:
    description:
      - The app server's role. Its other files in C(bin/) than C(serve) begin with its name and a dot; what another one
        left there is not part of the release.
      - Where it is uwsgi, a C(uwsgi.ini) in the application's folder may name the module.
      - Where it is none, the release has no application. It is what is published of the source, with an C(index.html), and nothing else.
    type: str
    required: true
  uv: {description: Path of the uv program., type: path, required: true}
  python: {description: "An interpreter's path or name, or a version for uv to find or fetch.", type: str, required: true}
  static_dir: {description: Folder of static files below the source; published where it exists., type: str, required: true}
  static_url: {description: The URL path the static files are published under., type: str, required: true}
  static_kinds:
    description: Last suffixes of files that are published, without the dot; empty for names without one.
    type: list
    elements: str
    required: true
  static_forbidden_suffixes:
    description: Suffixes that a name may not have before its last one either.
    type: list
    elements: str
    required: true
  sandbox: {description: Directives of systemd for what runs as O(user)., type: dict, required: true}
  build_service: {description: Directives of systemd for the build., type: dict, required: true}
  shared_dirs:
    description: "Folders below the source that outlive a release: links into C(<home>/shared)."
    type: list
    elements: str
    default: []
  build:
    description: Shell commands that run in the application's folder once its dependencies are there, as O(user)'s build.
    type: list
    elements: str
    default: []
  prestart:
    description: The prestart commands; the release's id is derived from them too.
    type: list
    elements: str
    default: []
  migrate: {description: Whether migrations run before the prestart commands; part of the id., type: bool, default: true}
  force:
    description: Build again what was built of the same input before; the new release has a new id.
    type: bool
    default: false
  source: {description: "The version of the source, for the record.", type: str, default: ""}
  folder:
    description: The application's folder in the archive, where that has more of the source than this folder.
    type: str
    default: ""
attributes:
  check_mode: {support: full}
author: Slipway (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Build the release
  slipway.flask.release_build:
    home: /srv/guestbook
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
pending: {description: "Whether it was, or in a dry run would be, built.", type: bool, returned: always}
schema: {description: Heads of its Alembic migrations., type: list, elements: str, returned: always}
note:
  description: What to say of files that name dependencies and did not count for this build; empty for none.
  type: str
  returned: always
not_published:
  description: Files below O(static_dir) that this build did not publish, and why.
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
from ansible_collections.slipway.flask.plugins.module_utils.engine.module import HOME, STEP, step
from ansible_collections.slipway.flask.plugins.module_utils.engine.plan import Plan, interpreter
from ansible_collections.slipway.flask.plugins.module_utils.engine.record import Release

ARGUMENTS = {
    "user": {"type": "str", "required": True},
    "module": {"type": "str", "required": True},
    "server": {"type": "str", "required": True},
    "uv": {"type": "path", "required": True},
    "python": {"type": "str", "required": True},
    "static_dir": {"type": "str", "required": True},
    "static_url": {"type": "str", "required": True},
    "static_kinds": {"type": "list", "elements": "str", "required": True},
    "static_forbidden_suffixes": {"type": "list", "elements": "str", "required": True},
    "sandbox": {"type": "dict", "required": True},
    "build_service": {"type": "dict", "required": True},
    "shared_dirs": {"type": "list", "elements": "str", "default": []},
    "build": {"type": "list", "elements": "str", "default": []},
    "prestart": {"type": "list", "elements": "str", "default": []},
    "migrate": {"type": "bool", "default": True},
    "source": {"type": "str", "default": ""},
    "folder": {"type": "str", "default": ""},
    "force": {"type": "bool", "default": False},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule({**HOME, **STEP, **ARGUMENTS}, supports_check_mode=True)
    params = module.params
    if module.check_mode and not Path(params["home"], "next/source.tar.gz").exists():  # a dry run of a first deploy
        module.exit_json(changed=True, pending=True, id="", prestarted=True, schema=[], not_published=[], note="")
    os.umask(0o077)  # nothing is readable by others before it is handed over
    settings = {name: params[name] for name in ("home", *ARGUMENTS) if name != "force"}
    plan = Plan(**{**settings, "python": interpreter(params["python"])})
    if params["force"] and not module.check_mode:
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
        pending=not built or params["force"],
        id=release.id,
        prestarted=bool(record.get("prestarted")),
        schema=record.get("schema", []),
        not_published=[last_lines(name) for name in made.refused],
        note=made.note,
    )


if __name__ == "__main__":
    main()
