"""What the playbooks make of what the roles returned on each host."""

from __future__ import annotations

import json
from typing import Any

from ansible_collections.slipway.flask.plugins.filter.site import addresses, site_logs, site_removal, site_status


def said(*lines: str, errors: tuple[str, ...] = (), code: int = 0) -> dict[str, Any]:
    return {"rc": code, "stdout": "\n".join(lines), "stdout_lines": [*lines], "stderr_lines": [*errors]}


def test_a_host_is_reached_on_its_private_network_where_it_has_one() -> None:
    hostvars = {
        "web1": {"private_address": "10.0.0.1", "ansible_host": "203.0.113.1"},
        "web2": {"ansible_host": "203.0.113.2"},
        "db1": {},
    }
    assert addresses(hostvars, hostvars) == {"web1": "10.0.0.1", "web2": "203.0.113.2", "db1": "db1"}


def test_logs_come_host_by_host_and_of_one_that_cannot_be_reached_that_is_said() -> None:
    hostvars: dict[str, dict[str, Any]] = {
        "web1": {
            "process_manager_logs": said("started", errors=("-- no entries",)),
            "edge_logs": {"results": [{"item": "a.access.log", **said("GET /")}, {"item": "a.error.log", **said()}]},
            "database_logs": {"skipped": True},
        },
        "db1": {"database_logs": said("ready")},
        "gone": {},
    }
    assert site_logs(hostvars, hostvars, ["web1", "db1"]) == [
        {"title": "web1, application", "lines": ["started", "-- no entries"]},
        {"title": "web1, edge, a.access.log", "lines": ["GET /"]},
        {"title": "web1, edge, a.error.log", "lines": []},
        {"title": "db1, database", "lines": ["ready"]},
        {"title": "gone", "lines": ["It cannot be reached or read."]},
    ]


def mail(arrived: int, reason: str = "") -> str:
    """Return a line of postqueue -j."""
    recipient = {"address": "ada@mail.test"} | ({"delay_reason": reason} if reason else {})
    return json.dumps({"queue_name": "deferred", "arrival_time": arrived, "recipients": [recipient]})


def test_a_status_has_what_is_known_of_each_host() -> None:
    hostvars: dict[str, dict[str, Any]] = {
        "web1": {"application_status": {"status": {"active": "a"}}, "database_status": {"skipped": True}},
        "db1": {"database_status": said('{"book": {"bytes": 7, "connections": 2}}')},
        "down": {"database_status": said("", errors=("psql: no server",), code=2)},
        "empty": {"database_status": said("{}"), "certificates_state": said("skipped, since it does not exist")},
        "odd": {"certificates_state": said("", errors=("no program",), code=2)},
        "old": {"edge_answer": {"status": 308, "location": "https://new.test/"}},
        "stopped": {"edge_answer": {"msg": "no answer"}},
        "page": {"edge_answer": {"status": 200, "location": ""}},
        "queue": {"valkey_status": said("# Memory\r", "used_memory:5\r", "maxmemory:9\r")},
        "mail": {"mail_relay_status": said("active", "1000", mail(999), mail(900, "refused"), mail(900)[:-9])},
        "late": {"certificates_state": said('{"problem": "the CA is away"}')},
        "stuck": {"mail_relay_status": said("active", "9999", mail(900, "refused"))},
        "dead": {"mail_relay_status": said("failed", "1000")},
        "full": {"valkey_status": said("", errors=("Could not connect",), code=1)},
        "gone": {},
    }
    hosts = site_status(hostvars, hostvars, [name for name in hostvars if name != "gone"], "book", redirects=True)[
        "hosts"
    ]
    nothing = {
        "certificate": "",
        "database": None,
        "mail_relay": None,
        "valkey": None,
        "edge": None,
        "redirect": None,
        "problem": "",
    }
    assert hosts["web1"] == {"application": {"active": "a"}, **nothing}
    assert {name: host["redirect"] for name, host in hosts.items() if host["redirect"]} == {
        "old": {"to": "https://new.test/", "problem": ""},
        "stopped": {"to": "", "problem": "no answer"},
        "page": {"to": "", "problem": "it answers 200, which is not a redirect. Run site.yml."},
    }
    assert {name: host["edge"] for name, host in hosts.items() if host["edge"]} == {
        "old": {"status": 308, "problem": ""},
        "stopped": {"status": None, "problem": "no answer"},
        "page": {"status": 200, "problem": ""},
    }
    assert site_status(["page"], hostvars, ["page"], "book")["hosts"]["page"]["redirect"] is None
    known = {name: hosts[name]["database"] for name in ("db1", "down", "empty")}
    assert known == {
        "db1": {"name": "book", "bytes": 7, "connections": 2, "problem": ""},
        "down": {"name": "book", "bytes": None, "connections": 0, "problem": "psql: no server"},
        "empty": {"name": "book", "bytes": None, "connections": 0, "problem": ""},
    }
    assert {name: host["certificate"] for name, host in hosts.items() if host["certificate"]} == {
        "late": "the CA is away",
        "odd": "no program",
    }
    assert hosts["queue"]["valkey"] == {"bytes": 5, "most": 9, "problem": ""}
    assert hosts["full"]["valkey"] == {"bytes": 0, "most": 0, "problem": "Could not connect"}
    assert {name: host["mail_relay"] for name, host in hosts.items() if host["mail_relay"]} == {
        "mail": {"waiting": 2, "reason": "refused", "problem": ""},
        "stuck": {"waiting": 1, "reason": "refused", "problem": "1 waiting, one for more than an hour (refused)"},
        "dead": {"waiting": 0, "reason": "", "problem": "Postfix does not run (failed)"},
    }
    assert hosts["gone"] == {
        "application": None,
        "certificate": "",
        "database": None,
        "edge": None,
        "mail_relay": None,
        "valkey": None,
        "redirect": None,
        "problem": "it cannot be reached or read.",
    }


