"""What the release modules share: where a release lies, what is known of it, and how its programs are run.

<home>/next/            what the next release is made of
<home>/releases/<id>/   code, .venv, bin/, env, public/, release.json
<home>/current, previous -> releases/<id>
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

# Of gunicorn alone the end can be 60 lines of its own traceback, below the application's in each of its workers.
LOG_LINES = 100
# In each record: raised where releases that were built before can not be started any more.
LAYOUT = 2


class ReleaseError(Exception):
    """A step of a release failed; the message is for the person who deploys."""


class Release:
    """One release of an application.

    home: the application's folder, absolute. id: the release's id, 12 hexadecimal digits.
    """

    def __init__(self, home: str | Path, release_id: str) -> None:
        self.home = Path(home)
        self.id = release_id
        self.path = self.home / "releases" / release_id

    @property
    def record(self) -> dict[str, Any]:
        """What is known of the release; {} if nothing.

        state: built or failed, with reason. source, schema (Alembic heads). Times in seconds since 1970: built,
        prestarted, activated (the last time it was given the traffic). running: its programs were started here.
        """
        try:
            return json.loads((self.path / "release.json").read_text())
        except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError):
            return {}

    @property
    def active(self) -> bool:
        """Whether it has the traffic."""
        return linked(self.home / "current") == self.id

    @property
    def good(self) -> bool:
        """Whether it had the traffic once, and did not fail since."""
        return self.record.get("state") == "built" and "activated" in self.record and self.startable

    @property
    def startable(self) -> bool:
        """Whether this version of the kit can start it: earlier ones had the sockets elsewhere."""
        return self.record.get("layout") == LAYOUT

    def note(self, **facts: object) -> None:
        """Add facts to the record; a reader, and a crash, sees the old record or the new one."""
        replace(self.path / "release.json", json.dumps({**self.record, **facts, "id": self.id}, indent=1) + "\n")

    def fail(self, reason: str) -> ReleaseError:
        """Mark the release failed and return the error to raise: a failed release is never activated.

        The one that has the traffic did not fail when it was given it, and stays as it is.
        """
        if not self.active:
            self.note(state="failed", reason=reason.splitlines()[0], failed=now())
        return ReleaseError(reason)

    def instance(self, verb: str) -> subprocess.CompletedProcess[str]:
        """Tell the process manager what to do with the release's programs (bin/instance says which verbs there are)."""
        program = [str(self.path / "bin/instance"), verb]
        return subprocess.run(program, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)

    @property
    def log(self) -> str:
        """The end of what its programs logged."""
        return last_lines(self.instance("log").stdout, LOG_LINES)


def releases(home: str | Path) -> list[Release]:
    """Return the releases on this host, the latest touched first."""
    paths = sorted((Path(home) / "releases").iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    return [Release(home, path.name) for path in paths]


def last_good(home: str | Path) -> str:
    """Return the id of the release to go back to: the previous one, else the last that was good; empty where none is."""
    active, previous = linked(Path(home) / "current"), linked(Path(home) / "previous")
    if previous and previous != active and Release(home, previous).good:
        return previous
    good = [release for release in releases(home) if release.good and release.id != active]
    return max(good, key=lambda release: release.record["activated"]).id if good else ""


def now() -> int:
    """Return the time, in whole seconds since 1970."""
    return round(time.time())


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


def last_lines(text: str, count: int = 40) -> str:
    """Return the end of a long output, where the reason stands, with what a terminal would obey spelled out."""
    end = "\n".join(text.strip().splitlines()[-count:])
    return "".join(one if one.isprintable() or one in "\n\t" else one.encode("unicode_escape").decode() for one in end)
