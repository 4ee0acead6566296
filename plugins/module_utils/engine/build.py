#!/usr/bin/python
"""Build a release from what lies in <home>/next; see DOCUMENTATION."""

from __future__ import annotations

import configparser
import contextlib
import errno
import hashlib
import json
import os
import pwd
import re
import shlex
import shutil
import subprocess
import tomllib
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.flask.plugins.module_utils.engine import publishing, sandbox
from ansible_collections.slipway.flask.plugins.module_utils.engine.deploy import NO_ROOM, Deploy, no_room
from ansible_collections.slipway.flask.plugins.module_utils.engine.release import (
    LAYOUT,
    Release,
    ReleaseError,
    last_lines,
    now,
    releases,
    remove,
    replace,
)

DOCUMENTATION = r"""
module: release_build
short_description: Build an immutable release whose id is derived from its content
description:
  - Takes everything below I(home)/next (the source's archive, the settings, the programs in bin/, the app server's
    requirements), derives the release's id from it, and builds I(home)/releases/<id> with uv unless it is there.
  - First comes what C(next/hashes.txt) pins, the app server and all it needs. Where it has hashes, each package must have
    one, and nothing is compiled.
  - Dependencies come from C(uv.lock), else C(pyproject.toml), else C(requirements.txt), else
    C(next/default_requirements.txt). The app server (C(next/requirements.txt)) overrides a version that the application
    asks for; of what it needs, the application's version counts.
  - Where nothing that can name a dependency has changed, it begins with a copy of an earlier release's virtualenv; a
    version that no file pins is then the one that was installed there, until I(force) resolves anew.
  - What the source brings runs as I(user)C(-build), as a service of systemd with I(build_service), and no process of it is
    left when the release is sealed. A finished release belongs to root, and I(user) may only read it.
  - The module is imported as I(user), with the release's settings, as a service with I(sandbox).
  - Fails, and marks the release failed, where a dependency cannot be installed or the module does not import; what was
    built of it is removed again.
options:
  home: {description: The application's folder., type: path, required: true}
  user: {description: The application's user., type: str, required: true}
  module: {description: "The WSGI callable in gunicorn's notation, C(package.module:name) or C(module:factory())", type: str, required: true}
  server:
    description:
      - The app server's role. What it keeps in C(bin/) beside C(serve) begins with its name and a dot; what another one
        left there is no part of the release.
      - Where it is uwsgi, a C(uwsgi.ini) in the application's folder may name the module.
    type: str
    default: gunicorn
  uv: {description: Path of the uv program., type: path, required: true}
  python: {description: "An interpreter's path or name, or a version for uv to find or fetch.", type: str, default: python3}
  static_dir: {description: Folder of static files below the source; published where it exists., type: str, default: static}
  static_url: {description: The URL path the static files are published under., type: str, default: /static/}
  static_kinds: {description: "Last suffixes of files that are published, without the dot; empty for names without one.", type: list, elements: str, required: true}
  static_forbidden_suffixes: {description: Suffixes that may not stand before the last either., type: list, elements: str, required: true}
  sandbox: {description: Directives of systemd for what runs as I(user)., type: dict, required: true}
  build_service: {description: Directives of systemd for the build., type: dict, required: true}
  shared_dirs: {description: "Folders below the source that outlive a release: links into I(home)/shared.", type: list, elements: str, default: []}
  prestart: {description: The prestart commands; the release's id is derived from them too., type: list, elements: str, default: []}
  migrate: {description: Whether migrations run before the prestart commands; part of the id., type: bool, default: true}
  force: {description: Build anew what was built of the same input before; the new release has an id of its own., type: bool, default: false}
  source: {description: "The version of the source, for the record.", type: str}
  lock: {description: What M(release_lock) returned as C(run)., type: str}
attributes:
  check_mode: {support: full}
author: Slipway
"""

EXAMPLES = r"""
- name: The release is built
  release_build:
    home: /srv/guestbook
    user: guestbook
    module: guestbook:create_app()
    uv: /opt/uv/bin/uv
    static_kinds: [css, js, png]
    static_forbidden_suffixes: [py, env]
    sandbox: {ProtectSystem: strict, ReadWritePaths: /srv/guestbook/shared}
    build_service: {ProtectSystem: strict, MemoryMax: 75%}
  register: release
"""

