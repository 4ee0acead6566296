"""For which hosts of a site a public certificate authority (CA) issues certificates."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable

# Last labels of names that are not in the public DNS (https://www.iana.org/assignments/special-use-domain-names/, and
# ICANN's resolution 2024.07.29.06 for internal), or are infrastructure there (arpa, RFC 3172).
SPECIAL_USE = frozenset({"alt", "arpa", "example", "internal", "invalid", "local", "localhost", "onion", "test"})


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the address that a host is, None where it is a name. IPv6 may have the brackets that it has in a URL."""
    bracketed = host.startswith("[") and host.endswith("]") and ":" in host
    try:
        return ipaddress.ip_address(host[1:-1] if bracketed else host)
    except ValueError:
        return None


def _is_wildcard(host: str) -> bool:
    """Return whether a host is *.example.org, or .example.org (nginx's, for example.org and *.example.org)."""
    return host.startswith(("*.", "."))


def _is_public(host: str) -> bool:
    if address := _address(host):
        # An address with a zone (fe80::1%eth0) is one of a single link.
        return address.is_global and not address.is_multicast and "%" not in host
    name = host.lower().removesuffix(".")
    labels = name.removeprefix("*").removeprefix(".").split(".") if _is_wildcard(name) else name.split(".")
    return (
        len(labels) > 1
        and all(labels)
        # A pattern that only a web server knows (www.*), and what is not a name (example.org:80).
        and not any(set(label) & set("*:[]/%") for label in labels)
        # A top-level domain has no digits alone: it is an address with a slip (203.0.113.300).
        and not labels[-1].isdigit()
        and labels[-1] not in SPECIAL_USE
    )


def public_hosts(hosts: Iterable[object]) -> list[str]:
    """Return the hosts for which a public CA can issue a certificate, as they were given and in their order.

    hosts: names or addresses as a browser asks for them, without a port. A name may have capitals, letters outside of
    ASCII and a dot at its end. It is public with two labels or more that do not end in a special-use domain, an address
    where it is globally routable (https://docs.python.org/3/library/ipaddress.html). Whether its DNS leads here is not
    asked. What is neither a name nor an address is left out; nothing raises an error.
    """
    return [host for host in map(str, hosts) if _is_public(host)]


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Callable[[Iterable[object]], list[str]]]:
        """Return the filters by the names they have in templates."""
        return {"public_hosts": public_hosts}
