"""The virtualenv of a release: what the source says it needs, and uv, which installs it in a sandbox."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import subprocess
import tomllib
from functools import partial
from pathlib import Path
from typing import Any

from ansible_collections.slipway.flask.plugins.module_utils.engine import assets, sandbox, secrets, uwsgi_ini
from ansible_collections.slipway.flask.plugins.module_utils.engine.application import releases
from ansible_collections.slipway.flask.plugins.module_utils.engine.errors import FULL, last_lines, no_room
from ansible_collections.slipway.flask.plugins.module_utils.engine.hints import advice
from ansible_collections.slipway.flask.plugins.module_utils.engine.plan import FORMAT, REQUIREMENTS, Plan
from ansible_collections.slipway.flask.plugins.module_utils.engine.record import Release

BUILD_SECONDS = 1800
# Files of these kinds can affect what is installed, in any folder.
NAMES_DEPENDENCIES = {".txt", ".in", ".toml", ".lock", ".cfg", ".whl", ".gz", ".zip"}
# Variables of the play's environment that are passed on to a build.
PASSED_ON = re.compile("(https?|all|no)_proxy|UV_.*|SSL_CERT_.*", re.IGNORECASE)


def dependencies(code: Path) -> str:
    """Return a digest of all files of the source that can affect the virtualenv. A link out of the source is left out."""
    digest = hashlib.sha256()
    for path in sorted(code.rglob("*")):
        if path.suffix not in NAMES_DEPENDENCIES and path.name != "setup.py":
            continue
        if path.is_file() and path.resolve().is_relative_to(code.resolve()):
            content = path.read_bytes()
            digest.update(f"{path.relative_to(code)}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def upwards(code: Path) -> str:
    """Return the way from the application's folder to its release's, for programs that follow no link there."""
    return os.path.relpath(code.parent.resolve(), code.resolve())


def has_lock(code: Path, tree: Path) -> bool:
    """Whether uv has a uv.lock to go by: the application's, or that of the workspace below tree that it is in."""
    if (code / "uv.lock").is_file():
        return True
    above = [folder for folder in code.resolve().parents if tree in folder.parents and (folder / "uv.lock").is_file()]
    return "project" in read_project(code) and any(
        "workspace" in read_project(folder).get("tool", {}).get("uv", {}) for folder in above
    )


def read_project(folder: Path) -> dict[str, Any]:
    """Return what a folder's pyproject.toml says; {} where it has none. Raises ValueError for what is not TOML."""
    file = folder / "pyproject.toml"
    return tomllib.loads(file.read_text()) if file.is_file() else {}


def install_commands(code: Path, uv: str, python: str) -> list[list[str]]:
    """Return the uv commands that make the release's virtualenv, by the first kind of dependency file there is.

    The first makes it, the second installs the app server and all it needs. uv keeps an installed version where nothing
    asks for another.
    """
    # On the command line, as the application's pyproject.toml may switch it off.
    up = upwards(code)
    install = [uv, "pip", "install", "--verify-hashes", "--requirement", f"{up}/requirements.txt"]
    hashed = "--hash=" in (code.parent / "hashes.txt").read_text()
    begin = [
        [uv, "venv", "--relocatable", "--python", python, f"{up}/.venv"],
        # Started outside of the code: a pyproject.toml there may override versions.
        [uv, "--directory", up, "pip", "install", "--requirement", "hashes.txt"]
        + (["--require-hashes", "--no-build"] if hashed else []),
    ]
    if has_lock(code, code.parent.resolve()):
        # First the lock, unchanged; then the app server, whatever version of it is in the lock. Its dependencies are
        # there, in the lock's version or else in that of hashes.txt.
        return [
            *begin,
            # The virtualenv is of this interpreter, whatever a .python-version says; uv would make another.
            [uv, "sync", "--frozen", "--inexact", "--no-default-groups", "--python", python],
            [*install, *(["--no-deps"] if hashed else [])],
        ]
    return [*begin, [*install, "--override", f"{up}/requirements.txt", *own_dependencies(code)]]


def further(uv: str, up: str) -> list[str]:
    """Return the uv command that installs app_requirements, whatever the application names."""
    kit = ["--requirement", f"{up}/requirements.txt", "--override", f"{up}/requirements.txt"]
    return [uv, "pip", "install", "--verify-hashes", *kit, "--requirement", f"{up}/app_requirements.txt"]


def own_dependencies(code: Path, default: str = "") -> list[str]:
    """Return uv's options that install what the application says it needs, or default (a release's own file) where it says nothing.

    Raises ValueError for what uv cannot read. `make dev` asks it, too.
    """
    project = read_project(code)
    poetry = project.get("tool", {}).get("poetry", {})
    package = "build-system" in project and poetry.get("package-mode", True)
    if "project" in project:
        return ["--editable", "."] if package else ["--requirement", "pyproject.toml"]
    if (code / "requirements.txt").is_file():
        return ["--requirement", "requirements.txt"]
    if poetry and not package:
        raise ValueError(
            "with package-mode = false, Poetry alone can install it. Add a requirements.txt (poetry export --output requirements.txt)"
        )
    name = str(poetry.get("name", "")).replace("-", "_")
    if poetry and not ("packages" in poetry or any((code / place).exists() for place in ("src", name, f"{name}.py"))):
        return ["--requirement", "pyproject.toml"]  # a package in name only
    if package or (code / "setup.py").is_file():
        return ["--editable", "."]
    return ["--requirement", default or f"{upwards(code)}/default_requirements.txt"]


