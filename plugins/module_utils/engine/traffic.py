"""Which instance has the traffic of an application on this host, and which others still run.

/run/<app>/app.sock -> instances/<id>.sock    root's; what the edge connects to
/run/<app>/app.uwsgi -> instances/<id>.uwsgi  root's; the same in the uwsgi protocol, where the instance speaks it
/run/<app>/instances/<id>.sock, .uwsgi        the application's; one for each instance
/run/<app>/switch   -> switches/<id>-<time>   root's; another after each switch, a part of what an edge's cache calls a page
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from pathlib import Path

from ansible_collections.slipway.flask.plugins.module_utils.engine.application import releases
from ansible_collections.slipway.flask.plugins.module_utils.engine.files import link, linked
from ansible_collections.slipway.flask.plugins.module_utils.engine.record import Release
from ansible_collections.slipway.flask.plugins.module_utils.engine.run_folder import RunFolder

POLL_SECONDS = 0.05
# For a request that has not ended with the drain: a stream or a WebSocket never would, and the others go on for their visitors.
LAST_SECONDS = 5


def connections(path: Path) -> int:
    """Count the connections that clients have to a listening unix socket.

    Source: proc_net(5), /proc/net/unix: state 03 is connected, 02 waits to be accepted; both have the listener's path as
    it was given to bind(2); a path through /proc/<process>/root is the same.
    """
    lines = Path("/proc/net/unix").read_text().splitlines()[1:]
    rows = [line.split(maxsplit=7) for line in lines]
    # Matched as a whole: a neighbour could make a path that contains this one.
    this = re.compile(rf"(/proc/[0-9]+/root)?{re.escape(str(path))}")
    return sum(1 for row in rows if len(row) == 8 and row[5] in ("02", "03") and this.fullmatch(row[7]))


class Traffic:
    """The traffic of one application on this host.

    home: the application's folder. run: folder of the sockets; created again at each boot. name: the application's name.
    user: the application's user. group: the edge's group, which may connect.
    """

    def __init__(self, home: str, run: str, name: str, user: str, group: str) -> None:
        self.home, self.run = Path(home), Path(run)
        self.name, self.user, self.group = name, user, group
        self.folder = RunFolder(self.home, self.run, name, user, group)

    def socket(self, release_id: str) -> Path:
        """Return the socket of an instance; one that an earlier version of Slipway started has it one folder higher."""
        before = self.run / f"{release_id}.sock"
        return before if before.is_socket() else self.run / "instances" / before.name

    def sockets(self, release_id: str) -> list[Path]:
        """Return all sockets that clients of an instance may be connected to: HTTP, uwsgi."""
        return [self.socket(release_id), self.socket(release_id).with_suffix(".uwsgi")]

    @property
    def answering(self) -> str:
        """The id of the release whose instance the edge connects to; empty where there is none."""
        return linked(self.run / "app.sock").removesuffix(".sock")

    @property
    def active(self) -> str:
        """The id of the release that has the traffic; empty where none has, or a switch was cut off in the middle."""
        current, mark = linked(self.home / "current"), linked(self.run / "switch")
        if self.answering == "" and Release(self.home, current).is_pages:
            return current
        # Where no release was activated since there are marks, there is none.
        complete = self.answering == current and mark.partition("-")[0] in ("", current)
        return current if complete else ""

    def others(self, *wanted: str) -> list[Release]:
        """Return the releases that run here but should not."""
        # Only of existing releases: the application can put anything next to its socket.
        known = [release for release in releases(self.home) if release.id not in wanted]
        return [one for one in known if one.record.get("running") or self.socket(one.id).is_socket()]

    def make_run_folder(self, active: str) -> None:
        """Make the sockets' folder now and at each boot, with the links to the active instance (tmpfiles.d(5))."""
        self.folder.mount()
        to = self.socket(active).relative_to(self.run)
        # Before there was a folder for the instances, this one belonged to the application; instances from that time start in it.
        lines = [
            f"d {self.run} 0755 root root -" if to.parent.name else f"d {self.run} 0750 {self.user} {self.group} -"
        ]
        if active:
            lines.append(f"L+ {self.run}/app.sock - - - - {to}")
            if Release(self.home, active).speaks_uwsgi:
                lines.append(f"L+ {self.run}/app.uwsgi - - - - {to.with_suffix('.uwsgi')}")
        if switch := linked(self.run / "switch"):
            lines += [f"d {self.run}/switches/{switch} 0755 root root -"]
            lines += [f"L+ {self.run}/switch - - - - switches/{switch}"]
        self.folder.create(lines)

    def give(self, release: Release) -> str:
        """Move the traffic to a release's instance; return the id of the release that had it."""
        old = linked(self.home / "current")
        if old and old != release.id:
            link(f"releases/{old}", self.home / "previous")
        # First the static files, then the pages that name them.
        link(f"releases/{release.id}", self.home / "current")
        if release.is_pages:
            return old if old != release.id else ""
        # What is cut off between the two is not complete, and both instances stay.
        if release.speaks_uwsgi:
            link(f"instances/{release.id}.uwsgi", self.run / "app.uwsgi")
        link(f"instances/{release.id}.sock", self.run / "app.sock")
        self.note_switch(release.id)
        self.make_run_folder(release.id)
        # Only now: a link that is missing, and that the folder is made of, was removed by hand.
        if not release.speaks_uwsgi:
            (self.run / "app.uwsgi").unlink(missing_ok=True)
        return old if old != release.id else ""

    def note_switch(self, release_id: str) -> None:
        """Point `switch` elsewhere, after the socket: who looks there first and then connects gets no older instance.

        It leads to a folder, as the edge wants its real path. The one before stays for those who are looking just now.
        """
        former, mark = linked(self.run / "switch"), f"{release_id}-{time.time_ns()}"
        marks = self.run / "switches"
        # Before there was a folder for the instances, this one was the application's, which may have put a link here.
        os.chown(self.run, 0, 0)
        if marks.is_symlink():
            marks.unlink()
        (marks / mark).mkdir(parents=True)
        for folder in (marks, marks / mark):
            folder.chmod(0o755)  # whatever root's umask is, the edge has to find its way
        link(f"switches/{mark}", self.run / "switch")
        for folder in marks.iterdir():
            if folder.name not in (former, mark):
                folder.rmdir()

    def is_connected(self, release: Release) -> bool:
        """Whether a client has a connection to a release's instance, be it a request, a stream or a WebSocket."""
        return any(map(connections, self.sockets(release.id)))

    def retire(self, gone: list[Release], drain_timeout: float) -> float:
        """Wait until no client is connected to instances without traffic, and stop them; return the seconds waited.

        Whoever is connected still after drain_timeout seconds is cut LAST_SECONDS later, and not after the app server's
        graceful timeout on top.
        """
        begin = time.monotonic()
        for old in gone:
            while self.is_connected(old) and time.monotonic() - begin < drain_timeout:
                time.sleep(POLL_SECONDS)
        waited = time.monotonic() - begin
        for old in gone:
            self.stop(old, str(LAST_SECONDS) if self.is_connected(old) else "")
        return waited

    def stop(self, release: Release, seconds: str = "") -> None:
        """Stop a release's programs, and start them at no boot.

        seconds: how long requests may go on, where it is not the app server's graceful timeout.
        """
        if (release.path / "bin/instance").exists():
            release.instance(f"stop {seconds}".rstrip())
            release.note(running=False)
        for socket in self.sockets(release.id):
            with contextlib.suppress(OSError):  # the application may have put something else in its place
                socket.unlink()  # one that was killed leaves it behind
