"""Which programs listen on the TCP ports of this host, and whether another could."""

from __future__ import annotations

import contextlib
import errno
import socket
from pathlib import Path


def holders(port: int) -> list[str]:
    """Return the programs that listen on a TCP port, each with its process id.

    Source: proc_net(5): in /proc/net/tcp the 2nd field is address:port in hexadecimal, the 4th the
    state (0A is listening), the 10th the socket's inode; proc_pid_fd(5): a process's link to it
    reads socket:[inode].
    """
    rows = [row.split() for name in ("tcp", "tcp6") for row in Path("/proc/net", name).read_text().splitlines()[1:]]
    inodes = {f"socket:[{row[9]}]" for row in rows if row[3] == "0A" and int(row[1].rpartition(":")[2], 16) == port}
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        # Processes start and end while this looks.
        with contextlib.suppress(OSError):
            if any(str(link.readlink()) in inodes for link in (process / "fd").iterdir()):
                found.append(f"{(process / 'comm').read_text().strip()} (process {process.name})")
    return found


def bindable(host: str, port: int, *, both: bool) -> bool:
    """Whether a program could listen on an address now; `both` opens an IPv6 socket for IPv4 as well."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as trial:
            # As nginx and Apache open their own.
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                trial.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not both)
            trial.bind((host, port))
    except OSError as error:
        return error.errno != errno.EADDRINUSE
    return True
