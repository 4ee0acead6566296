"""Whether an application needs what is next to its folder, as a service of a monorepo does."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Of a line of a requirements.txt: ../lib, -e ../lib, -r ../base.txt, --requirement=../base.txt, lib @ file:../lib.
LINE = re.compile(r"(^|[\s=:/])\.\.(/|\s|$)")
# The tables of a pyproject.toml that name dependencies.
TABLES = ("project", "dependency-groups", "tool.uv", "tool.poetry")
# Of these tables as JSON: a path, or a member of the workspace above.
ENTRY = re.compile(r'["\s:/]\.\.["/]|"workspace": true')


def needs_siblings(read: Callable[[str], str]) -> bool:
    """Whether what a folder says of its dependencies names something outside of it.

    read: returns the text of a file of the folder, empty where it has none. A file that cannot be read says nothing: the
    build names it.
    """
    lines = (line.partition("#")[0] for line in read("requirements.txt").splitlines())
    if any(LINE.search(line) for line in lines):
        return True
    try:
        project: dict[str, Any] = tomllib.loads(read("pyproject.toml"))
    except ValueError:
        return False
    tables = {**project, **{f"tool.{name}": table for name, table in project.get("tool", {}).items()}}
    return bool(ENTRY.search(json.dumps([tables.get(name) for name in TABLES], default=str)))


def text_of(file: Path) -> str:
    """Return the text of a file, empty where it cannot be read."""
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""
