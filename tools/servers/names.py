"""Every name and place that this checkout has on the machine.

All names derive from one prefix, SLIPWAY_PREFIX or a hash of the checkout's path, so that two checkouts never meet.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STATE = ROOT / ".servers"
SSH_KEY = STATE / "id_ed25519"


class SetupError(Exception):
    """Something that the reader can fix; its text says how."""


@dataclasses.dataclass(frozen=True)
class Names:
    """The names that derive from a prefix."""

    prefix: str

    @property
    def data(self) -> Path:
        """The folder that survives a reboot of the machine: images and podman's records."""
        return Path("/var/lib") / self.prefix

    @property
    def run(self) -> Path:
        """The folder of what runs: it goes with the last server."""
        return Path("/run") / self.prefix

    @property
    def lock(self) -> Path:
        """The lock file of podman. It is outside `run`, which is removed while the lock is held."""
        return Path("/run") / f"{self.prefix}.lock"

    @property
    def sockets(self) -> Path:
        """The folder of SSH control sockets: a short path, as a socket's may have 108 bytes at most (unix(7))."""
        return self.run / "ssh"

    @property
    def digest(self) -> bytes:
        """32 bytes, for what must be a number or short."""
        return hashlib.sha256(self.prefix.encode()).digest()

    @property
    def bridge(self) -> str:
        """The network interface: 15 characters at most."""
        return f"sw-{self.digest.hex()[:8]}"

    def container(self, server: str) -> str:
        """Return the name of a server's container."""
        return f"{self.prefix}-{server}"


def names() -> Names:
    """Return the names of this checkout. Raises SetupError where SLIPWAY_PREFIX cannot be part of a name."""
    fallback = "slipway-" + hashlib.sha256(str(ROOT).encode()).hexdigest()[:6]
    prefix = os.environ.get("SLIPWAY_PREFIX") or fallback
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,39}", prefix):
        raise SetupError(
            f"SLIPWAY_PREFIX={prefix!r} is not usable as a name: lower-case letters, digits and "
            "dashes, at most 40 characters."
        )
    return Names(prefix)


N = names()
