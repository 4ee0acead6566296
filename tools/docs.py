#!/usr/bin/env python3
"""Role READMEs, written from the roles' argument specs; `make docs` runs this.

roles/<role>/meta/argument_specs.yml is the source of truth for a role's variables. Its entry
point's `examples` (YAML, optional) becomes the README's example.
"""

from __future__ import annotations

import json
import re
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROLES = Path(__file__).parents[1] / "roles"
LONGEST_DEFAULT = 70
PLACEHOLDERS: dict[str, Any] = {"bool": True, "dict": {}, "float": 1.0, "int": 1, "list": []}
INTRODUCTION = """\
<!-- Written by `make docs` from meta/argument_specs.yml: change it there. -->
"""


@dataclass(frozen=True)
class Role:
    """One role, and what its files say about its variables."""

    path: Path

    @property
    def name(self) -> str:
        """Its folder's name, with which its variables begin."""
        return self.path.name

    @property
    def entry_points(self) -> dict[str, Any]:
        """The entry points of its specs, by name; `main` is among them."""
        specs = load(self.path / "meta/argument_specs.yml")
        entry_points: dict[str, Any] = specs["argument_specs"]
        return entry_points

    @property
    def main(self) -> dict[str, Any]:
        """What the role does, as a whole: the entry point `main`, or the only one there is."""
        (only, *_) = self.entry_points.values()
        found: dict[str, Any] = self.entry_points.get("main", only)
        return found

    @property
    def options(self) -> dict[str, Any]:
        """The variables of all entry points; what `main` says wins."""
        merged: dict[str, Any] = {}
        for entry_point in [*self.entry_points.values(), self.main]:
            merged.update(entry_point.get("options") or {})
        return merged

    @property
    def defaults(self) -> dict[str, Any]:
        """The variables that have a default, and their values."""
        path = self.path / "defaults/main.yml"
        return (load(path) or {}) if path.exists() else {}

    @property
    def readme(self) -> Path:
        """Where its README is, or will be."""
        return self.path / "README.md"


def load(path: Path) -> Any:
    """Return what a YAML file holds."""
    return yaml.safe_load(path.read_text())


def roles() -> list[Role]:
    """Return the collection's roles, by name."""
    return [Role(path) for path in sorted(ROLES.iterdir()) if (path / "meta").is_dir()]


def differences(role: Role) -> Iterator[str]:
    """Yield, in words, each thing that defaults/main.yml and the specs say differently."""
    options, defaults = role.options, role.defaults
    for name in defaults.keys() - options.keys():
        yield f"{name} has a default, but is not in meta/argument_specs.yml"
    for name, option in options.items():
        if "default" in option and name not in defaults:
            yield f"{name} has a default in meta/argument_specs.yml alone"
        elif "default" in option and defaults[name] != option["default"]:
            yield f"{name}: {defaults[name]!r} in defaults/main.yml, {option['default']!r} in specs"
        elif "default" not in option and name in defaults:
            yield f"{name} has a default in defaults/main.yml alone"


def readme(role: Role) -> str:
    """Return the whole README of a role, in Markdown."""
    main = role.main
    parts = [f"# {role.name}\n", INTRODUCTION, f"{prose(main['short_description'])}.\n"]
    parts += paragraphs(main.get("description"))
    if "main" in role.entry_points:
        parts += ["## Example\n", example(role)]
    parts += ["## Variables\n", table(main.get("options") or {})]
    for name, entry_point in role.entry_points.items():
        if entry_point != main:
            parts += [f"## `tasks_from: {name}`\n", f"{prose(entry_point['short_description'])}.\n"]
            parts += paragraphs(entry_point.get("description"))
            parts += [table(entry_point.get("options") or {})]
    return "\n".join(part for part in parts if part)


def paragraphs(description: str | list[str] | None) -> list[str]:
    """Return a description of the specs as paragraphs, wrapped at 120 characters."""
    texts = [description] if isinstance(description, str) else description or []
    return [textwrap.fill(prose(text), 120, break_on_hyphens=False) + "\n" for text in texts]


