"""podman in the keeper's namespace, with a configuration of our own."""

from __future__ import annotations

import subprocess
import textwrap

from servers.host import lasting_environment, run, write_whole
from servers.names import N, SetupError
from servers.namespace import keeper


def configure_podman() -> None:
    """Write the configuration that replaces the machine's own."""
    text = """\
    [containers]
    log_driver = "k8s-file"

    [engine]
    cgroup_manager = "cgroupfs"
    events_logger = "none"
    # The default, shared memory, is one segment for the whole machine.
    lock_type = "file"
    runtime = "crun"

    [network]
    network_backend = "netavark"
    """
    N.data.mkdir(mode=0o700, exist_ok=True)
    write_whole(N.data / "containers.conf", textwrap.dedent(text))


def podman_command(pid: int, *arguments: str) -> list[str]:
    """Return the command that runs podman in the namespace of the process `pid`."""
    return [
        "nsenter",
        f"--mount=/proc/{pid}/ns/mnt",
        "podman",
        f"--root={N.data}/storage",
        f"--runroot={N.run}/storage",
        f"--tmpdir={N.run}/libpod",
        f"--network-config-dir={N.data}/networks",
        *arguments,
    ]


def call_podman(*arguments: str, check: bool, text_in: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run podman. Raises SetupError where there is no keeper and, with `check`, where podman fails."""
    pid = keeper()
    if pid is None:
        raise SetupError("The process that keeps the mount namespace has ended. Run this again.")
    scratch = "/var/tmp"  # noqa: S108 - podman gives its files there random names
    env = {**lasting_environment(), "CONTAINERS_CONF": f"{N.data}/containers.conf", "TMPDIR": scratch}
    return run(podman_command(pid, *arguments), check=check, text_in=text_in, env=env)


def podman(*arguments: str, check: bool = True, text_in: str | None = None) -> str:
    """Run podman and return what it printed, without white space around it."""
    return call_podman(*arguments, check=check, text_in=text_in).stdout.strip()


def podman_agrees(*arguments: str) -> bool:
    """Whether podman answered a question with yes (exit code 0)."""
    return call_podman(*arguments, check=False).returncode == 0
