#!/usr/bin/python
"""Documentation of the action plugin of the same name, which asks the server without a module."""

DOCUMENTATION = r"""
module: server_facts
short_description: Ask a server for the few facts that the roles need
description:
  - Sets C(distribution), C(distribution_version), C(distribution_major_version), C(memtotal_mb), C(processor_vcpus) and C(mounts) in
    C(ansible_facts), as M(ansible.builtin.setup) does, which takes 0.7 s for the same. The plays that follow gather no facts.
  - It sees as well whether Ansible can run Python on the server, as the user that it becomes.
extends_documentation_fragment: [slipway.flask.attributes]
options:
  python: {description: The server's Python., type: str, required: true}
attributes:
  check_mode: {support: full}
author: Slipway (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Ask the server for the facts that the roles need
  slipway.flask.server_facts:
    python: /usr/bin/python3
"""

RETURN = r""" # """
