"""What the release modules share: where a release lies, what is known of it, and how its programs are run.

<home>/next/            what the next release is made of
<home>/releases/<id>/   code, .venv, bin/, env, public/, release.json
<home>/current, previous -> releases/<id>
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

# Of gunicorn alone the end can be 60 lines of its own traceback, below the application's in each of its workers.
LOG_LINES = 100


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
        return self.record.get("state") == "built" and "activated" in self.record

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


def run_as(user: str, argv: list[str], cwd: Path, environment: dict[str, str], seconds: float) -> tuple[int, str]:
    """Run a command with a user's own rights and groups; return its exit code and output (both streams).

    A command that takes longer than `seconds` ends with code 124, as timeout(1) has it.
    """
    account = pwd.getpwnam(user)
    with subprocess.Popen(
        argv,
        cwd=cwd,
        env=environment,
        user=account.pw_uid,
        group=account.pw_gid,
        extra_groups=os.getgrouplist(user, account.pw_gid),
        umask=0o027,
        start_new_session=True,  # so that what it starts can be ended with it
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        try:
            output, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            try:
                output, _ = process.communicate(timeout=5)
            except subprocess.TimeoutExpired as left:  # what it started in a session of its own holds the pipe
                output = left.output or b""
            return 124, f"{output.decode(errors='replace')}\nstopped after {seconds:.0f} seconds"
    return process.returncode, output.decode(errors="replace")


def last_lines(text: str, count: int = 40) -> str:
    """Return the end of a long output, where the reason stands, with what a terminal would obey spelled out."""
    end = "\n".join(text.strip().splitlines()[-count:])
    return "".join(one if one.isprintable() or one in "\n\t" else one.encode("unicode_escape").decode() for one in end)