def removal(hostvars: dict[str, Any], *, database: bool = False, dry_run: bool = False) -> list[str]:
    return site_removal(
        hostvars, hostvars, "book", app_hosts=["web1", "web2"], db_host="db1", database=database, dry_run=dry_run
    )


def test_a_removal_says_what_is_gone_and_what_is_kept() -> None:
    kept = {"changed": True, "kept": ["shared", "release.log"], "folder": "/var/backups/slipway/book-1"}
    hostvars: dict[str, Any] = {
        "web1": {
            "application_removed": kept,
            "valkey_removed": {"changed": True, **said("/var/backups/slipway/book-valkey-1")},
            "mail_relay_removed": {
                "changed": False,
                **said("skipped, since /etc/slipway/mail_relay/book does not exist"),
            },
        },
        "web2": {
            "application_removed": {"changed": False, "kept": []},
            "mail_relay_removed": {"changed": True, **said("/var/backups/slipway/book-mail-1")},
        },
        "db1": {"database_dumps": said("/var/backups/slipway/book.dump")},
    }
    apps = [
        "web1: shared, release.log are kept in /var/backups/slipway/book-1/",
        "web1: the data of its Valkey is kept in /var/backups/slipway/book-valkey-1/",
        "web2: book was not found, nothing was removed.",
        "web2: mail that was not sent yet is kept in /var/backups/slipway/book-mail-1/",
    ]
    dump = "db1: a dump of the database that was removed is kept as /var/backups/slipway/book.dump"
    assert removal(hostvars, database=True) == ["web1: book was removed.", *apps, dump]
    assert removal(hostvars, dry_run=True)[0] == "web1: book would be removed."


def test_a_removal_that_leaves_the_database_says_so() -> None:
    stays = "db1: the database, if there is one, was kept; -e remove_database=true removes it, after a dump."
    assert removal({"db1": {}}) == [stays]


def test_a_site_that_only_redirects_is_removed_from_its_edge() -> None:
    hostvars: dict[str, Any] = {"edge1": {"edge_absent": {"changed": True}}, "edge2": {}}
    assert site_removal(hostvars, hostvars, "old", app_hosts=[], db_host="", database=False, dry_run=False) == [
        "edge1: old was removed.",
        "edge2: old was not found, nothing was removed.",
    ]
