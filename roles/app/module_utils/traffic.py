"""Which instance has the traffic of an application on this host, and which others still run."""

from __future__ import annotations

import http.client
import socket
import subprocess
import time
from pathlib import Path

from ansible.module_utils.release import Release, link, linked, releases, replace

POLL_SECONDS = 0.05


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self) -> None:
        """Connect to the socket instead of a port."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


def ask(path: Path, url: str, host: str, timeout: float) -> str:
    """GET a URL over a socket; return what is wrong with the answer, empty where all is well."""
    connection = UnixConnection(path, timeout)
    try:
        connection.request("GET", url, headers={"Host": host, "User-Agent": "slipway-health"})
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return f"no answer ({error or type(error).__name__})"
    finally:
        connection.close()
    return f"answered {status}" if status >= 500 else ""


def connections(path: Path) -> int:
    """Count the connections that clients have to a listening unix socket.

    Source: proc_net(5), /proc/net/unix: state 03 is connected, 02 waits to be accepted; both bear the listener's path as
    it was given to bind(2): one that leads over /proc/<process>/root is the same.
    """
    lines = Path("/proc/net/unix").read_text().splitlines()[1:]
    rows = [line.split(maxsplit=7) for line in lines]
    return sum(1 for row in rows if len(row) == 8 and row[5] in ("02", "03") and row[7].endswith(str(path)))


class Traffic:
    """The traffic of one application on this host.

    home: the application's folder. run: folder of the sockets; made anew at each boot. name: the application's name.
    user: the application's user. group: the edge's group, which may connect.
    """

    def __init__(self, home: str, run: str, name: str, user: str, group: str) -> None:
        self.home, self.run = Path(home), Path(run)
        self.name, self.user, self.group = name, user, group

    def socket(self, release_id: str) -> Path:
        """Return the socket of an instance."""
        return self.run / f"{release_id}.sock"

    @property
    def answering(self) -> str:
        """The id of the release whose instance the edge connects to; empty where there is none."""
        return linked(self.run / "app.sock").removesuffix(".sock")

    @property
    def active(self) -> str:
        """The id of the release that has the traffic; empty where none has, or a switch was cut off in the middle."""
        current = linked(self.home / "current")
        return current if self.answering == current else ""

    def others(self, *wanted: str) -> list[Release]:
        """Return the releases that run here beside those that should."""
        sockets = {path.stem for path in self.run.glob("*.sock") if not path.is_symlink()}
        noted = {release.id for release in releases(self.home) if release.record.get("running")}
        return [Release(self.home, name) for name in sorted((sockets | noted) - set(wanted))]

    def make_run_folder(self, active: str) -> None:
        """Make the sockets' folder now and at each boot, with app.sock leading to the active instance (tmpfiles.d(5))."""
        lines = [f"d {self.run} 0750 {self.user} {self.group} -"]
        if active:
            lines.append(f"L+ {self.run}/app.sock - - - - {active}.sock")
        path = Path("/etc/tmpfiles.d") / f"slipway-{self.name}.conf"
        replace(path, "# Made by Slipway (release_activate) at each activation.\n" + "\n".join(lines) + "\n")
        subprocess.run(["systemd-tmpfiles", "--create", path], check=True, capture_output=True)

    def give(self, release: Release) -> str:
        """Move the traffic to a release's instance; return the id of the release that had it."""
        old = linked(self.home / "current")
        if old and old != release.id:
            link(f"releases/{old}", self.home / "previous")
        # First the static files, then the pages that name them.
        link(f"releases/{release.id}", self.home / "current")
        link(self.socket(release.id).name, self.run / "app.sock")
        self.make_run_folder(release.id)
        return old if old != release.id else ""

    def retire(self, gone: list[Release], drain_timeout: float) -> float:
        """Wait until nobody talks to instances without traffic, and stop them; return the seconds waited."""
        begin = time.monotonic()
        for old in gone:
            while connections(self.socket(old.id)) and time.monotonic() - begin < drain_timeout:
                time.sleep(POLL_SECONDS)
        waited = time.monotonic() - begin
        for old in gone:
            self.stop(old)
        return waited

    def stop(self, release: Release) -> None:
        """Stop a release's programs, and start them at no boot."""
        if (release.path / "bin/instance").exists():
            release.instance("stop")
            release.note(running=False)
        self.socket(release.id).unlink(missing_ok=True)  # one that was killed leaves it behind
