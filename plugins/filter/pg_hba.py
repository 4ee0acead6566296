"""Rules of pg_hba.conf for the applications of a database server.

A client is {"database": str, "role": str, "address": str}; the address is a network in CIDR notation.
A database is {"name": str, "owner": str}; its owner is a role.
A rule is what community.postgresql.postgresql_pg_hba takes in `rules`; a found rule is what it returns in `pg_hba`:
{"type": str, "db": str, "usr": str, "src": str, "method": str, "options": str}, with "src" in the form that ipaddress
gives it, or missing where the type is "local"; "options" only where it has some.

The server takes the first rule that fits. So an application's come first, then those that keep it from every other
database, then the ones for all roles, such as Debian's own.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping
from typing import Any

Client = Mapping[str, str]
Database = Mapping[str, str]
Found = Mapping[str, Any]
Rule = dict[str, str]


def _network(address: str) -> str:
    """Return a network in the one form the module uses too, or raise ValueError (host bits set, not CIDR at all)."""
    if "/" not in address:
        raise ValueError(f"{address} has no /prefix")
    return str(ipaddress.ip_network(address))


def bad_networks(addresses: Iterable[str]) -> list[str]:
    """Return the addresses that are not a network in CIDR notation, each with what is wrong."""
    bad = []
    for address in addresses:
        try:
            _network(address)
        except ValueError as error:
            bad.append(str(error))
    return bad


def _rule(contype: str, database: str, role: str, method: str, address: str | None = None) -> Rule:
    rule = {"contype": contype, "databases": database, "users": role, "method": method}
    return rule if address is None else {**rule, "address": address}


def wanted_rules(clients: Iterable[Client], databases: Iterable[Database], roles: Iterable[str]) -> list[Rule]:
    """Return the rules of these applications, in their order.

    The unix user of a database's owner comes in through the socket; a client over TLS, with a password that never
    crosses the network (SCRAM). A role comes into no other database.
    """
    return [
        *(_rule("local", database["name"], database["owner"], "peer") for database in databases),
        *(
            _rule("hostssl", client["database"], client["role"], "scram-sha-256", _network(client["address"]))
            for client in clients
        ),
        *(_rule("local", "all", role, "reject") for role in roles),
        *(_rule("host", "all", role, "reject", "all") for role in roles),
    ]


def _found(rule: Found, state: str) -> Rule:
    """Return a found rule as the module takes it."""
    names = {
        "contype": "type",
        "databases": "db",
        "users": "usr",
        "address": "src",
        "method": "method",
        "options": "options",
    }
    return {**{ours: rule[theirs] for ours, theirs in names.items() if theirs in rule}, "state": state}


def _is_reject(rule: Found, roles: Iterable[str]) -> bool:
    """Tell whether a found rule keeps one of these roles from every database that is not its own."""
    return rule["usr"] in roles and rule["db"] == "all" and rule["method"] == "reject"


def stale_rules(
    found: Iterable[Found], wanted: Iterable[Rule], databases: Iterable[str], roles: Iterable[str]
) -> list[Rule]:
    """Return the rules to take away: found for one of these roles, on one of these databases or all, but not wanted."""

    def key(rule: Rule) -> tuple[str | None, ...]:
        return tuple(rule.get(name) for name in ("contype", "databases", "users", "address"))

    kept = {key(rule) for rule in wanted}
    databases, roles = set(databases), set(roles)
    return [
        _found(rule, "absent")
        for rule in found
        if rule["usr"] in roles
        and (_is_reject(rule, roles) or (rule["db"] in databases and rule["type"] in {"local", "hostssl"}))
        and key(_found(rule, "absent")) not in kept
    ]


def late_rules(found: Iterable[Found], roles: Iterable[str]) -> list[Rule]:
    """Return what moves the found rules that are to come after those of these roles to the end, [] where they do.

    New rules are at the end, behind those for all roles and those that keep a role from other databases.
    """
    roles = set(roles)

    def rank(rule: Found) -> int:
        if rule["usr"] == "all":
            return 2
        return int(_is_reject(rule, roles))

    ranked = [rule for rule in found if rule["usr"] in roles or rule["usr"] == "all"]
    ordered = sorted(ranked, key=rank)
    if ranked == ordered:
        return []
    return [_found(rule, state) for rule in ordered if rank(rule) for state in ("absent", "present")]


class FilterModule:
    """What Ansible finds here."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {
            "postgresql_bad_networks": bad_networks,
            "postgresql_late_rules": late_rules,
            "postgresql_stale_rules": stale_rules,
            "postgresql_wanted_rules": wanted_rules,
        }
