"""Many connections from one client of a server: `attempt` and `hold` in a test, this file's `main` over there.

The client is in its own network on the server, so that it has addresses that are not the server's. This file needs nothing
but the standard library of Debian 12's Python.
"""

from __future__ import annotations

import contextlib
import errno
import json
import select
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from testinfra.host import Host

# Of networks for documentation (RFC 5737, RFC 3849). The client has two networks of IPv6.
SERVER, CLIENT, EXEMPT = "198.51.100.1", "198.51.100.2", "198.51.100.3"
SERVER6, CLIENT6, NEIGHBOUR6, OTHER6 = "2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8:0:1::2"
IN_CLIENT = "ip netns exec client"
CREATE_CLIENT = f"""
set -eu
ip netns list | grep -qw client && exit
ip netns add client
ip link add to-client type veth peer name to-server netns client
ip address add {SERVER}/24 dev to-client
ip address add {SERVER6}/48 dev to-client nodad
ip link set to-client up
for address in {CLIENT}/24 {EXEMPT}/24; do ip -n client address add $address dev to-server; done
for address in {CLIENT6}/48 {NEIGHBOUR6}/48 {OTHER6}/48; do ip -n client address add $address dev to-server nodad; done
ip -n client link set to-server up
"""
PROGRAM = "/run/connections.py"
REPORT = "/run/connections.json"
UNIT = "connections"
# A server that has no room leaves a client waiting.
PATIENCE_SECONDS = 3

Counts = dict[str, int]


def install(host: Host) -> None:
    """Have the client and its program on a server."""
    host.check_output(CREATE_CLIENT)
    host.check_output("printf %%s %s > " + PROGRAM, Path(__file__).read_text())


def attempt(host: Host, count: int, address: str, source: str, port: int = 80, within: str = IN_CLIENT) -> Counts:
    """Open so many connections at once and close them; return how many were "opened", "refused", or "waited" for."""
    plan = {"address": address, "source": source, "port": port, "kinds": [[count, ""]]}
    return dict(json.loads(host.check_output(f"{within} python3 {PROGRAM} %s", json.dumps(plan))))


@contextlib.contextmanager
def hold(host: Host, kinds: list[tuple[int, str]], source: str = CLIENT, port: int = 80) -> Iterator[Counts]:
    """Hold connections: of each kind so many, which send a text and read nothing, the kinds taking turns.

    Yields the counts of `attempt` once all have been tried.
    """
    address = SERVER6 if ":" in source else SERVER
    plan = {"address": address, "source": source, "port": port, "kinds": kinds, "report": REPORT}
    host.check_output(
        f"rm -f {REPORT}; systemd-run --quiet --collect --unit={UNIT} --property=LimitNOFILE=16384"
        f" {IN_CLIENT} python3 {PROGRAM} %s",
        json.dumps(plan),
    )
    try:
        host.check_output(f"timeout 60 sh -c 'until [ -e {REPORT} ]; do sleep 0.1; done'")
        yield json.loads(host.file(REPORT).content_string)
    finally:
        host.run(f"systemctl stop {UNIT}")


def held(host: Host, source: str = CLIENT) -> int:
    """Return how many connections from an address the server's programs hold."""
    return len(host.check_output(f"ss --no-header --numeric --tcp state established dst {source}").splitlines())


# ---------------------------------------------------------------------------------- on the server


def connect(address: str, port: int, source: str) -> socket.socket:
    """Begin a connection that buffers next to nothing of what it is sent."""
    one = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    one.setblocking(False)
    one.bind((source, 0))
    error = one.connect_ex((address, port))
    assert error in (0, errno.EINPROGRESS), errno.errorcode[error]
    return one


class Connections:
    """The connections of one client."""

    def __init__(self) -> None:
        self.counts = {"opened": 0, "refused": 0}
        self.pending: dict[int, tuple[socket.socket, str]] = {}
        self.opened: list[socket.socket] = []
        self.poll = select.poll()
        self.progress = time.monotonic()

    def begin(self, one: socket.socket, text: str) -> None:
        """Take up a connection that sends a text when it is open."""
        self.pending[one.fileno()] = (one, text)
        self.poll.register(one, select.POLLOUT)

    def settle(self, room: int) -> None:
        """Wait until only so many are pending, or the server takes no more."""
        while len(self.pending) > room and time.monotonic() < self.progress + PATIENCE_SECONDS:
            for number, _ in self.poll.poll(100):
                self.progress = time.monotonic()
                self.poll.unregister(number)
                one, text = self.pending.pop(number)
                if one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    self.counts["refused"] += 1
                    one.close()
                    continue
                self.counts["opened"] += 1
                self.opened.append(one)
                with contextlib.suppress(OSError):
                    one.send(text.encode())


def main(address: str, source: str, port: int, kinds: list[tuple[int, str]], report: str = "") -> None:
    """Open the connections, and print the counts; or write them to a file and hold the connections until the end."""
    connections = Connections()
    # Evenly mixed, so that no kind takes all the room; and not faster than a server accepts them.
    for _, text in sorted((number / count, text) for count, text in kinds for number in range(count)):
        connections.begin(connect(address, port, source), text)
        connections.settle(room=100)
    connections.settle(room=0)
    found = json.dumps({**connections.counts, "waited": len(connections.pending)})
    if report:
        Path(f"{report}.new").write_text(found)
        Path(f"{report}.new").rename(report)
        signal.pause()
    print(found)


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
