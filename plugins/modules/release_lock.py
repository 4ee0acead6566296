#!/usr/bin/python
"""Documentation of the action plugin of the same name, which asks M(slipway.flask.take_lock) on the server."""

DOCUMENTATION = r"""
module: release_lock
short_description: Let one deploy at a time change an application's releases
description:
  - Writes who deploys, since when and from where to C(<home>/deploy.lock); M(slipway.flask.release_finish) removes it
    again.
  - A lock whose deploy has ended without that (killed, or cut off) is taken over, where the deploy ran on the same
    control machine and so can be seen to have ended. A step of it that still runs on the server is waited for.
  - Otherwise fails, and says who deploys.
extends_documentation_fragment: [slipway.flask.attributes, slipway.flask.release]
options:
  verb: {description: "What is done, for the log.", type: str, default: deploy}
  force: {description: Take it from any holder., type: bool, default: false}
attributes:
  check_mode: {support: none}
author: Slipway (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Take the deploy lock
  slipway.flask.release_lock:
    home: /srv/guestbook
  register: lock
"""

RETURN = r"""
run: {description: What the further steps of this deploy give as their O(ignore:lock)., type: str, returned: always}
"""
