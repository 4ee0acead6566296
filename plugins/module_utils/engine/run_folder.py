"""The folder of an application's sockets, /run/<app>, and what makes it again at each boot."""

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

    run: the folder. name: the application's name. user: the application's user. group: the edge's group, which may connect.
    """

    def __init__(self, run: Path, name: str, user: str, group: str) -> None:
        self.run, self.user, self.group = run, user, group
        # What the folder is made of (tmpfiles.d(5)).
        self.tmpfiles = TMPFILES / f"slipway-{name}.conf"
        # The unit that mounts the instances' folder, named as systemd.mount(5) wants it.
        self.mount_unit = UNITS / f"{str(run).strip('/').replace('/', '-')}-instances.mount"

    def create(self, lines: list[str]) -> None:
        """Make the folder of these lines of tmpfiles.d(5), now and at each boot."""
        replace(self.tmpfiles, "# Made by Slipway (release_activate) at each activation.\n" + "\n".join(lines) + "\n")
        subprocess.run(["systemd-tmpfiles", "--create", self.tmpfiles], check=True, capture_output=True)

    def mount(self) -> None:
        """Mount a file system for the instances' sockets and whatever is put next to them, now and at each boot.

        It is small: a full /run stops systemd, and with it every other site. On it no symlink is followed: one in a
        socket's place would lead the edge into a neighbour's.
        """
        uid, gid = pwd.getpwnam(self.user).pw_uid, grp.getgrnam(self.group).gr_gid
        options = f"size=4m,nr_inodes=1k,mode=0750,uid={uid},gid={gid},nosuid,nodev,noexec,nosymfollow"
        unit = f"""\
# Made by Slipway (release_start).
[Mount]
What=tmpfs
Where={self.run}/instances
Type=tmpfs
Options={options}

[Install]
WantedBy=local-fs.target
"""
        if not self.mount_unit.exists() or self.mount_unit.read_text() != unit:
            replace(self.mount_unit, unit)
            subprocess.run(["systemctl", "daemon-reload"], check=True, capture_output=True)
        if not os.path.ismount(self.run / "instances"):
            subprocess.run(
                ["systemctl", "enable", "--quiet", "--now", self.mount_unit.name], check=True, capture_output=True
            )

    def remove(self) -> None:
        """Remove what makes the folder again, and unmount that of the instances."""
        self.tmpfiles.unlink(missing_ok=True)
        if self.mount_unit.exists():
            subprocess.run(
                ["systemctl", "disable", "--quiet", "--now", self.mount_unit.name], check=False, capture_output=True
            )
            self.mount_unit.unlink()
            subprocess.run(["systemctl", "daemon-reload"], check=False, capture_output=True)