def prose(text: str) -> str:
    """Return Ansible's markup as Markdown, on one line."""
    text = re.sub(r"\b[CVOEPM]\(([^)]*)\)", r"`\1`", text)
    text = re.sub(r"\bI\(([^)]*)\)", r"*\1*", text)
    text = re.sub(r"\bB\(([^)]*)\)", r"**\1**", text)
    text = re.sub(r"\bU\(([^)]*)\)", r"<\1>", text)
    text = re.sub(r"\bL\(([^,)]*),\s*([^)]*)\)", r"[\1](\2)", text)
    return " ".join(text.split())


def example(role: Role) -> str:
    """Return the example of the specs, or else a play with a made-up value for each required variable."""
    main = role.main
    if "examples" in main:
        content = main["examples"].strip()
    else:
        required = {
            name: option.get("example", PLACEHOLDERS.get(option["type"], "..."))
            for name, option in (main.get("options") or {}).items()
            if option.get("required")
        }
        use: dict[str, Any] = {"role": f"slipway.flask.{role.name}"} | ({"vars": required} if required else {})
        play = [{"hosts": "all", "become": True, "roles": [use]}]
        content = yaml.dump(play, sort_keys=False, Dumper=IndentedDumper).strip()
    return f"```yaml\n{content}\n```\n"


class IndentedDumper(yaml.SafeDumper):
    """Lists indented below their key, as everywhere in this project."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def table(options: dict[str, Any]) -> str:
    """Return a table of variables, in Markdown."""
    if not options:
        return "None.\n"
    lines = ["| variable | type | default | description |", "| --- | --- | --- | --- |"]
    lines += [f"| {' | '.join(row)} |" for row in rows(options)]
    return "\n".join(lines) + "\n"


def rows(options: dict[str, Any], parent: str = "") -> Iterator[tuple[str, str, str, str]]:
    """Yield the cells of each variable (name, type, default, description), and of the keys that it can have."""
    for name, option in options.items():
        whole = f"{parent}{name}"
        yield f"`{whole}`", kind(option), default(option), cell(meaning(option))
        if "options" in option:
            suffix = "[]." if option["type"] == "list" else "."
            yield from rows(option["options"], whole + suffix)


def kind(option: dict[str, Any]) -> str:
    """Return an option's type, that of its elements, and its choices."""
    text = str(option["type"])
    if "elements" in option:
        text += f" of {option['elements']}"
    if "choices" in option:
        text += ": " + ", ".join(f"`{json_of(choice)}`" for choice in option["choices"])
    return cell(text)


def default(option: dict[str, Any]) -> str:
    """Return an option's default, or where to read one that is too long for a table."""
    if option.get("required"):
        return "*required*"
    if "default" not in option:
        return ""
    text = json_of(option["default"])
    if len(text) > LONGEST_DEFAULT:
        return "see [defaults](defaults/main.yml)"
    return f"`{cell(text)}`"


def json_of(value: Any) -> str:
    """Return a value as YAML has it, on one line."""
    if isinstance(value, str) and value:
        return value
    return json.dumps(value, ensure_ascii=False)


def meaning(option: dict[str, Any]) -> str:
    """Return an option's description, on one line."""
    description = option["description"]
    text = description if isinstance(description, str) else " ".join(description)
    secret = " Kept out of logs and diffs." if option.get("no_log") else ""
    return prose(text) + secret


def cell(text: str) -> str:
    """Return a text that can be in a cell of a table."""
    return text.replace("|", "\\|")


def main() -> int:
    """Write the READMEs that are not as the specs have them; return the exit code."""
    for role in roles():
        content = readme(role)
        if not role.readme.exists() or role.readme.read_text() != content:
            role.readme.write_text(content)
            print(f"wrote {role.readme.relative_to(ROLES.parent)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
