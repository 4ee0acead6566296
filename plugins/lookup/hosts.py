"""Return the hosts of a play, where the run can do what it is for; fail otherwise."""

from __future__ import annotations

from typing import Any

from ansible import context
from ansible.errors import AnsibleLookupError
from ansible.inventory.manager import InventoryManager
from ansible.plugins.lookup import LookupBase

DOCUMENTATION = r"""
name: hosts
author: Slipway (!UNKNOWN)
short_description: The hosts of a play, where the run can do what it is for
description:
  - Ansible ends well where an inventory cannot be read, has none of the hosts that a playbook is for, and where C(--tags) or
    C(--start-at-task) leave out what it is for, or C(--limit) all hosts that it is for. A check in a task would be left out, too. The
    keyword C(hosts) is evaluated always.
options:
  _terms:
    description: The groups. One of them must have a host.
    type: list
    elements: str
    required: true
  needed:
    description: The groups of which C(--limit) must leave a host, where they are not those of the play.
    type: list
    elements: str
"""

EXAMPLES = r"""
- name: Show the application's status
  hosts: "{{ lookup('slipway.flask.hosts', 'app', 'db', 'edge') }}"
"""

RETURN = r"""
_raw:
  description: The pattern of the play's hosts, such as C(app:db:edge).
  type: list
  elements: str
"""


def left_out(arguments: dict[str, Any]) -> list[str]:
    """Return the options of ansible-playbook that leave tasks out, as they were given."""
    given = [("--tags", [tag for tag in arguments.get("tags", []) if tag != "all"])]
    given += [("--skip-tags", arguments.get("skip_tags", [])), ("--start-at-task", [arguments.get("start_at_task")])]
    return [f"{option} {','.join(values)}" for option, values in given if any(values)]


def problem(arguments: dict[str, Any], groups: dict[str, list[str]], wanted: list[str]) -> str:
    """Return why a run cannot do what it is for; empty where it can. arguments: those of ansible-playbook."""
    if options := left_out(arguments):
        return (
            f"{', '.join(options)}: this would leave out tasks that others need. Nothing was changed. Run the whole playbook, or "
            "one that does less, such as deploy or certificate."
        )
    if not any(groups.get(group) for group in wanted):
        sources = ", ".join(arguments["inventory"])
        groups_wanted = "" if wanted == ["all"] else f" in the groups {', '.join(wanted)}"
        return (
            f"-i: the inventory {sources} has no hosts{groups_wanted}, or cannot be read. Nothing was changed. Name the folder of "
            "yours, such as -i inventories/production."
        )
    return ""


class LookupModule(LookupBase):
    """See DOCUMENTATION."""

    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[str]:
        """Return the pattern of the play's hosts."""
        self.set_options(var_options=variables, direct=kwargs)
        if context.CLIARGS.get("syntax"):
            return [":".join(terms)]
        if wrong := problem(context.CLIARGS, (variables or {})["groups"], terms):
            raise AnsibleLookupError(wrong)
        needed = self.get_option("needed") or terms
        if (limit := context.CLIARGS.get("subset")) and not self.left(limit, needed):
            raise AnsibleLookupError(
                f"--limit {limit}: this leaves no host of the groups {', '.join(needed)}, which the run is for. Nothing was changed. "
                "Name one of theirs, or leave --limit out."
            )
        return [":".join(terms)]

    def left(self, limit: str, groups: list[str]) -> bool:
        """Whether a limit leaves a host of some groups. Ansible keeps the inventory to itself: it is read again."""
        inventory = InventoryManager(loader=self._loader, sources=list(context.CLIARGS["inventory"]))
        inventory.subset(limit)
        return bool(inventory.list_hosts(":".join(groups)))
