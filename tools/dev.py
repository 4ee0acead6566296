#!/usr/bin/env python3
"""Serve an application on this machine, and load it again as its files change: dev.py FOLDER MODULE.

What it needs is in `.venv` in its folder, where its developer's own tools look too. uv installs that at each start: where nothing
changed, that takes no time.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

# The application of a folder that does not say another; a server's default is the same (app_module).
MODULE = "main:app"


def dependencies(folder: Path) -> list[str]:
    """Return uv's arguments that install what the application in a folder needs."""
    if (folder / "uv.lock").is_file():
        return ["sync", "--frozen"]
    install = ["pip", "install", "--quiet"]
    pyproject = folder / "pyproject.toml"
    if pyproject.is_file() and "project" in (project := tomllib.loads(pyproject.read_text())):
        return [*install, *(["--editable", "."] if "build-system" in project else ["--requirement", "pyproject.toml"])]
    if (folder / "requirements.txt").is_file():
        return [*install, "--requirement", "requirements.txt"]
    return [*install, *(["--editable", "."] if (folder / "setup.py").is_file() else ["flask"])]


def main(folder: Path, module: str) -> None:
    """Install what it needs, and become the server."""
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
    settings = {"FLASK_APP": module, "FLASK_DEBUG": "1", "SECRET_KEY": os.environ.get("SECRET_KEY", "dev")}
    os.chdir(folder)
    os.execve(flask, [str(flask), "run"], {**environment, **settings})  # noqa: S606 -- it is the application's own


if __name__ == "__main__":
    if not Path(sys.argv[1]).is_dir():
        sys.exit(f"APP: the folder {sys.argv[1]} does not exist. Name your application's: make dev APP=../mysite")
    try:
        main(Path(sys.argv[1]).resolve(), sys.argv[2] or MODULE)
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)  # uv has said why
