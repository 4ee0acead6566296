"""What a source's own uwsgi.ini says: uWSGI serves what it names."""

from __future__ import annotations

import re
from pathlib import Path

from ansible_collections.slipway.flask.plugins.module_utils.engine.plan import Plan

# The source's folder, as a uwsgi.ini may begin a path: where it is itself (%d), or where a container template has it.
HERE = re.compile(r"%d|\.(?=/|$)|/app(?=/|$)")


def options(text: str) -> dict[str, str]:
    """Return the options of an uwsgi.ini's section [uwsgi], read as uWSGI does: lines by themselves, however indented."""
    found: dict[str, str] = {}
    section = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1]
        elif section == "uwsgi" and line and line[0] not in ";#":
            name, _, value = line.partition("=")
            found[name.strip()] = value.strip()
    return found


def own_options(code: Path, plan: Plan) -> dict[str, str]:
    """Return the options of the source's own uwsgi.ini, where uWSGI serves it."""
    ini = code / "uwsgi.ini"
    return options(ini.read_text()) if plan.server == "uwsgi" and ini.is_file() else {}


def leaves_source(code: Path, plan: Plan) -> str:
    """Return what is wrong with the folder that its uwsgi.ini changes to; empty where that is the source's."""
    place = own_options(code, plan).get("chdir", "")
    here = HERE.match(place)
    said = f"app_source: its uwsgi.ini has chdir = {place}, which is not followed. "
    if place.startswith("/") and not here:
        return f"{said}Name the module from the source's folder (module = main), and take chdir out."
    folder = place[here.end() if here else 0 :].strip("/")
    if not folder:
        return ""
    return (
        f"{said}Set app_source_path to that folder of the source ({folder}), and move uwsgi.ini there; or name the module from the source's "
        f"folder (module = {folder.replace('/', '.')}.main), and take chdir out."
    )


def module_of(code: Path, plan: Plan) -> str:
    """Return the application to serve in gunicorn's notation: what its own uwsgi.ini names, where uWSGI serves it.

    bin/uwsgi.serve.py finds it in the release's record. In a container template the application's folder is /app.
    """
    own = own_options(code, plan)
    file = (own.get("wsgi-file") or own.get("file") or "").removeprefix("/app/").removesuffix(".py")
    file = file.replace("/", ".").strip(".")
    name = own.get("module") or own.get("wsgi") or own.get("w") or file
    return f"{name}:{own.get('callable') or 'application'}" if name and ":" not in name else name or plan.module
