"""One release: where it is, what is known about it, and how its programs are run.

<home>/next/            what the next release is made of
<home>/releases/<id>/   code, .venv, bin/, env, public/, release.json; of a site without an application, public/ and release.json;
                        where the application needs what is next to its folder: code -> tree/<folder>
<home>/current, previous -> releases/<id>
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

from ansible_collections.slipway.flask.plugins.module_utils.engine.errors import ReleaseError, last_lines
from ansible_collections.slipway.flask.plugins.module_utils.engine.files import linked, replace

# gunicorn's own traceback can take the last 60 lines, below the application's, in each of its workers.
LOG_LINES = 100
# In each record: raised where releases that were built before cannot be started any more.
LAYOUT = 2


class Release:
    """One release of an application.

    home: the application's folder, absolute. id: the release's id, 12 hexadecimal digits.
    """

    def __init__(self, home: str | Path, release_id: str) -> None:
        self.home = Path(home)
        self.id = release_id
        self.path = self.home / "releases" / release_id

    @property
    def tree(self) -> Path:
        """What was unpacked of the source: the application's folder, or more, which it is in."""
        whole = self.path / "tree"
        return whole if whole.exists() else self.path / "code"

    @property
    def record(self) -> dict[str, Any]:
        """What is known about the release; {} if nothing.

        state: built or failed, with reason. source, schema (Alembic heads). Times in seconds since 1970: built,
        pages: it has no application. prestarted, activated (the last time it was given the traffic). running: its programs were started here.
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
        """Whether this version of Slipway can start it: earlier ones had the sockets elsewhere."""
        return self.record.get("layout") == LAYOUT

    @property
    def is_pages(self) -> bool:
        """Whether it is of a site without an application: nothing of it runs, and the edge sends its files."""
        return bool(self.record.get("pages"))

    @property
    def speaks_uwsgi(self) -> bool:
        """Whether its instances serve the uwsgi protocol too, on a second socket: then bin/serve names it (docs/contracts)."""
        serve = self.path / "bin/serve"
        return serve.is_file() and ".uwsgi" in serve.read_text()

    def note(self, **facts: object) -> None:
        """Add facts to the record; a reader, and a crash, sees the old record or the new one."""
        replace(self.path / "release.json", json.dumps({**self.record, **facts, "id": self.id}, indent=1) + "\n")

    def fail(self, reason: str) -> ReleaseError:
        """Mark the release failed and return the error to raise: a failed release is never activated.

        The release that has the traffic did not fail when it got it, and stays as it is.
        """
        if not self.active:
            self.note(state="failed", reason=reason.splitlines()[0], failed=now())
        return ReleaseError(reason)

    def by_hand(self, user: str) -> str:
        """Return how a person runs a command in it, also before it had the traffic. user: the application's."""
        return f"To try a command in it, on the server: sudo -u {user} {self.path}/bin/run COMMAND"

    def instance(self, verb: str) -> subprocess.CompletedProcess[str]:
        """Tell the process manager what to do with the release's programs (bin/instance says which verbs there are)."""
        program = [str(self.path / "bin/instance"), *verb.split()]
        since = {"LOG_SINCE": f"@{self.record.get('started', 0)}"}  # for `log`: not what an earlier start left
        return subprocess.run(
            program, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, env={**os.environ, **since}
        )

    @property
    def log(self) -> str:
        """The end of what its programs have logged since the last start."""
        return last_lines(self.instance("log").stdout, LOG_LINES)


def complaint(failed: subprocess.CompletedProcess[str]) -> str:
    """Return what a program that failed has said; never empty, as that would read as no failure."""
    return failed.stderr.strip() or failed.stdout.strip() or f"it ended with code {failed.returncode} and said nothing"


def now() -> int:
    """Return the time, in whole seconds since 1970."""
    return round(time.time())
