"""Addresses and networks as rules of nftables name them."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable


def networks(values: Iterable[object]) -> list[dict[str, str]]:
    """Return each value with what it is: {"given": str, "family": "ip", "ip6" or "", "network": str}.

    The family is empty where the value is neither an address nor a network. Bits beyond the prefix are dropped:
    203.0.113.5/24 is 203.0.113.0/24.
    """
    found = []
    for value in map(str, values):
        family, network = "", ""
        try:
            parsed = ipaddress.ip_network(value, strict=False)
        except ValueError:
            pass
        else:
            # An address of one interface (fe80::1%eth0) cannot be used in a rule.
            if "%" not in value:
                family, network = ("ip" if parsed.version == 4 else "ip6"), str(parsed)
        found.append({"given": value, "family": family, "network": network})
    return found


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Callable[..., list[dict[str, str]]]]:
        """Return the filters by the names they have in templates."""
        return {"networks": networks}
