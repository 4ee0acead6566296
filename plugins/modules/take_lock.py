#!/usr/bin/python
"""Take the lock on an application's releases; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: take_lock
short_description: Take the lock on an application's releases
description:
  - The server's half of M(slipway.flask.release_lock), which says who asks and judges the holder that this returns.
extends_documentation_fragment: [slipway.flask.attributes, slipway.flask.release, slipway.flask.release.asks]
attributes:
  check_mode: {support: none}
author: Slipway (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Take the lock
  slipway.flask.take_lock:
    home: /srv/guestbook
    asks: {run: 0123456789ab, holder: {who: ada, host: desk, verb: deploy}}
"""

RETURN = r"""
held: {description: Who holds the lock., type: dict, returned: where it was not taken}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.flask.plugins.module_utils.engine.module import ASKS, HOME, take_lock


def main() -> None:
    """Run the module."""
    module = AnsibleModule({**HOME, **ASKS})
    take_lock(module)
    module.exit_json()


if __name__ == "__main__":
    main()
