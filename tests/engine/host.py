"""A host with one application, in a folder of the test's: what the engine finds on a server, as far as it needs none."""

from __future__ import annotations

import grp
import json
import os
import pwd
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from ansible_collections.slipway.flask.plugins.module_utils.engine import run_folder, sandbox
from ansible_collections.slipway.flask.plugins.module_utils.engine.plan import Plan
from ansible_collections.slipway.flask.plugins.module_utils.engine.record import LAYOUT, Release
from ansible_collections.slipway.flask.plugins.module_utils.engine.traffic import Traffic

from plugin import ROOT

OLD, NEW, OTHER = "0000000000aa", "0000000000bb", "0000000000cc"
# The user who runs the tests: the application belongs to them, unless a test needs other users.
USER, GROUP = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name
# Far above what a busy machine needs: only a failure waits so long.
PATIENCE_SECONDS = 60
# Runs a module's main() with arguments, and returns what the module returned.
RunModule: TypeAlias = Callable[..., dict[str, Any]]
PLAN = Plan(
    home="/srv/site",
    user="site",
    module="main:app",
    server="gunicorn",
    uv=str(ROOT / ".venv/bin/uv"),
    python=sys.executable,
    static_dir="static",
    static_url="/static/",
    static_kinds=["css"],
    static_forbidden_suffixes=["py"],
    sandbox={},
    build_service={},
    shared_dirs=[],
    build=[],
    prestart=[],
    migrate=True,
    source="v1",
)
# What systemd-run makes of its options here: the folder, the variables, and that $$ in a command is a $.
SYSTEMD_RUN = f"""
for option; do
  shift
  case $option in
    --property=WorkingDirectory=*) cd "${{option#*=*=}}" ;;
    --property=EnvironmentFile=*) set -a; . "${{option#*=*=}}"; set +a ;;
    --) break ;;
  esac
done
exec {sys.executable} -ISc '
import os, sys
command = [word.replace("$$", "$") for word in sys.argv[1:]]
os.execvp(command[0], command)' "$@"
"""


class Host:
    """The folders of an application, and programs that stand in for the server's, first in PATH."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.home, self.run = folder, folder / "home", folder / "run"
        self.units, self.tmpfiles, self.system = folder / "units", folder / "tmpfiles", folder / "system"
        self.programs = folder / "programs"
        for path in (self.home / "releases", self.home / "next/bin", self.run / "instances", self.system / "systemd"):
            path.mkdir(parents=True)
        for path in (self.units, self.tmpfiles, self.programs):
            path.mkdir()
        monkeypatch.setattr(run_folder, "UNITS", self.units)
        monkeypatch.setattr(run_folder, "TMPFILES", self.tmpfiles)
        monkeypatch.setattr(sandbox, "RUN", self.system)
        monkeypatch.setenv("PATH", f"{self.programs}:{Path(sys.executable).parent}:{os.environ['PATH']}")
        self.program("systemctl")
        self.program("systemd-tmpfiles")
        self.program("systemd-run", SYSTEMD_RUN)

    def program(self, name: str, script: str = "") -> None:
        """Put a program of the test's in the place of one of the server's; what it is told is noted."""
        path = self.programs / name
        note = f'{{ printf "%s\\0" "$*" >> {path}.told; }} 2> /dev/null'  # not where it runs as another user
        path.write_text(f"#!/bin/sh\n{note}\n{script}\n")
        path.chmod(0o755)

    def told(self, name: str) -> list[str]:
        """Return what a program was told, each time."""
        path = self.programs / f"{name}.told"
        return path.read_text().split("\0")[:-1] if path.exists() else []

    def release(self, release_id: str, instance: str = "", **record: object) -> Release:
        """Make a release that was built, with a bin/instance that notes each verb; instance: what it does, by $1."""
        release = Release(self.home, release_id)
        (release.path / "bin").mkdir(parents=True)
        (release.path / "code").mkdir()
        program = release.path / "bin/instance"
        program.write_text(f'#!/bin/sh\necho "$*" >> "$0.asked"\n{instance}\n')
        program.chmod(0o755)
        release.note(**{"state": "built", "layout": LAYOUT, **record})
        return release

    def traffic(self, name: str = "site") -> Traffic:
        """Return the application's traffic."""
        return Traffic(str(self.home), str(self.run), name, USER, GROUP)

    def instances(self) -> dict[str, str]:
        """Return a module's arguments that say where the application is."""
        return {"home": str(self.home), "run": str(self.run), "name": "site", "user": USER, "socket_group": GROUP}

    def logged(self) -> list[dict[str, Any]]:
        """Return the log of deploys."""
        path = self.home / "release.log"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def asked(release: Release) -> list[str]:
    """Return the verbs that a release's bin/instance was asked, with what follows them."""
    path = release.path / "bin/instance.asked"
    return path.read_text().splitlines() if path.exists() else []
