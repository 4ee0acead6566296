"""Build a release: <home>/next becomes <home>/releases/<id>, which only root can change afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import subprocess
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple

from ansible_collections.slipway.flask.plugins.module_utils.engine import database, publish, sandbox
from ansible_collections.slipway.flask.plugins.module_utils.engine.errors import (
    FULL,
    NO_ROOM,
    ReleaseError,
    last_lines,
    no_room,
    read_only,
)
from ansible_collections.slipway.flask.plugins.module_utils.engine.files import linked, remove, replace
from ansible_collections.slipway.flask.plugins.module_utils.engine.install import install
from ansible_collections.slipway.flask.plugins.module_utils.engine.plan import REQUIREMENTS, Plan, foreign
from ansible_collections.slipway.flask.plugins.module_utils.engine.record import LAYOUT, Release, complaint, now
from ansible_collections.slipway.flask.plugins.module_utils.engine.sharing import keep_once

CHECK_SECONDS = 120
FLASK_STATIC = "static"  # Flask's own: an application without one misses nothing
# Imports the module and looks for the name, as an app server will; a factory is not called. Prints the heads of the
# migrations: Alembic's own folder, or Flask-Migrate's. Flask's own server would never return.
IMPORT_CHECK = """
import importlib.util, json, os, sys
sys.path.insert(0, '.')
name, _, callable_ = sys.argv[1].partition(':')
def run(*_, **__):
    at = sys._getframe(1)
    sys.exit(f'{at.f_code.co_filename}, line {at.f_lineno}: app.run() starts a server as soon as the module is imported. '
             'Put it below this line: if __name__ == "__main__":')
try:
    import flask
    flask.Flask.run = run
except Exception:
    pass  # the application does without it, or its own import says why that fails
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


def lay_out(release: Release, plan: Plan) -> None:
    """Make the release's folders, with the source, the programs and the links into shared. Raises ReleaseError."""
    stage, user, build_user = plan.stage, plan.user, plan.builder
    sandbox.stop(f"{user}-build")  # of a deploy that was killed
    remove(release.path)
    release.path.mkdir(parents=True)
    release.path.chmod(0o755)
    for name in ("tree" if plan.folder else "code", ".venv", "public"):
        (release.path / name).mkdir()
        shutil.chown(release.path / name, build_user, build_user)
    if plan.has_application:
        copy_programs(release, plan)
    with (stage / "source.tar.gz").open("rb") as archive:
        if wrong := sandbox.act_as(build_user, partial(unpack, archive, release.tree)):
            raise release.fail(no_room(release.home) if FULL in wrong else f"app_source: {last_lines(wrong)}")
    if plan.folder:
        choose_folder(release, plan.folder)
    for name in plan.shared_dirs:
        kept = release.home / "shared" / name
        try:
            # As the application: it owns shared/, and could have put a link there.
            sandbox.act_as(user, partial(kept.mkdir, parents=True, exist_ok=True))
            wrong = sandbox.act_as(build_user, partial(share, release.path / "code", name, kept))
        except (OSError, RuntimeError) as error:
            raise release.fail(f"app_shared_dirs: {name!r} cannot be shared: {error}") from None
        if wrong:
            raise release.fail(wrong)


def copy_programs(release: Release, plan: Plan) -> None:
    """Copy what the roles staged for the release: its programs, settings and requirements."""
    stage, user, build_user = plan.stage, plan.user, plan.builder
    left = [path.name for path in (stage / "bin").iterdir() if foreign(path, plan.server)]
    shutil.copytree(stage / "bin", release.path / "bin", ignore=shutil.ignore_patterns(*left))
    subprocess.run(["chown", "-R", f"root:{user}", release.path / "bin"], check=True)
    for name in ("env", *REQUIREMENTS):
        shutil.copy2(stage / name, release.path / name)
        shutil.chown(release.path / name, 0, build_user if name in REQUIREMENTS else user)


def unpack(archive: BinaryIO, code: Path) -> str:
    """Unpack the source into a folder; return what tar says where it fails."""
    tar = ["tar", "--extract", "--gzip", "--no-same-owner", "--no-same-permissions"]
    # The archive has no times; ETag and Last-Modified of a file need one that moves on.
    tar += ["--touch"]
    done = subprocess.run(
        tar, cwd=code, stdin=archive, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"}
    )
    return done.stderr if done.returncode else ""


def choose_folder(release: Release, folder: str) -> None:
    """Make a folder of the tree the application's. Raises ReleaseError for one that is a link, or below one."""
    place = release.tree / folder
    if place.resolve() != release.tree.resolve() / folder or not place.is_dir():
        raise release.fail(
            f"app_source_path: {folder!r} is not a folder of the source itself. Name the one that links lead to."
        )
    (release.path / "code").symlink_to(place.relative_to(release.path))


def share(code: Path, name: str, kept: Path) -> str:
    """Replace a folder of the source by a link into shared/; return what is wrong with that, if anything."""
    place = code / name
    if not place.parent.resolve().is_relative_to(code.resolve()) or place == code or ".." in place.parts:
        return f"app_shared_dirs: {name!r} is not below the application's folder. Name one that is."
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)
    place.symlink_to(kept)
    return ""


