"""The folder of an application's sockets, /run/<app>, and what makes it again: at each boot, and where somebody removed it."""

from __future__ import annotations

import grp
import os
import pwd
import subprocess
from pathlib import Path

from ansible_collections.slipway.flask.plugins.module_utils.engine.files import replace

# Where systemd-tmpfiles and systemd look.
TMPFILES = Path("/etc/tmpfiles.d")
UNITS = Path("/etc/systemd/system")


class RunFolder:
    """The folder of one application's sockets on this host.

    home: the application's folder. run: the folder of its sockets. name: its name. user: its user. group: the edge's, which may
    connect.
    """

    def __init__(self, home: Path, run: Path, name: str, user: str, group: str) -> None:
        self.home, self.run, self.name, self.user, self.group = home, run, name, user, group
        # What the folder is made of (tmpfiles.d(5)).
        self.tmpfiles = TMPFILES / f"slipway-{name}.conf"
        # Mounts the instances' folder; named as systemd.mount(5) wants it.
        self.mount_unit = UNITS / f"{str(run).strip('/').replace('/', '-')}-instances.mount"
        # Watches the folder, and starts what makes it again.
        self.watch = UNITS / f"slipway-{name}-sockets.path"
        self.repair = self.watch.with_suffix(".service")

    def create(self, lines: list[str]) -> None:
        """Make the folder of these lines of tmpfiles.d(5), now and at each boot."""
        replace(self.tmpfiles, "# Made by Slipway (release_activate) at each activation.\n" + "\n".join(lines) + "\n")
        subprocess.run(["systemd-tmpfiles", "--create", self.tmpfiles], check=True, capture_output=True)

    def mount(self) -> None:
        """Mount a file system for the instances' sockets, and watch over their folder; now and at each boot.

        It is small: a full /run stops systemd, and with it every other site. On it no symlink is followed: one in a
        socket's place would lead the edge into a neighbour's.
        """
        wanted = self.units()
        written = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
        for path in written:
            replace(path, wanted[path])
        # A run that was cut off may have written them only.
        watched = (self.watch.parent / "paths.target.wants" / self.watch.name).is_symlink()
        if written or not watched or not os.path.ismount(self.run / "instances"):
            subprocess.run(["systemctl", "daemon-reload"], check=True, capture_output=True)
            units = [self.mount_unit.name, self.watch.name]
            subprocess.run(["systemctl", "enable", "--quiet", "--now", *units], check=True, capture_output=True)

    def units(self) -> dict[Path, str]:
        """Return what the units have to be.

        A removal changes the folder, and so does a switch, which replaces the link in one step. The watch sees nothing that
        the application does: the folder of its instances is not this one.
        """
        uid, gid = pwd.getpwnam(self.user).pw_uid, grp.getgrnam(self.group).gr_gid
        options = f"size=4m,nr_inodes=1k,mode=0750,uid={uid},gid={gid},nosuid,nodev,noexec,nosymfollow"
        made = "# Made by Slipway (release_start).\n"
        # Whether all links to the active instance are there; also where no release has the traffic.
        links = f'grep -s ^L {self.tmpfiles} | cut -d" " -f2 | xargs --no-run-if-empty ls -d > /dev/null'
        return {
            self.mount_unit: f"""{made}\
[Mount]
What=tmpfs
Where={self.run}/instances
Type=tmpfs
Options={options}

[Install]
WantedBy=local-fs.target
""",
            self.watch: f"""{made}\
[Unit]
Description={self.name}: whether the folder of its sockets is whole

[Path]
PathChanged={self.run}

[Install]
WantedBy=paths.target
""",
            self.repair: f"""{made}\
[Unit]
Description={self.name}: the folder of its sockets, made again where it was removed
StartLimitIntervalSec=0
# Ended in the middle by the application's removal, it has failed: systemd forgets it all the same.
CollectMode=inactive-or-failed

[Service]
Type=oneshot
# Whoever removes the folder may not have finished.
ExecCondition=/bin/sleep 1
# Go on only where a link is missing. After a deploy, none is.
ExecCondition=/bin/sh -c '! {links}'
ExecStart=/usr/bin/systemctl start {self.mount_unit.name}
ExecStart=/usr/bin/systemd-tmpfiles --create {self.tmpfiles}
ExecStart={self.home}/current/bin/instance restart
# The watch saw nothing meanwhile: look once more. A link that is missing starts this again.
ExecStart=/bin/sh -c '{links}'
Restart=on-failure
""",
        }

    def remove(self) -> None:
        """Remove what makes the folder again, and unmount that of the instances."""
        self.tmpfiles.unlink(missing_ok=True)
        there = [path for path in (self.watch, self.repair, self.mount_unit) if path.exists()]
        if there:
            names = [path.name for path in there]
            subprocess.run(["systemctl", "disable", "--quiet", "--now", *names], check=False, capture_output=True)
            for path in there:
                path.unlink()
            subprocess.run(["systemctl", "daemon-reload"], check=False, capture_output=True)
