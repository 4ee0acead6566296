"""Check the variables of several roles against their argument specs, on the control machine, in one go."""

from __future__ import annotations

import fnmatch
from collections.abc import Collection
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleActionFail
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action import ActionBase

# The variable in which a user lists names that are not Slipway's.
OWN = "slipway_own_variables"
# Another first letter makes another word of a short one (edge, wedge); a long one that differs in two is still the same.
SHORT, LONG = 6, 10


def options_of(roles: Path, role: str) -> dict[str, dict[str, Any]]:
    """Return a role's variables as its spec has them, without the defaults, which concern only the role."""
    spec = yaml.safe_load((roles / role / "meta/argument_specs.yml").read_text())
    specs = spec["argument_specs"]
    options = specs.get("main", next(iter(specs.values())))["options"]
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
        f"{name}: {value!r} is not a list; write it as [{value}]."
        for name, value in given.items()
        if options[name].get("type") == "list" and not isinstance(value, list)
    ]


def edits(one: str, other: str, most: int) -> int:
    """Return in how many steps one word becomes another: a letter more, less or different, or two that change places.

    More than `most` are not counted to their end. Source: the optimal string alignment distance.
    """
    if abs(len(one) - len(other)) > most:
        return most + 1
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        before, above, row = row, before, [i]
        for j, theirs in enumerate(other, 1):
            steps = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != theirs))
            if above and j > 1 and letter == other[j - 2] and one[i - 2] == theirs:
                steps = min(steps, above[j - 2] + 1)
            row.append(steps)
        if min(row) > most:
            return most + 1
    return row[-1]


def meant(name: str, known: set[str]) -> str:
    """Return the variable of Slipway that a name misspells; empty where it is not near to any."""
    steps = {}
    for one in known:
        length = min(len(name), len(one))
        if length >= SHORT or name[:1].casefold() == one[:1].casefold():
            most = 1 if length < LONG else 2
            if (count := edits(name.casefold(), one.casefold(), most)) <= most:
                steps[one] = count
    return min(steps, key=lambda one: (steps[one], one), default="")


def shared_by(roles: Path) -> dict[str, str]:
    """Return, by each role that depends on another, the one that has the variables of all of its kind."""
    found = {}
    for file in sorted(roles.glob("*/meta/main.yml")):
        for dependency in yaml.safe_load(file.read_text())["dependencies"]:
            found[file.parts[-3]] = dependency["role"].rpartition(".")[2]
    return found


def moved(name: str, known: set[str], shared: dict[str, str]) -> str:
    """Return the new name of a variable that all roles of its kind now share; empty where it was not renamed."""
    for role, kind in shared.items():
        if name.startswith(f"{role}_") and (now := kind + name.removeprefix(role)) in known:
            return now
    return ""


def judge(
    names: Collection[str], known: set[str], shared: dict[str, str], prefixes: tuple[str, ...], own: Collection[str]
) -> tuple[list[str], list[str]]:
    """Return a sentence for each name that is near a variable of Slipway, and one for each that only looks like one.

    shared: see shared_by(). own: names, or patterns of them (fnmatch(3)), that the user says are not Slipway's.
    """
    wrong, strange = [], []
    for name in sorted(names):
        if name in known or any(fnmatch.fnmatchcase(name, pattern) for pattern in own):
            continue
        if now := moved(name, known, shared):
            wrong.append(f"{name}: its new name is {now}.")
        elif close := meant(name, known):
            wrong.append(
                f"{name}: there is no such variable; did you mean {close}? If it is your own, list it in {OWN}."
            )
        elif name.startswith(prefixes):
            strange.append(f"{name} is not a variable of Slipway. If it is your own, list it in {OWN}.")
    return wrong, strange


class ActionModule(ActionBase):
    """See plugins/modules/validate_variables.py."""

    _requires_connection = False
    _VALID_ARGS = frozenset(("roles", "path", "wired", "others"))

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Fail with one line for each variable that is wrong."""
        super().run(tmp, task_vars)
        variables = task_vars or {}
        roles = Path(self._task.args["path"])
        every_role = sorted(folder.name for folder in roles.iterdir() if (folder / "meta/argument_specs.yml").is_file())
        known = {OWN, *self._task.args["others"]}.union(*(options_of(roles, role) for role in every_role))
        mine = self._templar.template(variables.get(OWN, []))
        if not isinstance(mine, list) or not all(isinstance(name, str) for name in mine):
            raise AnsibleActionFail(f"{OWN}: {mine!r} is not a list of names. Write it as [a_name, another_*].")
        # Names that begin so belong to Ansible or are private to Slipway.
        names = [name for name in variables if not name.startswith(("ansible_", "_"))]
        problems, strange = judge(names, known, shared_by(roles), tuple(f"{role}_" for role in every_role), mine)
        own = variables["hostvars"].raw_get(variables["inventory_hostname"])
        problems += [
            f"{name}: playbooks/wiring.yml sets it, from the application's variables (app_*). Remove it from the inventory."
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
                "\n".join(problems) + "\nFix this in the inventory's group_vars; roles/<role>/README.md says what each "
                "variable takes."
            )
        return {"changed": False, "warnings": strange}
