"""Which programs listen on the ports of this host, and whether another could."""

from __future__ import annotations

import contextlib
import errno
import socket
from pathlib import Path


def holders(port: int, *, udp: bool = False) -> list[str]:
    """Return the programs that listen on a port, of TCP or of UDP, each with its process id.

    Source: proc_net(5): in /proc/net/tcp the 2nd field is address:port in hexadecimal, the 4th the
    state (0A is listening; of UDP 07), the 10th the socket's inode; proc_pid_fd(5): a process's link to it
    reads socket:[inode].
    """
    names, listening = (("udp", "udp6"), "07") if udp else (("tcp", "tcp6"), "0A")
    rows = [row.split() for name in names for row in Path("/proc/net", name).read_text().splitlines()[1:]]
    inodes = {
        f"socket:[{row[9]}]" for row in rows if row[3] == listening and int(row[1].rpartition(":")[2], 16) == port
    }
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        # Processes start and end while this looks.
        with contextlib.suppress(OSError):
            if any(str(link.readlink()) in inodes for link in (process / "fd").iterdir()):
                found.append(f"{(process / 'comm').read_text().strip()} (process {process.name})")
    return found


def bindable(host: str, port: int, *, both: bool, udp: bool = False) -> bool:
    """Whether a program could listen on an address now; `both` opens an IPv6 socket for IPv4 as well."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM if udp else socket.SOCK_STREAM) as trial:
            # As nginx and Apache open their own; two sockets of UDP would share the port.
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, not udp)
            if family == socket.AF_INET6:
                trial.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not both)
            trial.bind((host, port))
    except OSError as error:
        return error.errno != errno.EADDRINUSE
    return True