def unread(code: Path, last: list[str]) -> str:
    """Return what to say of files that do not count. last: the command that installs the application's dependencies."""
    if last[-1].endswith("/default_requirements.txt"):
        pipfile = " For its Pipfile: pipenv requirements > requirements.txt." if (code / "Pipfile").is_file() else ""
        return (
            "app_source: found no uv.lock, pyproject.toml, requirements.txt or setup.py with dependencies: installed only what "
            f"app_default_requirements names, Flask where nothing else is set.{pipfile}"
        )
    if (code / "poetry.lock").is_file() and last[-1] in (".", "pyproject.toml"):
        return (
            "app_source: its poetry.lock is not read; the versions are those that pyproject.toml allows. A uv.lock pins them (uv lock), "
            "or, where pyproject.toml has no [project], a requirements.txt (poetry export --output requirements.txt)."
        )
    return ""


def look(code: Path, plan: Plan, tree: Path) -> dict[str, Any]:
    """Return what the source says: how it is installed, a digest of what can change that, the module to serve, a note."""
    file = "pyproject.toml"
    try:
        commands = install_commands(code, plan.uv, plan.python)
        file = "uwsgi.ini"
        if wrong := uwsgi_ini.leaves_source(code, plan):
            return {"wrong": wrong}
        module = uwsgi_ini.module_of(code, plan)
        note = unread(code, commands[-1])
        if plan.server != "uwsgi" and (code / "uwsgi.ini").is_file():
            note += f" app_source: its uwsgi.ini is not read under {plan.server}. Set app_server to uwsgi; or name in app_module what it "
            note += "names, such as main:app, and leave it out (app_source_exclude)."
        return {"commands": commands, "module": module, "dependencies": dependencies(tree), "note": note.strip()}
    except ValueError as error:  # not TOML, not UTF-8
        return {"wrong": f"app_source: its {file} cannot be read: {error}. Fix it."}


def install(release: Release, plan: Plan) -> tuple[str, str]:
    """Make the release's virtualenv; return the module that is served, and what unread() says. Raises ReleaseError."""
    code, venv, build_user = release.path / "code", release.path / ".venv", plan.builder
    found = sandbox.act_as(build_user, partial(look, code, plan, release.tree))
    if "wrong" in found:
        raise release.fail(found["wrong"])
    digest = hashlib.sha256(json.dumps([FORMAT, plan.uv, plan.python, plan.folder, found["dependencies"]]).encode())
    for name in REQUIREMENTS:
        digest.update((release.path / name).read_bytes())
    forced = release.home / "next/forced"  # what was resolved then counts for those that follow
    digest.update(forced.read_bytes() if forced.exists() else b"")
    wanted = digest.hexdigest()
    release.note(module=found["module"], dependencies=wanted)
    same = [
        other
        for other in releases(release.home)
        if other.record.get("dependencies") == wanted and "built" in other.record
    ]
    commands, up = found["commands"], upwards(code)
    if (release.path / "app_requirements.txt").read_text().strip():
        commands.append(further(plan.uv, up))
    if same:
        # A sealed release is readable by root only. uv corrects what still differs, such as a package in the source itself.
        latest = max(same, key=lambda other: other.record.get("built", 0))
        copy = ["cp", "--archive", f"{latest.path}/.venv/.", str(venv)]
        done = subprocess.run(copy, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"})
        if done.returncode:
            raise release.fail(no_room(release.home) if FULL in done.stderr else last_lines(done.stderr))
        subprocess.run(["chown", "-R", "--no-dereference", f"{build_user}:", venv], check=True)
        del commands[:2]
    build = release.home / "build"
    script = [shlex.join(command) for command in commands]
    # The running application may not write here, so the byte code is made now. What does not compile may never be imported.
    byte_code = f"{up}/.venv/bin/python -m compileall -q {up}/{release.tree.name}"
    script.append(f"{byte_code} || true")  # the import check decides
    script += assets.script(plan.build, plan.uv, build, release.path / "node.txt")
    told = secrets.environment(plan.stage)
    status, output = sandbox.run(
        f"{plan.user}-build",
        ["sh", "-exc", "\n".join(script)],
        user=build_user,
        cwd=code.resolve(),
        directives=sandbox.extend(
            plan.build_service,
            BindPaths=[release.tree, venv, build],
            BindReadOnlyPaths=[release.path / name for name in REQUIREMENTS],
            LoadCredential=secrets.credentials(plan.stage),
        ),
        seconds=BUILD_SECONDS,
        environment={
            **{name: value for name, value in os.environ.items() if PASSED_ON.fullmatch(name)},
            **told,
            "HOME": "/tmp",  # noqa: S108 -- its own, and empty
            "VIRTUAL_ENV": str(venv),
            "UV_PROJECT_ENVIRONMENT": str(venv),
            "UV_CACHE_DIR": str(build / "cache"),
            "npm_config_cache": str(build / "npm"),
            "UV_PYTHON_INSTALL_DIR": str(build / "python"),
            "UV_LINK_MODE": "copy",  # they are two mounts
            "UV_COMPILE_BYTECODE": "1",
            "UV_NO_PROGRESS": "1",
        },
    )
    output = secrets.masked(output, told.values())
    if status != 0:
        if FULL in output:
            raise release.fail(no_room(release.home))
        failed = [line[2:] for line in output.splitlines() if line.startswith("+ ")]  # sh -x says what it runs
        raise release.fail(f"{advice(failed[-1].split() if failed else [], plan, output)}\n{last_lines(output)}")
    return found["module"], found["note"]
