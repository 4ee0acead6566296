"""The mount namespace that podman lives in, and the sleeping process that keeps it: the keeper.

- crun refuses a hybrid /sys/fs/cgroup (version 1 and 2 mixed). In the namespace it is plain version 2, and the machine's own
  mounts stay as they are.
- podman pins network namespaces in /run/netns and notes addresses in /run/containers, one for the whole machine. In the
  namespace they are our own, and vanish with the keeper, also after a crash.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from servers.host import lasting_environment
from servers.names import N, SetupError

KEEPER = """
set -eu
if [ "$(stat -f -c %T /sys/fs/cgroup)" != cgroup2fs ]; then
  umount -R /sys/fs/cgroup
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
fi
mkdir -p /run/netns /run/containers
mount -t tmpfs -o mode=0755 tmpfs /run/netns
mount -t tmpfs -o mode=0755 tmpfs /run/containers
echo ready
exec sleep infinity >/dev/null 2>&1
"""


def process_identity(pid: int) -> str | None:
    """Return a text that no other process ever has: pid, start time and boot id. None where the process has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    state, start_time = fields[0], fields[19]
    if state in "ZX":
        return None
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{pid} {start_time} {boot}"


def keeper() -> int | None:
    """Return the pid of our keeper, None where it does not run."""
    try:
        identity = (N.run / "keeper").read_text().strip()
        pid = int(identity.split()[0])
    except (OSError, ValueError, IndexError):
        return None
    return pid if process_identity(pid) == identity else None


def start_keeper() -> int:
    """Start a keeper, note it in /run, and return its pid. Raises SetupError where it does not come up."""
    process = subprocess.Popen(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", KEEPER],
        env=lasting_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a Ctrl-C at the terminal is not meant for it
        cwd="/",
    )
    assert process.stdout is not None  # noqa: S101 - for mypy: it is a pipe
    assert process.stderr is not None  # noqa: S101 - as above
    if process.stdout.readline().strip() != "ready":
        raise SetupError(f"No mount namespace with a plain cgroup2:\n{process.stderr.read()}")
    identity = process_identity(process.pid)
    if identity is None:
        raise SetupError("The process that keeps the mount namespace ended at once.")
    N.run.mkdir(mode=0o700, exist_ok=True)
    (N.run / "keeper").write_text(identity + "\n")
    process.returncode = 0  # it outlives us on purpose: no warning from Popen
    return process.pid
