"""The recipe of a bare server's image: Debian as a hosting company would hand it over."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os


@dataclasses.dataclass(frozen=True)
class Debian:
    """A Debian release: the packages that a new server has, and the user one logs in as."""

    user: str
    packages: tuple[str, ...]


# A bare server: systemd, sshd and Python. Installing tzdata, sudo, python3-apt and a locale is the roles' work.
BARE = (
    "ca-certificates",
    "dbus",
    "iproute2",
    "openssh-server",
    "procps",
    "python3",
    "systemd",
    "systemd-sysv",
)
# The two releases show the two ways of reaching a server: as root where there is no sudo, and as a user who may sudo.
DEBIANS = {
    "trixie": Debian(user="root", packages=BARE),
    "bookworm": Debian(user="deploy", packages=(*BARE, "sudo")),
}

# A script that runs on the host, with the path of the new system's root as $1. Its text is part of the image's name: a
# change, also of a comment, has the image built again.
CUSTOMIZE = """
set -eu
# These write to the machine's own kernel or consoles, which a container shares with its host.
for unit in systemd-modules-load.service systemd-sysctl.service systemd-udevd.service \\
    systemd-binfmt.service proc-sys-fs-binfmt_misc.automount proc-sys-fs-binfmt_misc.mount \\
    sys-kernel-debug.mount sys-kernel-tracing.mount getty.target console-getty.service; do
  ln -sf /dev/null "$1/etc/systemd/system/$unit"
done
# On a machine of its own systemd itself does this, not in a container: a service that has a view of its own of what is
# mounted sees what is mounted later.
cat > "$1/etc/systemd/system/share-mounts.service" << 'END'
[Unit]
DefaultDependencies=no
Before=local-fs-pre.target
[Service]
Type=oneshot
ExecStart=/usr/bin/mount --make-rshared /
[Install]
WantedBy=sysinit.target
END
systemctl --root="$1" enable --quiet share-mounts.service
if [ -e "$1/usr/bin/sudo" ]; then
  chroot "$1" useradd --create-home --shell /bin/bash deploy
  echo 'deploy ALL=(ALL) NOPASSWD: ALL' > "$1/etc/sudoers.d/deploy"
  chmod 0440 "$1/etc/sudoers.d/deploy"
fi
# A throwaway server's disk need not survive a power cut: a fifth of an installation's time.
echo force-unsafe-io > "$1/etc/dpkg/dpkg.cfg.d/unsafe-io"
rm -f "$1/etc/resolv.conf" "$1/etc/hostname"
printf '127.0.0.1 localhost\\n::1 localhost ip6-localhost\\n' > "$1/etc/hosts"
"""


def image_name(debian: str) -> str:
    """Return the name of a release's image. It is named after its recipe: a changed recipe is another image.

    SLIPWAY_IMAGE_TRIXIE (or _BOOKWORM) names one that is ready to be used in its place.
    """
    ready = os.environ.get(f"SLIPWAY_IMAGE_{debian.upper()}")
    if ready:
        return ready
    recipe = json.dumps([debian, dataclasses.asdict(DEBIANS[debian]), CUSTOMIZE])
    return f"localhost/slipway-{debian}:{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
