"""Links and small files that change in one step, and folders that go as a whole."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from ansible_collections.slipway.flask.plugins.module_utils.engine.errors import ReleaseError, last_lines


def linked(link: Path) -> str:
    """Return the last part of where a symlink leads; empty where there is none."""
    try:
        return link.readlink().name
    except FileNotFoundError:
        return ""


def link(target: str, path: Path) -> None:
    """Point a symlink elsewhere in one step: rename(2) replaces it, no moment without it."""
    fresh = path.with_name(f".{path.name}.next")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.rename(path)


def replace(path: Path, text: str, mode: int = 0o644, group: str | None = None) -> None:
    """Write a small file in one step."""
    fresh = path.with_name(f".{path.name}.next")
    fresh.write_text(text)
    if group:
        shutil.chown(fresh, group=group)
    fresh.chmod(mode)
    fresh.rename(path)


def remove(path: Path) -> None:
    """Remove a folder with all in it, however deep: Python's own way ends at about a thousand folders. Raises ReleaseError."""
    done = subprocess.run(["rm", "--recursive", "--force", path], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ReleaseError(f"{path} cannot be removed: {last_lines(done.stderr)}")
