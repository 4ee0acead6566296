"""The servers' network: a private bridge with a /24 that nothing else on this machine uses."""

from __future__ import annotations

import contextlib
import ipaddress
import json
from pathlib import Path

from servers.host import run
from servers.names import N, SetupError
from servers.podman import podman


def taken_networks() -> list[ipaddress.IPv4Network]:
    """Return what this machine can already reach, without its default route and our own bridge."""
    # podman keeps the first for its default network, whether or not there is one.
    found = [ipaddress.IPv4Network("10.88.0.0/16")]
    for route in json.loads(run(["ip", "-json", "-4", "route", "show", "table", "all"]).stdout):
        if route.get("dev") != N.bridge and route["dst"] != "default":
            with contextlib.suppress(ValueError):
                found.append(ipaddress.IPv4Network(route["dst"]))
    return found


def free_subnet() -> ipaddress.IPv4Network:
    """Return a /24 that derives from the prefix, or the next one that is free. Raises SetupError where there is none."""
    taken = taken_networks()
    start = int.from_bytes(N.digest[:2], "big")
    for step in range(256):
        number = (start + step * 257) % 65536
        subnet = ipaddress.IPv4Network((int(ipaddress.IPv4Address("10.0.0.0")) + (number << 8), 24))
        if not any(subnet.overlaps(other) for other in taken):
            return subnet
    raise SetupError("No free /24 in 10.0.0.0/8 for the servers' network.")


def mac_of(address: str) -> str:
    """Return a locally administered hardware address for an IPv4 address of our network."""
    return "02:00:" + ipaddress.IPv4Address(address).packed.hex(":")


def keep_bridge_address(name: str) -> None:
    """Give the bridge its own hardware address, once the server `name` has brought it up.

    Otherwise it has that of one server's end, and another when that one goes. The others would go on sending to the old one
    for up to a minute, and their connections stand still for nearly two.
    """
    wanted = mac_of(str(ipaddress.IPv4Network(str(stored_subnet()))[1]))
    if Path(f"/sys/class/net/{N.bridge}/address").read_text().strip() != wanted:
        run(["ip", "link", "set", "dev", N.bridge, "address", wanted])
        podman("exec", N.container(name), "ip", "neigh", "flush", "all")


def network_file() -> Path:
    """Return the file in which podman keeps our network."""
    return N.data / "networks" / f"{N.prefix}.json"


def stored_subnet() -> str | None:
    """Return the subnet that podman recorded for the network (10.1.2.0/24), None where there is no network."""
    try:
        network = json.loads(network_file().read_text())
        return str(network["subnets"][0]["subnet"])
    except (OSError, ValueError, LookupError):
        return None


def ensure_network() -> ipaddress.IPv4Network:
    """Return our network's subnet. Makes the network where there is none, or where something else took its addresses."""
    stored = stored_subnet()
    if stored is not None:
        subnet = ipaddress.IPv4Network(stored)
        in_use = bool(podman("ps", "--all", "--quiet"))
        if in_use or not any(subnet.overlaps(other) for other in taken_networks()):
            return subnet
        podman("network", "rm", "--force", N.prefix)
    subnet = free_subnet()
    # No DNS: real servers do not find each other by container name either.
    podman("network", "create", f"--subnet={subnet}", "--disable-dns", N.prefix)
    # podman 4.3 has no option for the interface's name, and picks one that another checkout may have picked too.
    path = network_file()
    network = json.loads(path.read_text())
    network["network_interface"] = N.bridge
    path.write_text(json.dumps(network, indent=2))
    return subnet
