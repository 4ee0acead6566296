"""Check the variables of several roles against their argument specs, on the control machine, in one go."""

from __future__ import annotations

import fnmatch
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.slipway.flask.plugins.plugin_utils import container_templates, values

# LibYAML's where PyYAML has it, as in Debian and on PyPI: it reads the specs of all roles in 0.03 s, Python's own in 0.25 s.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# The variable in which a user lists names that are not Slipway's.
OWN = "slipway_own_variables"
# Another first letter makes another word of a short one (edge, wedge); a long one that differs in two is still the same.
SHORT, LONG = 6, 10


def options_with_defaults(roles: Path, role: str) -> dict[str, dict[str, Any]]:
    """Return a role's variables as its spec has them."""
    spec = yaml.load((roles / role / "meta/argument_specs.yml").read_text(), Loader=LOADER)  # noqa: S506 # a safe one
    specs = spec["argument_specs"]
    options: dict[str, dict[str, Any]] = specs.get("main", next(iter(specs.values())))["options"]
    return options


def options_of(roles: Path, role: str) -> dict[str, dict[str, Any]]:
    """Return a role's variables as its spec has them, without the defaults, which concern only the role."""
    options = options_with_defaults(roles, role)
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


def misspelt(name: str, one: str) -> int:
    """Return in how many steps a name is one of Slipway's, misspelt; 0 where it is another word.

    `ap_module` is app_module. `apt_packages` and `api_module` are not: another letter makes another word of a short prefix.
    Nor is `app_name2`: whoever numbers a name has spelled it on purpose.
    """
    name, one = name.casefold(), one.casefold()
    length = min(len(name), len(one))
    if (length < SHORT and name[:1] != one[:1]) or (name[-1:].isdigit() and name[:-1] == one):
        return 0
    (prefix, _, rest), (ours, _, same) = name.partition("_"), one.partition("_")
    if rest and rest == same and len(ours) < SHORT and not set(prefix) <= set(ours):
        return 0
    most = 1 if length < LONG else 2
    count = edits(name, one, most)
    return max(count, 1) if count <= most else 0


def meant(name: str, known: Collection[str]) -> str:
    """Return the variable of Slipway that a name misspells; empty where it is not near to any."""
    steps = {one: count for one in known if (count := misspelt(name, one))}
    return min(steps, key=lambda one: (steps[one], one), default="")


def shared_by(roles: Path) -> dict[str, str]:
    """Return, by each role that depends on another, the one that has the variables of all of its kind."""
    found = {}
    for file in sorted(roles.glob("*/meta/main.yml")):
        for dependency in yaml.load(file.read_text(), Loader=LOADER)["dependencies"]:  # noqa: S506 # a safe one
            found[file.parts[-3]] = dependency["role"].rpartition(".")[2]
    return found


def moved(name: str, known: set[str], shared: dict[str, str]) -> str:
    """Return the new name of a variable that all roles of its kind now share; empty where it was not renamed."""
    for role, kind in shared.items():
        if name.startswith(f"{role}_") and (now := kind + name.removeprefix(role)) in known:
            return now
    return ""


class Known(NamedTuple):
    """What Slipway has.

    variables: of an inventory. once: variables of one run (-e). roles: their names. shared: see shared_by().
    """

    variables: set[str]
    once: set[str]
    roles: list[str]
    shared: dict[str, str]


def judge(names: Collection[str], known: Known, own: Collection[str]) -> tuple[list[str], list[str]]:
    """Return a sentence for each name that is near a variable of Slipway, and one for each that only looks like one.

    own: names, or patterns of them (fnmatch(3)), that the user says are not Slipway's.
    """
    wrong, strange = [], []
    theirs = f"If it is your own, list it in {OWN}."
    for name in sorted(names):
        if name in known.variables | known.once or any(fnmatch.fnmatchcase(name, pattern) for pattern in own):
            continue
        if advice := container_templates.advice(name):
            wrong.append(f"{name}: {advice} {theirs}")
        elif advice := container_templates.advice(name, container_templates.COMMON):
            strange.append(f"{name}: {advice} {theirs}")
        elif now := moved(name, known.variables, known.shared):
            wrong.append(f"{name}: its new name is {now}. {theirs}")
        elif close := meant(name, known.variables):
            wrong.append(f"{name}: unknown variable; did you mean {close}? {theirs}")
        elif name.startswith(tuple(f"{role}_" for role in known.roles)):
            strange.append(f"{name} is not a variable of Slipway. {theirs}")
    return wrong, strange


class ActionModule(ActionBase):
    """See plugins/modules/validate_variables.py."""

    _requires_connection = False
    _VALID_ARGS = frozenset(("roles", "path", "wired", "others", "once"))

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Fail with one line for each variable that is wrong."""
        super().run(tmp, task_vars)
        variables = task_vars or {}
        roles = Path(self._task.args["path"])
        every_role = sorted(folder.name for folder in roles.iterdir() if (folder / "meta/argument_specs.yml").is_file())
        variables_of_roles = set[str]().union(*(options_of(roles, role) for role in every_role))
        known = Known(
            variables_of_roles | {OWN, *self._task.args["others"]},
            set(self._task.args.get("once", [])),
            every_role,
            shared_by(roles),
        )
        mine = self._templar.template(variables.get(OWN, []))
        if wrong := values.complaints(OWN, mine, {"type": "list", "elements": "str"}):
            raise AnsibleActionFail("\n".join(wrong))
        # Names that begin so belong to Ansible or are private to Slipway.
        names = [name for name in variables if not name.startswith(("ansible_", "_"))]
        problems, strange = judge(names, known, mine)
        own = variables["hostvars"].raw_get(variables["inventory_hostname"])
        problems += [
            f"{name}: Slipway sets it from other variables (playbooks/roles/wiring/vars/main.yml says which). Remove it from the inventory."
            for name in self._task.args.get("wired", [])
            if name in own
        ]
        options = {
            name: option for role in self._task.args["roles"] for name, option in options_of(roles, role).items()
        }
        # From what is wrong here, the playbooks make what is wrong with other variables: the lookup `complaints` has those.
        problems += self.wrong([name for name in options if name in own], options, variables)
        if not problems:
            problems = missing(variables, options)
            strange += container_templates.advice_on_settings(self._templar.template(variables.get("app_env", {})))
        if problems:
            raise AnsibleActionFail(
                "\n".join(problems) + "\nFix this in the inventory's group_vars; roles/<role>/README.md says what each "
                "variable takes."
            )
        return {"changed": False, "warnings": strange}

    def wrong(self, names: list[str], options: dict[str, dict[str, Any]], variables: dict[str, Any]) -> list[str]:
        """Return a sentence for each thing that is wrong with the values of some variables."""
        given = self._templar.template({name: variables[name] for name in names})
        return [sentence for name, value in given.items() for sentence in values.complaints(name, value, options[name])]