RETURN = r"""
id: {description: The release's id., type: str, returned: always}
prestarted: {description: Whether its prestart commands have run., type: bool, returned: always}
pending: {description: Whether it was, or in a dry run would be, built., type: bool, returned: always}
schema: {description: Heads of its Alembic migrations., type: list, elements: str, returned: always}
not_published: {description: "Files below I(static_dir) that this build did not publish, and why.", type: list, elements: str, returned: always}
"""

BUILD_SECONDS = 1800
CHECK_SECONDS = 120
FULL = os.strerror(errno.ENOSPC)
# Part of every id: raised when this module makes something else of the same input.
FORMAT = 7
# Files of these kinds can have a say in what is installed, wherever they lie.
NAMES_DEPENDENCIES = {".txt", ".in", ".toml", ".lock", ".cfg", ".whl", ".gz", ".zip"}
# What of the play's own environment counts in a build.
PASSED_ON = re.compile("(https?|all|no)_proxy|UV_.*|SSL_CERT_.*", re.IGNORECASE)
# Imports the module and looks for the name, as an app server will; a factory is not called. Prints the heads of the
# migrations: Alembic's own folder, or Flask-Migrate's.
IMPORT_CHECK = """
import importlib.util, json, os, sys
sys.path.insert(0, '.')
name, _, callable_ = sys.argv[1].partition(':')
getattr(importlib.import_module(name), callable_.partition('(')[0] or 'application')
heads = []
if importlib.util.find_spec('alembic'):
    from alembic.config import Config
    from alembic.script import ScriptDirectory
    if os.path.exists('alembic.ini'):
        heads = ScriptDirectory.from_config(Config('alembic.ini')).get_heads()
    elif os.path.exists('migrations/alembic.ini'):
        heads = ScriptDirectory('migrations').get_heads()
print()
print(json.dumps(sorted(heads)))
"""


# What of `next` has a say in the virtualenv.
REQUIREMENTS = ("requirements.txt", "hashes.txt", "default_requirements.txt")


def foreign(path: Path, server: str) -> bool:
    """Whether a file of `next` was left in bin/ by another app server than the chosen one."""
    owner, dot, _ = path.name.partition(".")
    return path.parent.name == "bin" and bool(dot) and owner not in (server, "slipway_wsgi")


def module_of(code: Path, params: dict[str, Any]) -> str:
    """Return the application to serve in gunicorn's notation: what its own uwsgi.ini names, where uWSGI serves it."""
    ini = configparser.ConfigParser(interpolation=None, strict=False, allow_no_value=True, delimiters=("=",))
    if params["server"] == "uwsgi" and (code / "uwsgi.ini").is_file():
        ini.read_string((code / "uwsgi.ini").read_text())
    own = ini["uwsgi"] if ini.has_section("uwsgi") else {}
    file = (own.get("wsgi-file") or own.get("file") or "").removesuffix(".py").replace("/", ".").strip(".")
    name = own.get("module") or own.get("wsgi") or own.get("w") or file
    return f"{name}:{own.get('callable') or 'application'}" if name and ":" not in name else name or params["module"]


def release_id(params: dict[str, Any], python: str) -> str:
    """Return the id of what `next` would become: 12 hexadecimal digits of a SHA-256 over all that it is made of."""
    digest = hashlib.sha256()
    stage = Path(params["home"]) / "next"
    files = sorted(path for path in stage.rglob("*") if path.is_file() and not foreign(path, params["server"]))
    for path in files:
        content = path.read_bytes()
        digest.update(f"{path}\0{len(content)}\0".encode() + content)
    facts = {
        key: params[key]
        for key in (
            "module",
            "server",
            "prestart",
            "migrate",
            "static_dir",
            "static_url",
            "static_kinds",
            "static_forbidden_suffixes",
            "shared_dirs",
            "uv",
        )
    }
    digest.update(json.dumps([FORMAT, facts, python], sort_keys=True).encode())
    return digest.hexdigest()[:12]


def interpreter(python: str) -> str:
    """Return the interpreter behind a name, so that a new minor version is a new release; a version stays as it is."""
    found = shutil.which(python)
    return os.path.realpath(found) if found else python


