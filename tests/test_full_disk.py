"""What the roles install on a disk that is full: its file system is named, and nothing else is blamed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

from plugin import ROOT

# A file system that has room for next to nothing, which the command that follows alone sees: anyone may make one so.
FULL = ["unshare", "--map-root-user", "--mount", "sh", "-euc", 'mount -t tmpfs -o size=1M tmpfs "$0"; exec "$@"']
CERTBOT = (ROOT / "roles/certificates/files/prepare.sh").read_text()


def install_uv(home: Path) -> list[str]:
    """Return the command that installs uv there."""
    tasks = yaml.safe_load((ROOT / "roles/app/tasks/main.yml").read_text())
    (task,) = (task for task in tasks if task["name"].startswith("Install uv"))
    known = {"_app_uv_home": f"{home}/uv", "app_uv_version": "0.0.1", "app_uv_hashes": ""}
    words = task["ansible.builtin.command"]["argv"]
    return [str(Templar(loader=DataLoader(), variables=known).template(trust_as_template(word))) for word in words]


def install_certbot(home: Path) -> list[str]:
    """Return the command that installs certbot there."""
    return ["sh", "-euc", CERTBOT.replace("/opt/slipway", str(home)), "sh", "digest", "/nowhere", "site"]


def failing(command: list[str], programs: Path) -> str:
    """Install something with a Python that cannot make a virtualenv; return what is said."""
    programs.mkdir()
    python = programs / "python3"
    python.write_text('#!/bin/sh\n[ "$1" = -c ] && exec echo 3.13\nfor last; do :; done\nmkdir -p "$last"\nexit 1\n')
    python.chmod(0o755)
    environment = {"PATH": f"{programs}:{os.environ['PATH']}", "SLIPWAY_CHECK_MODE": ""}
    done = subprocess.run(command, input="", env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    return done.stderr


@pytest.mark.parametrize("command", [install_uv, install_certbot])
def test_a_full_disk_is_named_where_something_is_installed(
    tmp_path: Path, command: Callable[[Path], list[str]]
) -> None:
    full = tmp_path / "full"
    full.mkdir()
    said = failing([*FULL, str(full), *command(full)], tmp_path / "programs")
    assert said.startswith(f"{full}: this file system of the server is full, so ")
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    ("command", "words"),
    [(install_uv, "app_uv_hashes: uv 0.0.1 could"), (install_certbot, "certificates: certbot could")],
)
def test_where_it_has_room_something_else_is_named(
    tmp_path: Path, command: Callable[[Path], list[str]], words: str
) -> None:
    assert failing(command(tmp_path), tmp_path / "programs").startswith(words)
