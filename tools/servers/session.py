"""From the first server to the last: what must be there before podman can be asked, and goes when no server is left."""

from __future__ import annotations

import os
import signal

from servers.leftovers import sweep
from servers.names import N, SetupError
from servers.namespace import keeper, start_keeper
from servers.podman import configure_podman, podman
from servers.records import known_servers


def ensure_keeper() -> int:
    """Return the keeper's pid. Where it does not run, remove what the last one left, and start it. Needs the lock."""
    pid = keeper()
    if pid is None:
        sweep()
        for lost in known_servers().values():
            lost.path.unlink(missing_ok=True)
        configure_podman()
        pid = start_keeper()
        # podman finds its run state gone, takes it for a reboot, and lets go of the old records.
        for container in podman("ps", "--all", "--quiet", "--external").split():
            podman("rm", "--force", "--time", "0", container, check=False)
        if podman("ps", "--all", "--quiet"):
            raise SetupError(f"Old container records could not be removed: remove {N.data} and try again.")
    return pid


def release_if_unused() -> None:
    """Leave nothing running on the machine where no server is left. Needs the lock."""
    pid = keeper()
    if pid is None or podman("ps", "--all", "--quiet"):
        return
    podman("network", "rm", "--force", N.prefix, check=False)
    os.kill(pid, signal.SIGKILL)
    sweep()
