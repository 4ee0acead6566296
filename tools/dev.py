#!/usr/bin/env python3
"""Serve an application on this machine, and load it again as its files change: dev.py FOLDER MODULE POSTGRESQL.

What it needs is in `.venv` in its folder, where its developer's own tools look too. uv installs that at each start, as on a server:
where nothing changed, that takes no time. POSTGRESQL is empty, or it has a database as on a server.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import dev_postgresql

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / ".collections"))

from ansible_collections.slipway.flask.plugins.module_utils.engine.install import has_lock, own_dependencies
from ansible_collections.slipway.flask.plugins.module_utils.engine.prestart import migration
from ansible_collections.slipway.flask.plugins.plugin_utils.siblings import needs_siblings, text_of

# Flask and all it needs, as a server installs it for a folder that names nothing.
FLASK = Path(__file__).resolve().parents[1] / "roles/app/files/flask.txt"
# The application of a folder that does not say another; a server's default is the same (app_module).
MODULE = "main:app"


def dependencies(folder: Path) -> list[str]:
    """Return uv's arguments that install what the application in a folder needs."""
    # The lock of a workspace counts where it would be part of a release.
    tree = Path(folder.anchor) if needs_siblings(lambda name: text_of(folder / name)) else folder
    try:
        if has_lock(folder, tree):
            return ["sync", "--frozen"]
        return ["pip", "install", "--quiet", *own_dependencies(folder, str(FLASK))]
    except ValueError as error:
        sys.exit(f"APP: the pyproject.toml in {folder} cannot be read: {error}. Fix it.")


def ended(server: subprocess.Popen[bytes]) -> int:
    """Wait for the server to end, and see that it does once this program was asked to; return its exit code.

    What asks usually reaches the server too: a terminal, or whoever ends the whole group. A second signal at that moment could
    have Flask's reloader wait forever, so it gets seconds to end by itself.
    """
    due: list[float] = []
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: due.append(time.monotonic() + 3))
    harder = [server.terminate, server.kill]
    while server.poll() is None:
        if harder and due and time.monotonic() > due[0]:
            harder.pop(0)()
            due[0] += 3
        time.sleep(0.1)  # between two looks
    return server.returncode


def main(folder: Path, module: str, with_postgresql: bool) -> int:
    """Install what it needs, and serve it; return the server's exit code."""
    venv = folder / ".venv"
    environment = {**os.environ, "UV_PROJECT_ENVIRONMENT": str(venv), "VIRTUAL_ENV": str(venv)}
    if not (venv / "bin/python").exists():
        subprocess.run(["uv", "venv", "--quiet", venv], env=environment, check=True)
    subprocess.run(["uv", *dependencies(folder)], cwd=folder, env=environment, check=True)
    flask = venv / "bin/flask"
    if not flask.exists():
        sys.exit(
            f"APP: what {folder} needs does not bring the command `flask`, which serves it here. Add flask to its requirements."
        )
    # Any release of Flask reads these. A key for its sessions is there on a server, too.
    environment |= {"FLASK_APP": module, "FLASK_DEBUG": "1", "SECRET_KEY": os.environ.get("SECRET_KEY", "dev")}
    with contextlib.ExitStack() as until_the_end:
        if with_postgresql:
            address = until_the_end.enter_context(dev_postgresql.running(folder))
            environment["DATABASE_URL"] = address
            print(f"PostgreSQL runs for as long as this does: psql '{address}'", flush=True)
            if (folder / "alembic.ini").is_file() or (folder / "migrations/alembic.ini").is_file():
                argv = migration(folder).split()
                subprocess.run([venv / "bin" / argv[0], *argv[1:]], cwd=folder, env=environment, check=True)
        with subprocess.Popen([flask, "run"], cwd=folder, env=environment) as server:
            return ended(server)


if __name__ == "__main__":
    if not Path(sys.argv[1]).is_dir():
        sys.exit(f"APP: the folder {sys.argv[1]} does not exist. Name your application's: make dev APP=../mysite")
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))  # what was begun is ended
    try:
        sys.exit(main(Path(sys.argv[1]).resolve(), sys.argv[2] or MODULE, bool(sys.argv[3])))
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)  # uv has said why
    except KeyboardInterrupt:
        sys.exit(1)
