"""Return the value of a role's variable: the inventory's, or else the role's default."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

DOCUMENTATION = r"""
name: setting
author: Slipway (!UNKNOWN)
short_description: The value of a role's variable, wherever it is asked for
description:
  - A role's defaults are known only inside the role. A playbook that connects roles needs some of them outside, and would
    have to write them a second time.
  - A default may use facts and variables of the inventory, but no other default of its role.
options:
  _terms:
    description: Names of variables, each of them one of a role of this collection.
    type: list
    elements: str
    required: true
  default:
    description: What a variable is that no role has a default for, and the inventory does not set.
    type: raw
"""

EXAMPLES = r"""
- name: Show under which URL the edge serves static files
  ansible.builtin.debug:
    msg: "{{ lookup('slipway.flask.setting', 'app_static_url') }}"
"""

RETURN = r"""
_raw:
  description: The values.
  type: list
  elements: raw
"""

ROLES = Path(__file__).parents[2] / "roles"


class LookupModule(LookupBase):
    """See DOCUMENTATION."""

    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[Any]:
        """Return the value of each variable."""
        self.set_options(var_options=variables, direct=kwargs)
        return [self.setting(name, variables or {}, kwargs) for name in terms]

    def setting(self, name: str, variables: dict[str, Any], options: dict[str, Any]) -> Any:
        """Return one variable's value."""
        if name in variables:
            return self._templar.template(variables[name])
        for file in ROLES.glob("*/defaults/main.yml"):
            if name.startswith(f"{file.parts[-3]}_"):
                # Not a copy of all defaults for each question: a tenth of a run's work on the control machine.
                defaults = self._loader.load_from_file(str(file), unsafe=True, trusted_as_template=True) or {}
                if name in defaults:
                    return self._templar.template(defaults[name])
        if "default" in options:
            return options["default"]
        raise AnsibleLookupError(f"{name} is not set, and no role has a default for it. Set it in the inventory.")