def name_for_flask(release: Release, plan: Plan, module: str) -> None:
    """Let the command flask find the application that is served, unless app_env names another: `--app` came with Flask 2.2."""
    env = release.path / "env"
    replace(env, f"FLASK_APP={shlex.quote(module)}\n{env.read_text()}", 0o640, group=plan.user)


def publish_static(release: Release, plan: Plan) -> list[str]:
    """Publish the static files in public/, shaped as their URLs; return those that are not, and why."""
    code = release.path / "code"
    source = code / plan.static_dir
    # The folder itself may be a link out of the source.
    if plan.static_dir not in ("", FLASK_STATIC) and not source.is_dir():
        return [
            f"app_static_dir: the release has no folder {plan.static_dir!r}, so no static files are published. Set it to a folder of the source, or have app_build make this one."
        ]
    if not plan.static_dir or not source.is_dir() or not source.resolve().is_relative_to(code.resolve()):
        return []
    rule = publish.Rule(plan.static_kinds, plan.static_forbidden_suffixes, is_root=plan.static_url == "/")
    target, before = (
        folder / "public" / plan.static_url.strip("/") for folder in (release.path, release.home / "current")
    )
    return publish.publish(source, target, rule, release.home / "shared", before)


def keep_pages(release: Release, refused: list[str]) -> None:
    """Keep of a site without an application what is published alone. Raises ReleaseError where it has no front page."""
    if not (release.path / "public/index.html").is_file():
        why = next((f" ({line})" for line in refused if line.startswith("index.html: ")), "")
        raise release.fail(
            f"app_source, app_source_path: the folder has no index.html{why}, which is the front page of a site without an "
            "application (app_server: none). Name the folder that has the finished pages, such as the output of the build."
        )
    for name in ("code", "tree", ".venv"):
        remove(release.path / name)


def seal(release: Release, user: str) -> None:
    """Hand the release to root: the application may read it, others only public/.

    No process of the build is left, so nothing changes during this; neither command follows a link on its way down.
    """
    private, public = [release.tree, release.path / ".venv"], [release.path / "public"]
    for paths, group, mode in ((private, user, "ug-s,g=rX,o="), (public, "root", "u=rwX,go=rX")):
        if not paths[0].exists():  # of a site without an application
            continue
        subprocess.run(["chown", "-R", "--no-dereference", f"root:{group}", *paths], check=True)
        subprocess.run(["chmod", "-R", mode, *paths], check=True)


def schema_of(release: Release, plan: Plan, module: str, note: str) -> list[str]:
    """Import the module as the application does; return the heads of its migrations. note: see Made. Raises ReleaseError."""
    limited = release.instance("limit")
    if limited.returncode:
        raise release.fail(f"The limits of the application could not be set: bin/instance limit: {complaint(limited)}")
    status, output = sandbox.run(
        f"{plan.user}-check",
        [str(release.path / "bin/run"), "python", "-c", IMPORT_CHECK, module],
        user=plan.user,
        cwd=release.path / "code",
        directives=plan.sandbox,
        seconds=CHECK_SECONDS,
    )
    if status == 124:
        output += '\nIf the module starts a server or a loop, put that below this line: if __name__ == "__main__":'
    if status != 0:
        raise release.fail(
            f"{'app_module' if module == plan.module else 'uwsgi.ini'}: {module!r} cannot be imported. Fix the error below, or name the module and the "
            f"application in it (gunicorn's notation, such as main:app or package:create_app()).{database.missing(release)} {note}\n"
            f"{last_lines(output)}{read_only(output, release.path / 'code')}"
        )
    with contextlib.suppress(json.JSONDecodeError, IndexError):
        heads = json.loads(output.splitlines()[-1])
        if isinstance(heads, list) and all(isinstance(head, str) for head in heads):
            return heads
    raise release.fail(f"app_module: {module!r} printed unexpected output when it was imported:\n{last_lines(output)}")


class Made(NamedTuple):
    """What is to be said of a build. refused: static files that are not published, and why. note: see install.unread()."""

    refused: list[str]
    note: str


def make(release: Release, plan: Plan) -> Made:
    """Build the release. If it fails, only the record is left.

    Raises ReleaseError.
    """
    try:
        lay_out(release, plan)
        module, note = install(release, plan) if plan.has_application else ("", "")
        if module:
            name_for_flask(release, plan, module)
        refused: list[str] = sandbox.act_as(plan.builder, partial(publish_static, release, plan))
        if not plan.has_application:
            keep_pages(release, refused)
        seal(release, plan.user)
        if current := linked(release.home / "current"):
            for name in (release.tree.name, ".venv", "public"):
                keep_once(release.path / name, release.home / "releases" / current / name)
        schema = schema_of(release, plan, module, note) if plan.has_application else []
        pages = {} if plan.has_application else {"pages": True}
        release.note(state="built", layout=LAYOUT, built=now(), schema=schema, source=plan.source, **pages)
    except (ReleaseError, OSError, RuntimeError) as error:
        with contextlib.suppress(ReleaseError):  # why the build failed is what counts
            remove(release.path)
        release.path.mkdir(parents=True, exist_ok=True)
        reason = str(error)
        if isinstance(error, OSError):
            reason = no_room(release.home) if error.errno in NO_ROOM else f"{type(error).__name__}: {error}"
        release.note(source=plan.source)
        raise release.fail(reason) from None
    return Made(refused, note)
