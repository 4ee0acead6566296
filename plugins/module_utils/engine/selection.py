#!/usr/bin/python
"""Choose the release to roll back to; see DOCUMENTATION."""

from __future__ import annotations

import re

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.flask.plugins.module_utils.engine.deploy import Deploy
from ansible_collections.slipway.flask.plugins.module_utils.engine.release import (
    Release,
    ReleaseError,
    last_good,
    linked,
    releases,
)

DOCUMENTATION = r"""
module: release_select
short_description: Choose a good release to go back to
description:
  - Returns the previous release, or the one asked for, where it was good once and did not fail since.
  - Fails where the database has had migrations since that the release does not know.
options:
  home: {description: The application's folder., type: path, required: true}
  id: {description: The release asked for; the previous good one where empty., type: str}
  force: {description: Go back across a migration., type: bool, default: false}
  lock: {description: What M(release_lock) returned as C(run)., type: str}
attributes:
  check_mode: {support: full}
author: Slipway
"""

EXAMPLES = r"""
- name: There is a release to go back to
  release_select:
    home: /srv/guestbook
    lock: "{{ lock.run }}"
  register: release
"""

RETURN = r"""
id: {description: The release's id., type: str, returned: success}
"""


def select(home: str, wanted: str, force: bool) -> Release:
    """Return the release to go back to. Raises ReleaseError where there is none."""
    active = linked(Release(home, "").home / "current")
    known = [release.id for release in releases(home) if release.good and release.id != active]
    there_are = f"Good ones here: {', '.join(known) or 'none'} (active: {active or 'none'})."
    if wanted and not re.fullmatch("[0-9a-f]{12}", wanted):
        raise ReleaseError(f"app_release: {wanted!r} is not a release id (12 hexadecimal digits). {there_are}")
    release = Release(home, wanted or last_good(home))
    if not release.id:
        raise ReleaseError(f"app_release: there is no release to go back to. {there_are}")
    if not release.record:
        raise ReleaseError(f"app_release: release {wanted} does not exist here (any more). {there_are}")
    if release.id != active and not release.good:
        why = f"was never good: {release.record.get('reason', 'it never had the traffic')}"
        if "activated" in release.record and not release.startable:
            why = "was built by an earlier version of Slipway, and cannot be started any more. Deploy its source again."
        raise ReleaseError(f"app_release: {wanted} {why} {there_are}")
    # Migrations run before a release is gated: also those of one that failed there have changed the database.
    migrated = [
        other.record for other in releases(home) if other.record.get("prestarted") and other.record.get("schema")
    ]
    latest = max(migrated, key=lambda record: record["prestarted"], default=release.record)
    if latest.get("schema") != release.record.get("schema") and not force:
        raise ReleaseError(
            f"app_rollback_force: the database is at the schema {' '.join(latest['schema'])} (release {latest['id']}), and "
            f"{release.id} was built for {' '.join(release.record.get('schema') or ['none'])}. Nothing was changed. Deploy a "
            "new release that mends what is wrong, or migrate the database back first; if the old release can live with the "
            "schema as it is, run this again with -e app_rollback_force=true."
        )
    return release


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "home": {"type": "path", "required": True},
            "id": {"type": "str", "default": ""},
            "force": {"type": "bool", "default": False},
            "lock": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    params = module.params
    if module.check_mode:
        try:
            release = select(params["home"], params["id"], params["force"])
        except ReleaseError as error:
            module.fail_json(msg=str(error))
    else:
        deploy = Deploy(params["home"], params["lock"])
        with deploy.step(module):
            release = select(params["home"], params["id"], params["force"])
            deploy.note(source=release.record.get("source", ""))
    module.exit_json(changed=False, id=release.id)


if __name__ == "__main__":
    main()
