"""Check the variables of several roles against their argument specs, on the control machine, in one go."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleActionFail
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action import ActionBase


def options_of(roles: Path, role: str) -> dict[str, dict[str, Any]]:
    """Return a role's variables as its spec has them, without the defaults: those are the role's own business."""
    spec = yaml.safe_load((roles / role / "meta/argument_specs.yml").read_text())
    options = spec["argument_specs"]["main"]["options"]
    return {name: {key: value for key, value in option.items() if key != "default"} for name, option in options.items()}


def missing(given: dict[str, Any], options: dict[str, dict[str, Any]]) -> list[str]:
    """Return a sentence for each variable that has to be set and is not, with the beginning of its description."""
    sentences = []
    for name, option in options.items():
        if option.get("required") and given.get(name) is None:
            description = option["description"]
            sentences.append(
                f"{name}: it is not set. {description if isinstance(description, str) else description[0]}"
            )
    return sentences


def not_lists(given: dict[str, Any], options: dict[str, dict[str, Any]]) -> list[str]:
    """Return a sentence for each string where a list is wanted: Ansible would split it at its commas, roles would not."""
    return [
        f"{name}: {value!r} is no list; write it as [{value}]."
        for name, value in given.items()
        if options[name].get("type") == "list" and not isinstance(value, list)
    ]


def unknown(names: list[str], known: set[str], prefixes: tuple[str, ...]) -> list[str]:
    """Return a sentence for each variable that bears a role's name but is none of the role's: a typing error."""
    sentences = []
    for name in sorted(names):
        if name.startswith(prefixes) and name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            sentences.append(f"{name}: there is no such variable" + (f"; did you mean {close[0]}?" if close else "."))
    return sentences


class ActionModule(ActionBase):
    """See library/validate_variables.py."""

    _requires_connection = False
    _VALID_ARGS = frozenset(("roles", "path", "wired"))

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Fail with one line for each variable that is wrong."""
        super().run(tmp, task_vars)
        variables = task_vars or {}
        roles = Path(self._task.args["path"])
        every_role = sorted(folder.name for folder in roles.iterdir() if (folder / "meta/argument_specs.yml").is_file())
        known = {name for role in every_role for name in options_of(roles, role)}
        problems = unknown(list(variables), known, tuple(f"{role}_" for role in every_role))
        own = variables["hostvars"].raw_get(variables["inventory_hostname"])
        problems += [
            f"{name}: playbooks/wiring.yml gives it its value, from the application's own variables (app_*)."
            for name in self._task.args.get("wired", [])
            if name in own
        ]
        for role in self._task.args["roles"]:
            options = options_of(roles, role)
            given = self._templar.template({name: variables[name] for name in options if name in variables})
            problems += missing(given, options) + not_lists(given, options)
            optional = {name: {**option, "required": False} for name, option in options.items()}
            problems += ArgumentSpecValidator(optional).validate(given).error_messages
        if problems:
            raise AnsibleActionFail(
                "\n".join(problems) + "\nMend it in the inventory's group_vars; what each variable takes stands in "
                "roles/<role>/README.md."
            )
        return {"changed": False}
