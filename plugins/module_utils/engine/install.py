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

from ansible_collections.slipway.flask.plugins.module_utils.engine import sandbox, secrets
from ansible_collections.slipway.flask.plugins.module_utils.engine.application import releases
from ansible_collections.slipway.flask.plugins.module_utils.engine.errors import FULL, last_lines, no_room
from ansible_collections.slipway.flask.plugins.module_utils.engine.plan import FORMAT, REQUIREMENTS, Plan
from ansible_collections.slipway.flask.plugins.module_utils.engine.record import Release

BUILD_SECONDS = 1800
# Files of these kinds can affect what is installed, in any folder.
NAMES_DEPENDENCIES = {".txt", ".in", ".toml", ".lock", ".cfg", ".whl", ".gz", ".zip"}
# Variables of the play's environment that are passed on to a build.
PASSED_ON = re.compile("(https?|all|no)_proxy|UV_.*|SSL_CERT_.*", re.IGNORECASE)


def uwsgi_options(text: str) -> dict[str, str]:
    """Return the options of an uwsgi.ini's section [uwsgi], read as uWSGI does: lines by themselves, however indented."""
    options: dict[str, str] = {}
    section = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1]
        elif section == "uwsgi" and line and line[0] not in ";#":
            name, _, value = line.partition("=")
            options[name.strip()] = value.strip()
    return options


def module_of(code: Path, plan: Plan) -> str:
    """Return the application to serve in gunicorn's notation: what its own uwsgi.ini names, where uWSGI serves it.

    bin/uwsgi.serve.py finds it in the release's record. In a container template the application's folder is /app.
    """
    ini = code / "uwsgi.ini"
    own = uwsgi_options(ini.read_text()) if plan.server == "uwsgi" and ini.is_file() else {}
    file = (own.get("wsgi-file") or own.get("file") or "").removeprefix("/app/").removesuffix(".py")
    file = file.replace("/", ".").strip(".")
    name = own.get("module") or own.get("wsgi") or own.get("w") or file
    return f"{name}:{own.get('callable') or 'application'}" if name and ":" not in name else name or plan.module


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


def install_commands(code: Path, uv: str, python: str) -> list[list[str]]:
    """Return the uv commands that make the release's virtualenv, by the first kind of dependency file there is.

    The first makes it, the second installs the app server and all it needs. uv keeps an installed version where nothing
    asks for another.
    """
    # On the command line, as the application's pyproject.toml may switch it off.
    install = [uv, "pip", "install", "--verify-hashes", "--requirement", "../requirements.txt"]
    hashed = "--hash=" in (code.parent / "hashes.txt").read_text()
    begin = [
        [uv, "venv", "--relocatable", "--python", python, "../.venv"],
        # Started outside of the code: a pyproject.toml there may override versions.
        [uv, "--directory", "..", "pip", "install", "--requirement", "hashes.txt"]
        + (["--require-hashes", "--no-build"] if hashed else []),
    ]
    further = [[*install, "--override", "../requirements.txt", "--requirement", "../app_requirements.txt"]]
    if not (code.parent / "app_requirements.txt").read_text().strip():
        further = []
    if (code / "uv.lock").is_file():
        # First the lock, unchanged; then the app server, whatever version of it is in the lock. Its dependencies are
        # there, in the lock's version or else in that of hashes.txt.
        return [
            *begin,
            # The virtualenv is of this interpreter, whatever a .python-version says; uv would make another.
            [uv, "sync", "--frozen", "--inexact", "--no-default-groups", "--python", python],
            [*install, *(["--no-deps"] if hashed else [])],
            *further,
        ]
    install += ["--override", "../requirements.txt"]
    pyproject = code / "pyproject.toml"
    if pyproject.is_file() and "project" in (project := tomllib.loads(pyproject.read_text())):
        return [
            *begin,
            [
                *install,
                *(["--editable", "."] if "build-system" in project else ["--requirement", "pyproject.toml"]),
            ],
            *further,
        ]
    own = (code / "requirements.txt").is_file()
    return [*begin, [*install, "--requirement", "requirements.txt" if own else "../default_requirements.txt"], *further]


def advice(command: list[str], server: str) -> str:
    """Return which variable names what a command could not install, and what to do."""
    if "hashes.txt" in command:
        return (
            f"{server}_hashes: {server} could not be installed as this file says. If a hash does not match below, the file is "
            f"not the one that was pinned: find out why, or give the hashes of {server}_version."
        )
    if "../default_requirements.txt" in command:
        return "app_default_requirements: what this file names could not be installed. Fix it."
    if "../app_requirements.txt" in command:
        return "app_requirements: what it names could not be installed. Fix it."
    return (
        "app_source: the dependencies of the application could not be installed. "
        "Fix the file that names them (a package that must be compiled needs its headers: app_packages)."
    )


def look(code: Path, plan: Plan) -> dict[str, Any]:
    """Return what the source says: how it is installed, a digest of what can change that, and the module to serve."""
    file = "pyproject.toml"
    try:
        commands = install_commands(code, plan.uv, plan.python)
        file = "uwsgi.ini"
        return {"commands": commands, "module": module_of(code, plan), "dependencies": dependencies(code)}
    except ValueError as error:  # not TOML, not UTF-8
        return {"wrong": f"app_source: its {file} cannot be read: {error}. Fix it."}


def install(release: Release, plan: Plan) -> str:
    """Make the release's virtualenv; return the module that is served. Raises ReleaseError."""
    code, venv, build_user = release.path / "code", release.path / ".venv", plan.builder
    found = sandbox.act_as(build_user, partial(look, code, plan))
    if "wrong" in found:
        raise release.fail(found["wrong"])
    digest = hashlib.sha256(json.dumps([FORMAT, plan.uv, plan.python, found["dependencies"]]).encode())
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
    commands = found["commands"]
    if same:
        # A sealed release is readable by root only. uv corrects what still differs, such as a package in the source itself.
        latest = max(same, key=lambda other: other.record.get("built", 0))
        copy = ["cp", "--archive", f"{latest.path}/.venv/.", str(venv)]
        done = subprocess.run(copy, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"})
        if done.returncode:
            raise release.fail(no_room(release.home) if FULL in done.stderr else last_lines(done.stderr))
        subprocess.run(["chown", "-R", "--no-dereference", f"{build_user}:", venv], check=True)
        del commands[:2]
    # The running application may not write here, so the byte code is made now. A file that does not compile may never be
    # imported; the import check decides.
    script = [shlex.join(command) for command in commands] + ["../.venv/bin/python -m compileall -q . || true"]
    build = release.home / "build"
    told = secrets.environment(plan.stage)
    status, output = sandbox.run(
        f"{plan.user}-build",
        ["sh", "-exc", "\n".join(script)],
        user=build_user,
        cwd=code,
        directives=sandbox.extend(
            plan.build_service,
            BindPaths=[code, venv, build],
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
        failed = [line for line in output.splitlines() if line.startswith("+ ")]  # sh -x says what it runs
        raise release.fail(f"{advice(failed[-1].split() if failed else [], plan.server)}\n{last_lines(output)}")
    return found["module"]
