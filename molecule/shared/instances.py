"""Instances of a release by hand, for the scenarios of the app servers.

An instance is a transient unit of systemd here: that waits for READY, and keeps no more of it than the test needs.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from testinfra.backend.base import CommandResult
from testinfra.host import Host

from probe import until
from socket_client import PATIENCE_SECONDS, Answer, ask


class Instance:
    """A release that is served on its own socket."""

    def __init__(self, host: Host, release: str, name: str) -> None:
        self.host, self.release, self.unit = host, release, f"test-{name}"
        self.folder = f"/run/{self.unit}"
        self.socket = f"{self.folder}/app.sock"

    def start(self, *, command: str = "", **environment: str) -> CommandResult:
        """Start it; returns when it is ready or has failed."""
        properties = {
            "Type": "notify",
            "NotifyAccess": "all",
            "KillMode": "mixed",
            "RuntimeDirectory": self.unit,
            "RuntimeDirectoryPreserve": "restart",
            "TimeoutStartSec": str(PATIENCE_SECONDS),
            "WorkingDirectory": "/srv/home",
        }
        options = [f"--property={name}={value}" for name, value in properties.items()]
        options += [f"--setenv={name}='{value}'" for name, value in environment.items()]
        return self.host.run(
            f"systemd-run --quiet --collect --unit={self.unit} --uid=site {' '.join(options)} "
            + (command or f"/srv/{self.release}/bin/serve {self.socket}")
        )

    def stop(self) -> None:
        """Stop it as a process manager does: SIGTERM to the main process."""
        self.host.run("systemctl stop %s", self.unit)

    def begin_stop(self) -> None:
        """Begin to stop it, and go on as soon as systemd says that it is stopping."""
        self.host.check_output("systemctl stop --no-block %s", self.unit)
        until(
            lambda: (
                self.host.check_output("systemctl show -P ActiveState %s", self.unit) in ("deactivating", "inactive")
            ),
            "it is being stopped",
        )

    def ask(
        self, *urls: str, lanes: int = 1, keep: bool = False, headers: dict[str, str] | None = None
    ) -> list[Answer]:
        """Send requests over its socket."""
        return ask(self.host, self.socket, *urls, lanes=lanes, keep=keep, headers=headers)

    def kill(self) -> None:
        """End it at once, for a test that is not about its end."""
        self.host.run("systemctl kill --signal=KILL %s", self.unit)
        self.stop()

    def leave_unread(self) -> str:
        """Send a large body, which the application does not read, and only then look for the answer, as an edge does."""
        send = (
            "import socket, sys; s = socket.socket(socket.AF_UNIX); s.settimeout(60); s.connect(sys.argv[1]);"
            "s.sendall(b'POST / HTTP/1.1\\r\\nHost: a\\r\\nContent-Length: 4000000\\r\\n\\r\\n' + bytes(4000000));"
            "print(s.makefile().readline())"
        )
        return self.host.run("python3 -c %s %s", send, self.socket).stdout.strip()

    def events(self) -> str:
        """Read a stream of events: the first makes the file that the application waits for before the second."""
        read = (
            "import socket, sys; s = socket.socket(socket.AF_UNIX); s.settimeout(60); s.connect(sys.argv[1]);"
            "s.sendall(b'GET /events?heard HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\n\\r\\n'); lines = s.makefile();"
            "print(next(line for line in lines if line.startswith('data:')), end=''); open(sys.argv[2], 'x').close();"
            "print(next(line for line in lines if line.startswith('data:')), end='')"
        )
        return self.host.run("python3 -c %s %s %s", read, self.socket, f"{self.folder}/heard").stdout

    def waiting(self) -> Counter[int]:
        """How many requests to /wait are being worked on by each process."""
        marks = self.host.check_output(f"ls {self.folder}").split()
        return Counter(int(mark.split("-")[1]) for mark in marks if mark.startswith("waiting-"))

    def enough(self) -> None:
        """Let them end, and later ones at once."""
        self.host.run("touch %s/enough", self.folder)

    @property
    def main(self) -> int:
        """Its main process."""
        return int(self.host.check_output("systemctl show -P MainPID %s", self.unit))

    @property
    def workers(self) -> set[int]:
        """Its worker processes: children of the main one, or of the Apache below it, where bin/serve has to stay."""
        parent = f"$(pgrep --parent {self.main} apache2 || echo {self.main})"
        return {int(pid) for pid in self.host.run(f"pgrep --parent {parent}").stdout.split()}

    @property
    def log(self) -> str:
        """What it wrote since its last start."""
        invocation = self.host.check_output("systemctl show -P InvocationID %s", self.unit)
        match = f"_SYSTEMD_INVOCATION_ID={invocation}" if invocation else f"--unit={self.unit}"
        return self.host.check_output(f"journalctl --output=cat --no-pager {match}")


@contextlib.contextmanager
def running(host: Host, release: str, name: str, **environment: str) -> Iterator[Instance]:
    """Run an instance for a while."""
    instance = Instance(host, release, name)
    started = instance.start(**environment)
    try:
        assert started.succeeded, started.stderr + instance.log
        yield instance
    finally:
        instance.kill()


def cores(host: Host) -> int:
    """How many the server has."""
    return int(host.check_output("nproc"))


def work(instance: Instance, lanes: int, busy: Callable[[Counter[int]], bool]) -> list[dict[str, Any]]:
    """Send so many requests at once, which last until the processes are busy; return who worked on each, and when."""
    with ThreadPoolExecutor() as background:
        answers = background.submit(instance.ask, "/wait", lanes=lanes)
        try:
            until(lambda: busy(instance.waiting()), "the processes are busy")
        finally:
            instance.enough()
    return [answer.json for answer in answers.result()]


def most_at_once(works: list[dict[str, Any]]) -> int:
    """Return how many were being worked on in the busiest moment."""
    return max(sum(one["begin"] <= at["begin"] < one["end"] for one in works) for at in works)
