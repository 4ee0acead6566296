"""Say what is wrong with roles' arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.plugins.lookup import LookupBase
from ansible_collections.slipway.flask.plugins.action.validate_variables import options_with_defaults, shared_by
from ansible_collections.slipway.flask.plugins.plugin_utils import values

DOCUMENTATION = r"""
name: complaints
author: Slipway (!UNKNOWN)
short_description: What is wrong with the arguments of roles
description:
  - A sentence for each value that has another type than the argument spec says, or another form than the program expects whose
    configuration it becomes part of.
  - Where there are none, also what the spec cannot say. That is C(_<role>_complaints) in the role's C(vars/complaints.yml), a list of
    sentences, which may use every variable of the role.
  - A role asks for itself, as it may be used alone. Preflight asks for all roles of a host in one task.
options:
  _terms:
    description: Names of roles of this collection. What they share with all of their kind belongs to them.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Check the arguments
  ansible.builtin.fail:
    msg: "{{ query('slipway.flask.complaints', 'nginx') | join('\n') }}"
  when: query('slipway.flask.complaints', 'nginx') != []
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
        shared = shared_by(ROLES)
        return [
            sentence
            for role in terms
            for sentence in self.complaints([shared[role], role] if role in shared else [role], variables or {})
        ]

    def complaints(self, family: list[str], variables: dict[str, Any]) -> list[str]:
        """Return what is wrong with the arguments of a role, which is the last of its family."""
        role = ROLES / family[-1]
        known = {
            **self.files(family, "defaults/main.yml"),
            **variables,
            **self.files(family, "vars/main.yml"),
            **self.files(family, "vars/complaints.yml"),
            "role_path": str(role),
            "ansible_search_path": [str(role), *variables.get("ansible_search_path", [])],
        }
        templar = self._templar.copy_with_new_env(available_variables=known)
        options = {name: option for one in family for name, option in options_with_defaults(ROLES, one).items()}
        # A default that is made of a wrong variable would be told in the place of that variable.
        names = [name for name in options if name in known and known[name] != options[name].get("default")]
        given = templar.template({name: known[name] for name in names})
        if found := [one for name, value in given.items() for one in values.complaints(name, value, options[name])]:
            return found
        # Evaluated once, not for each sentence.
        templar = self._templar.copy_with_new_env(available_variables={**known, **given})
        mine = [name for one in family if (name := f"_{one}_complaints") in known]
        return [sentence for name in mine for sentence in templar.template(known[name])]

    def files(self, family: list[str], path: str) -> dict[str, Any]:
        """Return the variables of a file that each role of a family may have."""
        found: dict[str, Any] = {}
        for role in family:
            if (file := ROLES / role / path).is_file():
                found |= self._loader.load_from_file(str(file), unsafe=True, trusted_as_template=True) or {}
        return found
