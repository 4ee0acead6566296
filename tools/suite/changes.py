"""What a change can touch: from the files that differ from a revision to the checks that have a say in them.

A scenario uses a role that its own playbooks name; one that its playbooks reach through site.yml or playbooks/ is used by
the journeys. Where such a role alone has changed, the shortest journey that has it speaks for all of them; a change of what
all journeys share asks them all.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from checks import ROOT, Check, fast_tests, linters, scenario_names, scenarios, server_tests

# A role's README is made from its specs, which a fast test asks.
PROSE = re.compile(r"^(?!roles/).*\.md$|^docs/|^LICENSE$")
# Every scenario runs with these.
FOR_ALL = re.compile(
    r"^(ansible\.cfg|requirements\.txt|pyproject\.toml|\.config/|\.collections/|tests/plugins/|tools/suite/results\.py"
    r"|tools/servers/(?!tests/)|molecule/conftest\.py|molecule/shared/(probe\.py|[a-z]+\.yml)$)"
)
# Nothing but linters and fast tests has a say in these.
FAST_ONLY = re.compile(
    r"^(tests|tools|inventories|\.ci|(examples/site/)?\.github)/|^roles/\w+/README\.md$"
    r"|^(\.[\w.-]+|Makefile|requirements\.(in|yml))$"
)
# What the whole site consists of in addition to the roles.
OF_JOURNEYS = re.compile(r"^(site\.yml|galaxy\.yml|meta/|examples/|playbooks/|templates/|app/|roles/app/)")
SHARED = ROOT / "molecule/shared"
# The shortest journey that has a role. `matrix` has all others: those that an environment has to choose.
SHORTEST_JOURNEY = {
    "common": "pair",
    "connection_limit": "pair",
    "gunicorn": "pair",
    "nginx": "pair",
    "systemd": "pair",
    "postgresql": "default",
    "valkey": "neighbours",
    "mail_relay": "neighbours",
}


def git(*arguments: str) -> list[str]:
    """Return the lines that git prints."""
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"suite: BASE: git {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout.splitlines()


def changed_files(base: str) -> list[str]:
    """Return the files that differ from where this branch left a revision, committed or not."""
    (fork,) = git("merge-base", base, "HEAD")
    return sorted(
        {*git("diff", "--no-renames", "--name-only", fork), *git("ls-files", "--others", "--exclude-standard")}
    )


def is_named(path: Path, text: str) -> bool:
    """Whether a text imports a module of molecule/shared, or names a file or folder there or a file in that folder."""
    if path.suffix == ".py":
        return bool(re.search(rf"^ *(from|import) {path.stem}\b", text, re.MULTILINE))
    inside = [file.name for file in path.glob("*.*")] if path.name == "files" else []
    return any(name in text for name in [f"shared/{path.name}", *inside])


def text_of(folder: Path) -> str:
    """Return all that a folder's files say."""
    files = (path for path in sorted(folder.rglob("*")) if path.suffix in {".yml", ".py", ".j2"})
    return "\n".join(path.read_text() for path in files)


PLUGINS = {path: path.read_text() for path in sorted((ROOT / "plugins").rglob("*.py"))}


def imports(text: str, plugin: Path) -> bool:
    """Whether a plugin's text imports another: `from ….engine.lock import …`, or `from ….engine import lock`."""
    folder, name = plugin.parent.name, plugin.stem
    return bool(re.search(rf"^from [\w.]+\.{folder}(\.{name} import| import .*\b{name}\b)", text, re.MULTILINE))


def plugins_with(path: Path) -> set[Path]:
    """Return a plugin, and those that import it or what imports it."""
    found = {path}
    while more := {
        other for other, text in PLUGINS.items() if other not in found and any(imports(text, one) for one in found)
    }:
        found |= more
    return found


def names_of(path: Path) -> list[str]:
    """Return the names that tasks and templates use: a module's is its file's, filters have their own."""
    if path.parent.name != "filter":
        return [path.stem]
    return re.findall(r'"(\w+)": \w+[,}]', PLUGINS.get(path, "").rpartition("return")[2])


def users_of(file: str) -> set[str]:
    """Return the roles that use a plugin, and `playbooks` where these do."""
    names = "|".join(name for path in plugins_with(ROOT / file) for name in names_of(path))
    found = re.compile(rf"\bslipway\.flask\.({names})\b")
    folders = [*(ROOT / "roles").iterdir(), ROOT / "playbooks"]
    return {folder.name for folder in folders if found.search(text_of(folder))}


# How a playbook names a role: itself, or by a variable that chooses one.
ROLE = re.compile(
    r"""(?:\b(?:role|name|app_server|app_process_manager|edge)"?: *"?(?:slipway\.flask\.)?|default\(')(\w+)"""
)


def with_dependents(roles: set[str]) -> set[str]:
    """Return roles, and those that depend on one of them."""
    metas = {path.parts[-3]: path.read_text() for path in (ROOT / "roles").glob("*/meta/main.yml")}
    return roles | {
        name for name, text in metas.items() if any(f"role: slipway.flask.{role} " in text for role in roles)
    }


class Scenario:
    """What one scenario has to do with: roles that it names, files of molecule/shared, whole sites."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.own = own = text_of(ROOT / "molecule" / name)
        self.journey = bool(re.search(r"\bsite\.yml|playbooks/|site_yml", own))
        self.shared: set[str] = set()
        self.roles = set(ROLE.findall(own))
        self.text = text = own
        while found := {path for path in SHARED.iterdir() if path.name not in self.shared and is_named(path, text)}:
            self.shared |= {path.name for path in found}
            text = "\n".join(text_of(path) if path.is_dir() else path.read_text() for path in found)
            self.roles |= set(ROLE.findall(text))
            self.text += text

    def touched_by(self, file: str) -> bool:
        """Whether a changed file has a say in what this scenario asks."""
        top, _, rest = file.partition("/")
        inner = rest.partition("/")[0]
        if top == "molecule":
            return (
                inner == self.name
                or f"/{inner}/files" in self.own
                or (inner == "shared" and rest.split("/")[1] in self.shared)
            )
        if file in self.text:
            return True
        roles = with_dependents({inner} if top == "roles" else users_of(file) if top == "plugins" else set())
        if OF_JOURNEYS.match(file) or roles & {"app", "playbooks"}:
            return self.journey or bool(roles & self.roles)
        if not roles:
            return True
        return bool(roles & self.roles) or self.name in {SHORTEST_JOURNEY.get(role, "matrix") for role in roles}


def checks_for(base: str = "main") -> list[Check]:
    """Return the checks that a change since a revision can touch; say which are left out."""
    files = changed_files(base)
    print(f"{len(files)} files differ from {base}.")
    code = [file for file in files if not PROSE.search(file)]
    if not code:
        print("Prose alone: no tests." if files else "No tests.")
        return linters()
    everything = [file for file in code if FOR_ALL.match(file)]
    far = [file for file in code if not FAST_ONLY.match(file)]
    if everything:
        print(f"Everything, because of {', '.join(everything)}.")
        names = set(scenario_names())
    else:
        known = [Scenario(name) for name in scenario_names()] if far else []
        names = {scenario.name for scenario in known if any(scenario.touched_by(file) for file in far)}
    left_out = [name for name in scenario_names() if name not in names]
    if left_out:
        print(f"Left out: {', '.join(left_out)}. `make test` asks them too.")
    servers = server_tests() if everything or any(file.startswith("tools/servers/tests/") for file in code) else []
    return [*linters(), *fast_tests(), *servers, *(check for check in scenarios() if check.scenario in names)]
