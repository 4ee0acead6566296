"""Whether an application needs what is next to its folder, as a service of a monorepo does."""

from __future__ import annotations

import json
import posixpath
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

# A line of a requirements.txt that includes another file: -r base.txt, --constraint=../versions.txt.
INCLUDE = re.compile(r"""\s*(?:-[rc]|--requirement|--constraint)[\s=]+["']?([^"'\s]+)""")
# Any other that names a path: ../lib, -e ../lib, lib @ file:../lib.
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
    if requirements_need_siblings(read):
        return True
    try:
        project: dict[str, Any] = tomllib.loads(read("pyproject.toml"))
    except ValueError:
        return False
    tables = {**project, **{f"tool.{name}": table for name, table in project.get("tool", {}).items()}}
    return bool(ENTRY.search(json.dumps([tables.get(name) for name in TABLES], default=str)))


def requirements_need_siblings(read: Callable[[str], str]) -> bool:
    """Whether requirements.txt, or a file that it includes, names something outside of the folder.

    To uv, what is included is relative to the file that includes it, any other path to the folder in which uv runs.
    """
    files = ["requirements.txt"]
    for file in files:
        for line in (line.partition("#")[0] for line in read(file).splitlines()):
            included = INCLUDE.match(line)
            name = posixpath.normpath(posixpath.join(posixpath.dirname(file), included[1])) if included else ""
            if name.startswith("../") or (not included and LINE.search(line)):
                return True
            if name and name not in files and not name.startswith("/"):
                files.append(name)
    return False


def text_of(file: Path) -> str:
    """Return the text of a file, empty where it cannot be read."""
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""
