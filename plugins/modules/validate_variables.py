#!/usr/bin/python
"""Documentation of the action plugin of the same name, which does the work on the control machine."""

DOCUMENTATION = r"""
module: validate_variables
short_description: Check the variables of several roles, their names and values
description:
  - Reports everything that is wrong in one message, before a task of any role has run. Ansible's own check of a role comes
    when the role begins, after the roles before it have changed the server.
  - Besides its type, a text has to have the form that the program whose configuration it becomes part of expects of it. What the
    inventory sets is judged before what the playbooks make of it, so a message names what the user wrote.
  - A variable that does not belong to a role but is spelled nearly as one that does is refused, with the likely name. One that
    only begins with a role's name gets a warning. Names in C(slipway_own_variables) are accepted.
extends_documentation_fragment: [slipway.flask.attributes]
options:
  roles:
    description: Roles whose variables are checked.
    type: list
    elements: str
    required: true
  path:
    description: Folder of the roles.
    type: path
    required: true
  wired:
    description: Variables whose values the playbooks give, so that an inventory cannot.
    type: list
    elements: str
    default: []
  once:
    description: Variables that the playbooks read from the command line. No name is taken for one of them misspelt.
    type: list
    elements: str
    default: []
  others:
    description: Variables of an inventory that the playbooks themselves read.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    support: full
author: Slipway (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Check the names and values of all variables
  slipway.flask.validate_variables:
    roles: [app, nginx]
    path: "{{ playbook_dir }}/../roles"
"""

RETURN = r""" # """
