"""Whether the names of a site lead to this server, which the CA would find out the hard way."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import socket
import subprocess

from sites import Site


def own_addresses(site: Site) -> set[str]:
    """Return the addresses of this server: those of its interfaces, and that at which it is managed."""
    said = subprocess.run(["ip", "-json", "address"], check=True, capture_output=True, text=True).stdout
    found = {info["local"] for link in json.loads(said) for info in link["addr_info"]}
    return found.union(*(resolved(name) for name in site.settings["addresses"]))


def resolved(name: str) -> set[str]:
    """Return the addresses that this server finds for a name; none where it has none."""
    with contextlib.suppress(socket.gaierror):
        return {str(info[4][0]) for info in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)}
    return set()


def astray(site: Site) -> list[str]:
    """Return what is wrong with the addresses of the site's names.

    A server that knows itself by private addresses only is behind NAT: which public one leads to it is not known here.
    """
    own = own_addresses(site)
    mine = [ipaddress.ip_address(address) for address in own]
    public = {address.version for address in mine if address.is_global}
    wrong = []
    for name in site.wanted:
        found = resolved(name)
        if not found:
            wrong.append(f"{name} has no address in DNS")
        strange = [
            address
            for address in map(ipaddress.ip_address, sorted(found - own))
            if not address.is_loopback and (address.version in public or not address.is_global)
        ]
        if strange:
            here = [str(address) for address in mine if not address.is_loopback and not address.is_link_local]
            wrong.append(
                f"{name} points to {', '.join(map(str, strange))}, and this server is {', '.join(sorted(here))}"
            )
    return wrong
