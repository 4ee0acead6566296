#!/usr/bin/python
"""Build a release from what lies in <home>/next; see DOCUMENTATION."""

from __future__ import annotations

import configparser
import errno
import gzip
import hashlib
import json
import os
import shutil
import subprocess
import tarfile
import time
import tomllib
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.deploy import NO_ROOM, Deploy, no_room
from ansible.module_utils.release import Release, ReleaseError, last_lines, now, releases, replace, run_as

DOCUMENTATION = r"""
module: release_build
short_description: Build an immutable release whose id is derived from its content
description:
  - Takes everything below I(home)/next (the source's archive, the settings, the programs in bin/, the app server's
    requirements), derives the release's id from it, and builds I(home)/releases/<id> with uv unless it is there.
  - Dependencies come from C(uv.lock), else C(pyproject.toml), else C(requirements.txt), else I(default_requirements).
    What the app server needs (C(next/requirements.txt)) overrides a version that the application asks for.
  - Where nothing that can name a dependency has changed, it begins with a copy of an earlier release's virtualenv; a
    version that no file pins is then the one that was installed there, until I(force) resolves anew.
  - The build runs as I(user); a finished release belongs to root and I(user) may only read it.
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
  default_requirements: {description: Installed where the source names no dependencies., type: list, elements: str, default: [flask]}
  static_dir: {description: Folder of static files below the source; published where it exists., type: str, default: static}
  static_url: {description: The URL path the static files are published under., type: str, default: /static/}
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
  register: release
"""

RETURN = r"""
id: {description: The release's id., type: str, returned: always}
prestarted: {description: Whether its prestart commands have run., type: bool, returned: always}
pending: {description: Whether it was, or in a dry run would be, built., type: bool, returned: always}
schema: {description: Heads of its Alembic migrations., type: list, elements: str, returned: always}
"""

BUILD_SECONDS = 1800
FULL = os.strerror(errno.ENOSPC)
# Part of every id: raised when this module makes something else of the same input.
FORMAT = 6
# Files of these kinds can have a say in what is installed, wherever they lie.
NAMES_DEPENDENCIES = {".txt", ".in", ".toml", ".lock", ".cfg", ".whl", ".gz", ".zip"}
# What compresses well; everything else is left to the edge.
COMPRESSIBLE = {
    ".css",
    ".js",
    ".mjs",
    ".json",
    ".map",
    ".svg",
    ".xml",
    ".txt",
    ".html",
    ".wasm",
    ".ttf",
    ".otf",
    ".ico",
}
# A smaller file fits one packet anyway.
COMPRESS_MIN_BYTES = 1024
NEVER_PUBLISHED = {".py", ".pyc", ".pyo"}
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
            "default_requirements",
            "static_dir",
            "static_url",
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


def unpack(release: Release, shared_dirs: list[str], user: str, server: str) -> None:
    """Lay out code, bin, env and the links into shared. Raises ReleaseError."""
    stage = release.home / "next"
    shutil.rmtree(release.path, ignore_errors=True)
    code = release.path / "code"
    code.mkdir(parents=True)
    release.path.chmod(0o755)
    now = time.time()
    with tarfile.open(stage / "source.tar.gz") as archive:
        for member in archive:
            member.mtime = now  # the archive has no times; ETag and Last-Modified of a file need one that moves on
            archive.extract(member, code)
    left = [path.name for path in (stage / "bin").iterdir() if foreign(path, server)]
    shutil.copytree(stage / "bin", release.path / "bin", ignore=shutil.ignore_patterns(*left))
    subprocess.run(["chown", "-R", f"root:{user}", release.path / "bin"], check=True)
    for name in ("env", "requirements.txt"):
        shutil.copy2(stage / name, release.path / name)
        shutil.chown(release.path / name, 0, user)
    for name in shared_dirs:
        share(release, name, user)
    subprocess.run(["chown", "-R", "--no-dereference", f"{user}:", release.path / "code"], check=True)


def share(release: Release, name: str, user: str) -> None:
    """Put a link into shared/ in the place of a folder of the source. Raises ReleaseError where it leads elsewhere."""
    code, kept = release.path / "code", release.home / "shared" / name
    place = code / name
    if not place.parent.resolve().is_relative_to(code.resolve()) or place == code or ".." in place.parts:
        raise release.fail(
            f"app_shared_dirs: {name!r} does not lie below the application's folder. Name one that does."
        )
    # As the application: it owns shared/, and could have put a link there for root to follow.
    status, output = run_as(user, ["mkdir", "-p", str(kept)], release.home, dict(os.environ), 60)
    if status != 0:
        raise release.fail(f"app_shared_dirs: {kept} cannot be made: {output}")
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)
    place.symlink_to(kept)


