"""The checks there are: linters, fast tests, tests of the throwaway servers, Molecule scenarios."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
BIN = ROOT / ".venv/bin"
APP_PYTHON = ROOT / ".venv-app/bin/python"
# So much of the engine is reached at least (pyproject.toml, tool.coverage).
COVERAGE = ["--cov", "--cov-fail-under=90", "--cov-report=term-missing:skip-covered"]
# What takes longest is begun first, so that no lane is left alone with it at the end; those that are alone with lost requests
# for most of their time (lifecycle, matrix, neighbours) one after the other.
LONGEST_FIRST = (
    "lifecycle",
    "certificates",
    "default",
    "matrix",
    "releases",
    "postgresql",
    "neighbours",
    "nginx",
    "apache",
    "hostile",
    "pair",
    "app",
)


@dataclasses.dataclass(frozen=True)
class Check:
    """One command, run from one folder; scenario: the Molecule scenario that it is, if any."""

    name: str
    command: list[str]
    folder: Path = ROOT
    scenario: str = ""

    @property
    def servers(self) -> list[str]:
        """The servers that it boots."""
        if not self.scenario:
            return []
        settings = yaml.safe_load((ROOT / "molecule" / self.scenario / "molecule.yml").read_text())
        return [platform["name"] for platform in settings["platforms"]]


def tool(name: str, *arguments: str) -> list[str]:
    """Return the command of a tool in .venv."""
    return [str(BIN / name), *arguments]


def linters() -> list[Check]:
    """Return a check for each linter."""
    return [
        Check("ansible-lint", tool("ansible-lint", "--strict")),
        Check("yamllint", tool("yamllint", "--strict", ".")),
        Check("ruff-check", tool("ruff", "check", ".")),
        Check("ruff-format", tool("ruff", "format", "--check", ".")),
        # plugins/ under the names that it is imported by.
        Check("mypy", tool("mypy", ".", ".collections/ansible_collections/slipway/flask/plugins")),
        Check("validate-modules", [str(BIN / "python"), "tools/validate_modules.py"]),
        Check("zizmor", tool("zizmor", "--offline", "--pedantic", ".github", "examples/site/.github")),
        Check("mypy-app", tool("mypy", f"--python-executable={APP_PYTHON}"), folder=ROOT / "app"),
    ]


def fast_tests() -> list[Check]:
    """Return the checks that need no server."""
    return [
        Check("tests", tool("pytest", "tests", "--ignore=tests/engine")),
        # By itself, as coverage slows every test that it watches.
        Check("engine", tool("pytest", "tests/engine", *COVERAGE)),
        Check("example-app", [str(APP_PYTHON), "-m", "pytest"], folder=ROOT / "app"),
    ]


def server_tests() -> list[Check]:
    """Return the check of the throwaway servers themselves."""
    return [Check("servers", tool("pytest", "tools/servers/tests"))]


def scenario_names() -> list[str]:
    """Return the names of all scenarios, the longest first."""
    names = sorted(path.parent.name for path in ROOT.glob("molecule/*/molecule.yml"))
    return sorted(names, key=lambda name: LONGEST_FIRST.index(name) if name in LONGEST_FIRST else len(LONGEST_FIRST))


def scenarios() -> list[Check]:
    """Return a check for each scenario."""
    return [Check(name, tool("molecule", "test", "-s", name), scenario=name) for name in scenario_names()]


PARTS: dict[str, Callable[[], list[Check]]] = {
    "lint": linters,
    "fast": fast_tests,
    "scenarios": scenarios,
    "servers": server_tests,
}


def chosen(words: list[str]) -> list[Check]:
    """Return the checks of parts and single scenarios, by name; of everything where none is named."""
    checks: list[Check] = []
    for word in words or list(PARTS):
        if word in PARTS:
            checks += PARTS[word]()
        elif word in scenario_names():
            checks += [check for check in scenarios() if check.scenario == word]
        else:
            known = ", ".join([*PARTS, *scenario_names()])
            sys.exit(f"suite: {word!r} is not a check. Name one of {known}")
    return checks
