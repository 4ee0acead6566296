"""The machine that the servers run on: the Debian packages it needs, and how commands, locks and files are used on it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from servers.names import N, SetupError

# What the machine needs, as Debian packages, and a program or file of each that shows it is there.
PACKAGES = {
    "podman": "podman",
    "crun": "crun",
    "netavark": "/usr/lib/podman/netavark",
    "mmdebstrap": "mmdebstrap",
    "nftables": "nft",
    "iptables": "iptables",
    "iproute2": "ip",
    "util-linux": "nsenter",
    "openssh-client": "ssh",
}


def missing_packages() -> list[str]:
    """Return the names of the packages that are not installed."""
    return [
        package
        for package, proof in PACKAGES.items()
        if not (Path(proof).exists() if proof.startswith("/") else shutil.which(proof))
    ]


def install_missing_packages() -> None:
    """Install the packages that are missing, where we are root."""
    missing = missing_packages()
    if missing and os.geteuid() == 0:
        say(f"Installing {' '.join(missing)}")
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        run(["apt-get", "update"], env=quiet)
        run(["apt-get", "install", "--yes", "--no-install-recommends", *missing], env=quiet)


def require_host() -> None:
    """Raise a SetupError that says what this machine lacks: packages, or root."""
    lacks = []
    missing = missing_packages()
    if missing:
        packages = " ".join(missing)
        lacks.append(f"these Debian packages: apt-get install --no-install-recommends {packages}")
    if os.geteuid() != 0:
        lacks.append("root, for namespaces, mounts and a network bridge: run the same as root")
    if lacks:
        raise SetupError(
            "A throwaway server on this machine needs\n    - "
            + "\n    - ".join(lacks)
            + "\nA server of your own needs none of it, only SSH."
        )


def run(
    command: Sequence[str | Path],
    *,
    text_in: str | None = None,
    check: bool = True,
    env: dict[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command and capture its output. With `check`, a failure is a SetupError that shows that output."""
    done = subprocess.run(
        [str(part) for part in command],
        input=text_in,
        stdin=subprocess.DEVNULL if text_in is None else None,
        capture_output=True,
        text=True,
        check=False,
        env=env,
    )
    if check and done.returncode != 0:
        shown = shlex.join(str(part) for part in command)
        raise SetupError(f"{shown}\nended with {done.returncode}:\n{done.stdout}{done.stderr}".strip())
    return done


def lasting_environment() -> dict[str, str]:
    """Return the environment for what outlives this program: without the mark by which the suite finds its processes."""
    return {name: value for name, value in os.environ.items() if name != "SLIPWAY_SUITE"}


def say(text: str) -> None:
    """Print progress to stderr: stdout is for what was asked."""
    print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold a lock file, which one process at a time can do; wait until it is free."""
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def locked() -> contextlib.AbstractContextManager[None]:
    """Hold the lock of podman: one command of a prefix at a time touches it."""
    return alone(N.lock)


def write_whole(path: Path, text: str) -> None:
    """Write a file so that no reader ever sees half of it."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.write_text(text)
    scratch.replace(path)
