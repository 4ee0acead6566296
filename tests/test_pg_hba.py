"""The rules of pg_hba.conf, and the order in which the server meets them."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.slipway.flask.plugins.filter import pg_hba

Found = dict[str, Any]


def found(line: str) -> Found:
    """Return a line of pg_hba.conf as the module tells it."""
    fields = line.split()
    names = ["type", "db", "usr", "method"] if fields[0] == "local" else ["type", "db", "usr", "src", "method"]
    rule = dict(zip(names, fields, strict=False))
    return {**rule, "options": " ".join(fields[len(names) :])} if len(fields) > len(names) else rule


def play(lines: list[str], rules: list[dict[str, str]]) -> list[str]:
    """Return the file's lines after the module has worked through the rules: new ones go to the end."""
    names = ["contype", "databases", "users", "address", "method", "options"]
    for rule in rules:
        line = " ".join(rule[name] for name in names if name in rule)
        same = [
            old
            for old in lines
            if old.split()[:3] == line.split()[:3] and ("address" not in rule or rule["address"] in old)
        ]
        if rule.get("state", "present") == "absent":
            lines = [old for old in lines if old not in same]
        elif not same:
            lines = [*lines, line]
    return lines


def provision(
    lines: list[str], name: str, clients: list[str] | None = None, databases: list[str] | None = None
) -> list[str]:
    """Return the file's lines after a run for one application, as tasks/clients.yml makes it."""
    databases = databases or [name]
    wanted = pg_hba.wanted_rules(
        [{"database": name, "role": name, "address": address} for address in clients or []],
        [{"name": database, "owner": name} for database in databases],
        [name],
    )
    lines = play(lines, wanted)
    now = [found(line) for line in lines]
    return play(lines, [*pg_hba.stale_rules(now, wanted, databases, [name]), *pg_hba.late_rules(now, [name])])


DEBIAN = [
    "local all postgres peer",
    "local all all peer",
    "host all all 127.0.0.1/32 scram-sha-256",
    "host all all ::1/128 scram-sha-256",
    "local replication all peer",
    "host replication all 127.0.0.1/32 scram-sha-256",
]
SHOP = ["local shop shop peer", "local all shop reject", "host all shop all reject"]
BLOG = [
    "local blog blog peer",
    "hostssl blog blog 10.0.0.7/32 scram-sha-256",
    "local all blog reject",
    "host all blog all reject",
]


def test_an_application_s_rules_come_before_those_for_everybody() -> None:
    assert provision(DEBIAN, "shop") == [DEBIAN[0], *SHOP, *DEBIAN[1:]]


def test_a_second_run_and_another_application_change_nothing_of_the_first() -> None:
    first = provision(DEBIAN, "shop")
    assert provision(first, "shop") == first
    both = provision(first, "blog", ["10.0.0.7/32"])
    assert both == [DEBIAN[0], *SHOP, *BLOG, *DEBIAN[1:]]
    assert provision(both, "shop") == both
    assert provision(both, "blog", ["10.0.0.7/32"]) == both


@pytest.mark.parametrize(
    ("clients", "databases", "added"),
    [
        (["10.0.0.7/32"], ["shop"], "hostssl shop shop 10.0.0.7/32 scram-sha-256"),
        ([], ["shop", "archive"], "local archive shop peer"),
    ],
)
def test_what_is_added_later_comes_before_what_keeps_the_role_out(
    clients: list[str], databases: list[str], added: str
) -> None:
    lines = provision(provision(DEBIAN, "shop"), "shop", clients, databases)
    assert added in lines
    assert lines.index(added) < lines.index("local all shop reject") < lines.index("local all all peer")
    assert lines.index(added) < lines.index("host all shop all reject")


def test_rules_of_others_stay_in_their_order_with_their_options() -> None:
    own = ["local all report peer map=staff", "host all all 10.1.0.0/16 scram-sha-256 clientcert=verify-ca"]
    lines = provision([*DEBIAN, *own], "shop")
    assert [line for line in lines if line not in SHOP] == [DEBIAN[0], own[0], *DEBIAN[1:], own[1]]


def test_a_client_that_is_no_longer_named_goes_and_nothing_else() -> None:
    both = provision(provision(DEBIAN, "blog", ["10.0.0.7/32"]), "shop", ["10.0.0.7/32"])
    lines = provision(both, "shop")
    assert set(both) - set(lines) == {"hostssl shop shop 10.0.0.7/32 scram-sha-256"}


def test_a_removed_application_leaves_no_rule() -> None:
    both = provision(provision(DEBIAN, "blog", ["10.0.0.7/32"]), "shop")
    assert play(both, pg_hba.stale_rules([found(line) for line in both], [], ["blog"], ["blog"])) == provision(
        DEBIAN, "shop"
    )


def test_a_network_has_a_prefix_and_no_host_bits() -> None:
    assert pg_hba.bad_networks(["10.0.0.0/24", "10.0.0.1/24", "10.0.0.1"]) == [
        "10.0.0.1/24 has host bits set",
        "10.0.0.1 has no /prefix",
    ]
