"""Say what is wrong with the values of a role's variables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.plugins.lookup import LookupBase
from ansible_collections.slipway.flask.plugins.action.validate_variables import options_with_defaults
from ansible_collections.slipway.flask.plugins.plugin_utils import values

DOCUMENTATION = r"""
name: complaints
author: Slipway (!UNKNOWN)
short_description: What is wrong with the values of roles' variables
description:
  - A sentence for each value that has another type than the argument spec says, or another form than the program expects whose
    configuration it becomes part of. M(slipway.flask.validate_variables) says the same before a run, of what an inventory sets; a role
    asks for itself, as it may be used alone.
options:
  _terms:
    description: Names of roles of this collection.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Check the values of the arguments
  ansible.builtin.fail:
    msg: "{{ query('slipway.flask.complaints', 'edge', 'nginx') | join('\n') }}"
  when: query('slipway.flask.complaints', 'edge', 'nginx') != []
"""

RETURN = r"""
_raw:
  description: The sentences.
  type: list
  elements: str
"""

ROLES = Path(__file__).parents[2] / "roles"


class LookupModule(LookupBase):
    """See DOCUMENTATION."""

    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[str]:
        """Return a sentence for each thing that is wrong. What is not set is left to Ansible's own check."""
        known = variables or {}
        options = {name: option for role in terms for name, option in options_with_defaults(ROLES, role).items()}
        # A default that is made of a wrong variable would be told in the place of that variable.
        names = [name for name, option in options.items() if name in known and known[name] != option.get("default")]
        given = self._templar.template({name: known[name] for name in names})
        return [sentence for name, value in given.items() for sentence in values.complaints(name, value, options[name])]
