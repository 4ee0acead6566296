"""Rules of pg_hba.conf for the clients of a database server.

A client is {"database": str, "role": str, "address": str}; the address is a network in CIDR notation.
A rule is what community.postgresql.postgresql_pg_hba takes in `rules`; a found rule is what it returns in `pg_hba`:
{"type": str, "db": str, "usr": str, "src": str, "method": str}, with "src" in the form that ipaddress gives it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping
from typing import Any

Client = Mapping[str, str]
Rule = dict[str, str]


def _network(address: str) -> str:
    """Return a network in the one form the module uses too, or raise ValueError (host bits set, not CIDR at all)."""
    if "/" not in address:
        raise ValueError(f"{address} has no /prefix")
    return str(ipaddress.ip_network(address))


def bad_networks(addresses: Iterable[str]) -> list[str]:
    """Return those addresses that are no network in CIDR notation, each with what is wrong."""
    bad = []
    for address in addresses:
        try:
            _network(address)
        except ValueError as error:
            bad.append(str(error))
    return bad


def client_rules(clients: Iterable[Client]) -> list[Rule]:
    """Return one rule for each client: TLS, and a password that never crosses the network (SCRAM)."""
    return [
        {
            "contype": "hostssl",
            "databases": client["database"],
            "users": client["role"],
            "address": _network(client["address"]),
            "method": "scram-sha-256",
        }
        for client in clients
    ]


def stale_rules(
    found: Iterable[Mapping[str, Any]],
    clients: Iterable[Client],
    databases: Iterable[str],
    roles: Iterable[str],
) -> list[Rule]:
    """Return the rules to take away: found for one of these databases and one of these roles, but of no client."""
    wanted = {(rule["databases"], rule["users"], rule["address"]) for rule in client_rules(clients)}
    ours = {(database, role) for database in databases for role in roles}
    return [
        {
            "contype": rule["type"],
            "databases": rule["db"],
            "users": rule["usr"],
            "address": rule["src"],
            "state": "absent",
        }
        for rule in found
        if rule["type"] == "hostssl"
        and (rule["db"], rule["usr"]) in ours
        and (rule["db"], rule["usr"], rule["src"]) not in wanted
    ]


class FilterModule:
    """What Ansible finds here."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {
            "postgresql_bad_networks": bad_networks,
            "postgresql_client_rules": client_rules,
            "postgresql_stale_rules": stale_rules,
        }