def builder(user: str) -> str:
    """Return the user that builds an application's releases. Raises ReleaseError where there is none."""
    name = f"{user}-build"
    try:
        return pwd.getpwnam(name).pw_name
    except KeyError:
        raise ReleaseError(
            f"app_name: the server has no user {name}, as which releases are built. Run site.yml, which makes it."
        ) from None


def lay_out(release: Release, params: dict[str, Any]) -> None:
    """Make the release's folders, with the source, the programs and the links into shared. Raises ReleaseError."""
    stage, user, build_user = release.home / "next", params["user"], builder(params["user"])
    sandbox.stop(f"{user}-build")  # of a deploy that was killed
    remove(release.path)
    release.path.mkdir(parents=True)
    release.path.chmod(0o755)
    for name in ("code", ".venv", "public"):
        (release.path / name).mkdir()
        shutil.chown(release.path / name, build_user, build_user)
    left = [path.name for path in (stage / "bin").iterdir() if foreign(path, params["server"])]
    shutil.copytree(stage / "bin", release.path / "bin", ignore=shutil.ignore_patterns(*left))
    subprocess.run(["chown", "-R", f"root:{user}", release.path / "bin"], check=True)
    for name in ("env", *REQUIREMENTS):
        shutil.copy2(stage / name, release.path / name)
        shutil.chown(release.path / name, 0, build_user if name in REQUIREMENTS else user)
    with (stage / "source.tar.gz").open("rb") as archive:
        if wrong := sandbox.act_as(build_user, partial(unpack, archive, release.path / "code")):
            raise release.fail(no_room(release.home) if FULL in wrong else f"app_source: {last_lines(wrong)}")
    for name in params["shared_dirs"]:
        kept = release.home / "shared" / name
        try:
            # As the application: it owns shared/, and could have put a link there.
            sandbox.act_as(user, partial(kept.mkdir, parents=True, exist_ok=True))
        except (OSError, RuntimeError) as error:
            raise release.fail(f"app_shared_dirs: {kept} cannot be made: {error}") from None
        if wrong := sandbox.act_as(build_user, partial(share, release.path / "code", name, kept)):
            raise release.fail(wrong)


def unpack(archive: BinaryIO, code: Path) -> str:
    """Unpack the source into a folder; return what tar says where it fails."""
    tar = ["tar", "--extract", "--gzip", "--no-same-owner", "--no-same-permissions"]
    # The archive has no times; ETag and Last-Modified of a file need one that moves on.
    tar += ["--touch"]
    done = subprocess.run(
        tar, cwd=code, stdin=archive, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"}
    )
    return done.stderr if done.returncode else ""


def share(code: Path, name: str, kept: Path) -> str:
    """Put a link into shared/ in the place of a folder of the source; return what is wrong with that, if anything."""
    place = code / name
    if not place.parent.resolve().is_relative_to(code.resolve()) or place == code or ".." in place.parts:
        return f"app_shared_dirs: {name!r} does not lie below the application's folder. Name one that does."
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)
    place.symlink_to(kept)
    return ""


def dependencies(code: Path) -> str:
    """Return a digest of all of the source that has a say in what the virtualenv holds. A link out of it has none."""
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
    if (code / "uv.lock").is_file():
        # The lock is taken as it stands; then the app server, whatever version the lock has of it. What that needs is
        # there, in the lock's version or else in that of hashes.txt.
        return [
            *begin,
            # The virtualenv is of this interpreter, whatever a .python-version says; uv would make another.
            [uv, "sync", "--frozen", "--inexact", "--no-default-groups", "--python", python],
            [*install, *(["--no-deps"] if hashed else [])],
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
        ]
    own = (code / "requirements.txt").is_file()
    return [*begin, [*install, "--requirement", "requirements.txt" if own else "../default_requirements.txt"]]


def advice(command: list[str], server: str) -> str:
    """Return which variable says what a command could not install, and what to do."""
    if "hashes.txt" in command:
        return (
            f"{server}_hashes: {server} could not be installed as this file says. Where a hash does not match below, it is not the "
            f"file that was pinned: find out why, or give the hashes of {server}_version."
        )
    if "../default_requirements.txt" in command:
        return "app_default_requirements: what this file names could not be installed. Correct it."
    return (
        "app_source: the dependencies of the application could not be installed. "
        "Mend the file that names them (a package that must be compiled needs its headers: app_packages)."
    )


