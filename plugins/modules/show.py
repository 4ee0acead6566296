#!/usr/bin/python
"""Documentation of the action plugin of the same name, which does the work on the control machine."""

DOCUMENTATION = r"""
module: show
short_description: Show text as it is
description:
  - For what a person reads, such as a table, and for a line that another program reads. M(ansible.builtin.debug) would
    escape and indent it.
extends_documentation_fragment: [slipway.flask.attributes]
options:
  text: {description: What to show., type: str, required: true}
attributes:
  check_mode: {support: full}
author: Slipway (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Show the table
  slipway.flask.show:
    text: "{{ table }}"
"""

RETURN = r""" # """