def dependencies(release: Release, params: dict[str, Any], python: str) -> str:
    """Return a digest of all that has a say in what the virtualenv holds."""
    facts = [FORMAT, params["uv"], python, params["default_requirements"]]
    digest = hashlib.sha256(json.dumps(facts).encode() + (release.path / "requirements.txt").read_bytes())
    forced = release.home / "next/forced"  # what was resolved then counts for those that follow
    digest.update(forced.read_bytes() if forced.exists() else b"")
    for path in sorted((release.path / "code").rglob("*")):
        if (path.suffix in NAMES_DEPENDENCIES or path.name == "setup.py") and path.is_file():
            content = path.read_bytes()
            digest.update(f"{path.relative_to(release.path)}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def install_commands(code: Path, uv: str, python: str, default_requirements: list[str]) -> list[list[str]]:
    """Return the uv commands that make the release's virtualenv, by the first kind of dependency file there is."""
    install = [
        uv,
        "pip",
        "install",
        "--requirement",
        "../requirements.txt",
        "--override",
        "../requirements.txt",
    ]
    create = [uv, "venv", "--relocatable", "--python", python, "../.venv"]
    if (code / "uv.lock").is_file():
        # The lock is taken as it stands; then the app server, whatever version the lock has of it.
        return [
            create,
            # The virtualenv is of this interpreter, whatever a .python-version says; uv would make another.
            [uv, "sync", "--frozen", "--no-default-groups", "--python", python],
            [uv, "pip", "install", "--requirement", "../requirements.txt"],
        ]
    pyproject = code / "pyproject.toml"
    if pyproject.is_file() and "project" in (project := tomllib.loads(pyproject.read_text())):
        return [
            create,
            [
                *install,
                *(["--editable", "."] if "build-system" in project else ["--requirement", "pyproject.toml"]),
            ],
        ]
    if (code / "requirements.txt").is_file():
        return [create, [*install, "--requirement", "requirements.txt"]]
    return [create, [*install, *default_requirements]]


def build(release: Release, params: dict[str, Any], python: str) -> list[str]:
    """Make the release's virtualenv and check that the module imports; return its schema. Raises ReleaseError."""
    code, user = release.path / "code", params["user"]
    venv = release.path / ".venv"
    venv.mkdir()
    shutil.chown(venv, user, user)
    environment = {
        **os.environ,
        "HOME": str(release.home / "shared"),
        "VIRTUAL_ENV": str(venv),
        "UV_PROJECT_ENVIRONMENT": str(venv),
        "UV_CACHE_DIR": str(release.home / "cache"),
        "UV_PYTHON_INSTALL_DIR": str(release.home / "cache" / "python"),
        # The release is handed to root afterwards: a hard link would hand over the cache's file too.
        "UV_LINK_MODE": "copy",
        # The running application may not write here, so the byte code is made now.
        "UV_COMPILE_BYTECODE": "1",
        "UV_NO_PROGRESS": "1",
    }
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    try:
        commands = install_commands(code, params["uv"], python, params["default_requirements"])
    except tomllib.TOMLDecodeError as error:
        raise release.fail(f"app_source: its pyproject.toml cannot be read: {error}. Mend it.") from None
    wanted = dependencies(release, params, python)
    same = [
        other
        for other in releases(release.home)
        if other.record.get("dependencies") == wanted and (other.path / ".venv/pyvenv.cfg").is_file()
    ]
    if same:
        latest = max(same, key=lambda other: other.record.get("built", 0))
        # As the application: all that is there is what it may read. uv makes good what still differs, such as a package
        # that lies in the source itself.
        commands[0] = ["env", "LC_ALL=C", "cp", "--archive", f"{latest.path}/.venv/.", "../.venv"]
    for command in commands:
        status, output = run_as(user, command, code, environment, BUILD_SECONDS)
        if status != 0:
            if FULL in output:
                raise release.fail(no_room(release.home))
            raise release.fail(
                "app_source: the dependencies of the application could not be installed. "
                "Mend the file that names them (a package that must be compiled needs its headers: app_packages).\n"
                f"{' '.join(command)}:\n{last_lines(output)}"
            )
    run_as(
        user,
        [str(venv / "bin/python"), "-m", "compileall", "-q", "."],
        code,
        environment,
        BUILD_SECONDS,
    )
    try:
        module = module_of(code, params)
    except configparser.Error as error:
        raise release.fail(f"app_source: its uwsgi.ini cannot be read: {error}. Mend it.") from None
    release.note(module=module, dependencies=wanted)
    check = [str(release.path / "bin/run"), "python", "-c", IMPORT_CHECK, module]
    status, output = run_as(user, check, code, dict(os.environ), 120)
    if status != 0:
        raise release.fail(
            f"{'app_module' if module == params['module'] else 'uwsgi.ini'}: {module!r} does not import. Mend the error below, or name the module and the "
            f"application in it (gunicorn's notation, such as main:app or package:create_app()).\n{last_lines(output)}"
        )
    schema: list[str] = json.loads(output.splitlines()[-1])
    return schema


def publish(release: Release, static_dir: str, static_url: str) -> None:
    """Copy the static files to public/, shaped as their URLs, where the edge may read them; add .gz twins.

    A twin is left out where it saves less than a tenth. Links out of the source are left out: root reads here, and
    would show the world whatever the application points it at.
    """
    code = release.path / "code"
    source = code / static_dir
    public = release.path / "public"
    public.mkdir()
    public.chmod(0o755)
    # The folder itself may be such a link.
    if not static_dir or not source.is_dir() or not source.resolve().is_relative_to(code.resolve()):
        return
    target = public / static_url.strip("/")

    def strays(path: Path) -> bool:
        return path.is_symlink() and (path.is_dir() or not path.resolve().is_relative_to(code.resolve()))

    def unwanted(folder: str, names: list[str]) -> set[str]:
        return {
            name
            for name in names
            if name.startswith(".")
            or name == "__pycache__"
            or Path(name).suffix in NEVER_PUBLISHED
            or strays(Path(folder, name))
        }

    shutil.copytree(source, target, ignore=unwanted, dirs_exist_ok=True)
    for path in public.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
        if path.is_file() and path.suffix in COMPRESSIBLE and path.stat().st_size >= COMPRESS_MIN_BYTES:
            content = path.read_bytes()
            packed = gzip.compress(content, 9, mtime=0)
            if len(packed) < 0.9 * len(content):
                twin = path.with_name(path.name + ".gz")
                twin.write_bytes(packed)
                shutil.copystat(path, twin)  # one Last-Modified for both


def seal(release: Release, user: str) -> None:
    """Hand the release to root: the application may read it, others not even that, but for public/."""
    for name in ("code", ".venv"):
        subprocess.run(["chown", "-R", "--no-dereference", f"root:{user}", release.path / name], check=True)
        subprocess.run(["chmod", "-R", "g=rX,o=", release.path / name], check=True)


def make(release: Release, params: dict[str, Any], python: str) -> None:
    """Build the release; of one that fails only the record is left. Raises ReleaseError."""
    try:
        unpack(release, params["shared_dirs"], params["user"], params["server"])
        schema = build(release, params, python)
        seal(release, params["user"])
        publish(release, params["static_dir"], params["static_url"])
        release.note(state="built", built=now(), schema=schema, source=params["source"])
    except (ReleaseError, OSError) as error:
        shutil.rmtree(release.path, ignore_errors=True)
        release.path.mkdir(parents=True, exist_ok=True)
        reason = str(error)
        if isinstance(error, OSError):
            reason = no_room(release.home) if error.errno in NO_ROOM else f"{type(error).__name__}: {error}"
        release.note(source=params["source"])
        raise release.fail(reason) from None


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
            "default_requirements": {"type": "list", "elements": "str", "default": ["flask"]},
            "static_dir": {"type": "str", "default": "static"},
            "static_url": {"type": "str", "default": "/static/"},
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
        module.exit_json(changed=True, pending=True, id="", prestarted=True, schema=[])  # a dry run of a first deploy
    os.umask(0o077)  # nothing is for others before it has been given to them
    python = interpreter(params["python"])
    if params["force"] and not module.check_mode:
        # It stays, so that the next deploy of the same input is this release and not the one before.
        replace(next_ / "forced", params["lock"] + "\n")
    release = Release(params["home"], release_id(params, python))
    # A release that has the traffic is never built again under its visitors, whatever its record says.
    built = release.record.get("state") == "built" or release.active
    if not built and not module.check_mode:
        deploy = Deploy(params["home"], params["lock"])
        with deploy.step(module):
            deploy.note(step="build", id=release.id, source=params["source"])
            make(release, params, python)
    record = release.record
    module.exit_json(
        changed=not built,
        pending=not built or params["force"],
        id=release.id,
        prestarted=bool(record.get("prestarted")),
        schema=record.get("schema", []),
    )


if __name__ == "__main__":
    main()