def look(code: Path, params: dict[str, Any], python: str) -> dict[str, Any]:
    """Return what the source says: how it is installed, a digest of what can change that, and the module to serve."""
    file = "pyproject.toml"
    try:
        commands = install_commands(code, params["uv"], python)
        file = "uwsgi.ini"
        return {"commands": commands, "module": module_of(code, params), "dependencies": dependencies(code)}
    except (ValueError, configparser.Error) as error:  # not TOML, not UTF-8
        return {"wrong": f"app_source: its {file} cannot be read: {error}. Mend it."}


def install(release: Release, params: dict[str, Any], python: str) -> str:
    """Make the release's virtualenv; return the module that is served. Raises ReleaseError."""
    code, venv, build_user = release.path / "code", release.path / ".venv", builder(params["user"])
    found = sandbox.act_as(build_user, partial(look, code, params, python))
    if "wrong" in found:
        raise release.fail(found["wrong"])
    digest = hashlib.sha256(json.dumps([FORMAT, params["uv"], python, found["dependencies"]]).encode())
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
        # What was sealed is root's alone. uv makes good what still differs, such as a package that lies in the source itself.
        latest = max(same, key=lambda other: other.record.get("built", 0))
        copy = ["cp", "--archive", f"{latest.path}/.venv/.", str(venv)]
        done = subprocess.run(copy, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"})
        if done.returncode:
            raise release.fail(no_room(release.home) if FULL in done.stderr else last_lines(done.stderr))
        subprocess.run(["chown", "-R", "--no-dereference", f"{build_user}:", venv], check=True)
        del commands[:2]
    # The running application may not write here, so the byte code is made now. A file that does not compile may be one that
    # nobody imports; the import check is what judges.
    script = [shlex.join(command) for command in commands] + ["../.venv/bin/python -m compileall -q . || true"]
    build = release.home / "build"
    status, output = sandbox.run(
        f"{params['user']}-build",
        ["sh", "-exc", "\n".join(script)],
        user=build_user,
        cwd=code,
        directives=sandbox.extend(
            params["build_service"],
            BindPaths=[code, venv, build],
            BindReadOnlyPaths=[release.path / name for name in REQUIREMENTS],
        ),
        seconds=BUILD_SECONDS,
        environment={
            **{name: value for name, value in os.environ.items() if PASSED_ON.fullmatch(name)},
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
    if status != 0:
        if FULL in output:
            raise release.fail(no_room(release.home))
        failed = [line for line in output.splitlines() if line.startswith("+ ")]  # sh -x says what it runs
        raise release.fail(f"{advice(failed[-1].split() if failed else [], params['server'])}\n{last_lines(output)}")
    return found["module"]


def seal(release: Release, user: str) -> None:
    """Hand the release to root: the application may read it, others not even that, but for public/.

    No process of the build is left, so nothing changes meanwhile; neither command follows a link on its way down.
    """
    private, public = [release.path / "code", release.path / ".venv"], [release.path / "public"]
    for paths, group, mode in ((private, user, "ug-s,g=rX,o="), (public, "root", "u=rwX,go=rX")):
        subprocess.run(["chown", "-R", "--no-dereference", f"root:{group}", *paths], check=True)
        subprocess.run(["chmod", "-R", mode, *paths], check=True)


def schema_of(release: Release, params: dict[str, Any], module: str) -> list[str]:
    """Import the module as the application does; return the heads of its migrations. Raises ReleaseError."""
    limited = release.instance("limit")
    if limited.returncode:
        raise release.fail(
            f"The limits of the application could not be set: bin/instance limit: {limited.stderr.strip()}"
        )
    status, output = sandbox.run(
        f"{params['user']}-check",
        [str(release.path / "bin/run"), "python", "-c", IMPORT_CHECK, module],
        user=params["user"],
        cwd=release.path / "code",
        directives=params["sandbox"],
        seconds=CHECK_SECONDS,
    )
    if status != 0:
        raise release.fail(
            f"{'app_module' if module == params['module'] else 'uwsgi.ini'}: {module!r} does not import. Mend the error below, or name the module and the "
            f"application in it (gunicorn's notation, such as main:app or package:create_app()).\n{last_lines(output)}"
        )
    with contextlib.suppress(json.JSONDecodeError, IndexError):
        heads = json.loads(output.splitlines()[-1])
        if isinstance(heads, list) and all(isinstance(head, str) for head in heads):
            return heads
    raise release.fail(
        f"app_module: {module!r} printed something at its end that nobody asked for:\n{last_lines(output)}"
    )


def make(release: Release, params: dict[str, Any], python: str) -> list[str]:
    """Build the release; return what of its static files is not published. Of one that fails only the record is left.

    Raises ReleaseError.
    """
    try:
        lay_out(release, params)
        module = install(release, params, python)
        refused: list[str] = sandbox.act_as(builder(params["user"]), partial(publish_static, release, params))
        seal(release, params["user"])
        schema = schema_of(release, params, module)
        release.note(state="built", layout=LAYOUT, built=now(), schema=schema, source=params["source"])
    except (ReleaseError, OSError, RuntimeError) as error:
        with contextlib.suppress(ReleaseError):  # why the build failed is what counts
            remove(release.path)
        release.path.mkdir(parents=True, exist_ok=True)
        reason = str(error)
        if isinstance(error, OSError):
            reason = no_room(release.home) if error.errno in NO_ROOM else f"{type(error).__name__}: {error}"
        release.note(source=params["source"])
        raise release.fail(reason) from None
    return refused


def publish_static(release: Release, params: dict[str, Any]) -> list[str]:
    """Publish the static files in public/, shaped as their URLs; return those that are not, and why."""
    code = release.path / "code"
    source = code / params["static_dir"]
    # The folder itself may be a link out of the source.
    if not params["static_dir"] or not source.is_dir() or not source.resolve().is_relative_to(code.resolve()):
        return []
    rule = publishing.Rule(params["static_kinds"], params["static_forbidden_suffixes"])
    target = release.path / "public" / params["static_url"].strip("/")
    return publishing.publish(source, target, rule, release.home / "shared")


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "home": {"type": "path", "required": True},
            "user": {"type": "str", "required": True},
            "module": {"type": "str", "required": True},
            "server": {"type": "str", "default": "gunicorn"},
            "uv": {"type": "path", "required": True},
            "python": {"type": "str", "default": "python3"},
            "static_dir": {"type": "str", "default": "static"},
            "static_url": {"type": "str", "default": "/static/"},
            "static_kinds": {"type": "list", "elements": "str", "required": True},
            "static_forbidden_suffixes": {"type": "list", "elements": "str", "required": True},
            "sandbox": {"type": "dict", "required": True},
            "build_service": {"type": "dict", "required": True},
            "shared_dirs": {"type": "list", "elements": "str", "default": []},
            "prestart": {"type": "list", "elements": "str", "default": []},
            "migrate": {"type": "bool", "default": True},
            "force": {"type": "bool", "default": False},
            "source": {"type": "str", "default": ""},
            "lock": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    params = module.params
    next_ = Path(params["home"]) / "next"
    if module.check_mode and not (next_ / "env").exists():
        module.exit_json(
            changed=True, pending=True, id="", prestarted=True, schema=[], not_published=[]
        )  # a dry run of a first deploy
    os.umask(0o077)  # nothing is for others before it has been given to them
    python = interpreter(params["python"])
    if params["force"] and not module.check_mode:
        # It stays, so that the next deploy of the same input is this release and not the one before.
        replace(next_ / "forced", params["lock"] + "\n")
    release = Release(params["home"], release_id(params, python))
    # A release that has the traffic is never built again under its visitors, whatever its record says.
    built = release.record.get("state") == "built" or release.active
    refused: list[str] = []
    if not built and not module.check_mode:
        deploy = Deploy(params["home"], params["lock"])
        with deploy.step(module):
            deploy.note(step="build", id=release.id, source=params["source"])
            refused = make(release, params, python)
    record = release.record
    module.exit_json(
        changed=not built,
        pending=not built or params["force"],
        id=release.id,
        prestarted=bool(record.get("prestarted")),
        schema=record.get("schema", []),
        not_published=[last_lines(name) for name in refused],
    )


if __name__ == "__main__":
    main()
