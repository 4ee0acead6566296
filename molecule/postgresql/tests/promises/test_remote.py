"""What holds where the application runs on another host."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from testinfra.backend.base import CommandResult
from testinfra.host import Host

testinfra_hosts = ["postgresql-trixie"]

Connect = Callable[..., CommandResult]
Sql = Callable[..., str]

PASSWORD_FILE = "/etc/slipway/postgresql/shop.password"


# --- The way in


@pytest.mark.after_reboot
def test_the_application_connects_with_tls_and_its_password(connect: Connect) -> None:
    """channel_binding=require: the server proves that it knows the password, too, on this very connection."""
    answer = connect(statement="SELECT current_user, ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
    assert answer.stdout.strip() == "shop|t", answer.stderr


def test_without_tls_nobody_comes_in(connect: Connect) -> None:
    """The password is right, and the server does not even ask for it."""
    answer = connect(sslmode="disable")
    assert answer.failed
    assert "pg_hba.conf rejects connection for host" in answer.stderr
    assert "no encryption" in answer.stderr


def test_a_wrong_password_is_refused(connect: Connect) -> None:
    """The role's name and the network alone open nothing."""
    assert 'password authentication failed for user "shop"' in connect(password="wrong").stderr


@pytest.mark.parametrize(
    ("role", "database"),
    [("shop", "guestbook"), ("shop", "postgres"), ("shop", "template1"), ("blog", "shop"), ("guestbook", "guestbook")],
)
def test_a_rule_is_for_one_role_and_one_database(connect: Connect, role: str, database: str) -> None:
    """No other comes in through it."""
    answer = connect(role, database)
    assert answer.failed
    assert f'user "{role}", database "{database}", SSL encryption' in answer.stderr
    assert "pg_hba.conf rejects connection" in answer.stderr


def test_a_rule_is_for_one_network(connect: Connect, server: Host) -> None:
    """The server's own address is not the client's."""
    answer = connect(source=server, password="any")
    assert answer.failed
    assert "pg_hba.conf rejects connection" in answer.stderr


@pytest.mark.after_reboot
def test_the_server_listens_where_it_was_told_alone(server: Host, address: str) -> None:
    """Also after a reboot, when an address may come up late."""
    listening = server.check_output("ss --no-header --listening --tcp --numeric --processes | grep postgres")
    assert [line.split()[3] for line in listening.splitlines()] == [f"{address}:5432"]


# --- The password


def test_a_password_is_for_root_alone(server: Host) -> None:
    """The folder and the file."""
    assert server.check_output(f"stat --format '%a %U:%G' /etc/slipway/postgresql {PASSWORD_FILE}").split("\n") == [
        "700 root:root",
        "600 root:root",
    ]
    assert len(server.file(PASSWORD_FILE).content_string.strip()) >= 32


def test_the_server_keeps_no_password_but_its_scram_verifier(sql: Sql) -> None:
    """And none for a role that did not ask for one."""
    kept = sql("SELECT rolname, left(rolpassword, 14) FROM pg_authid WHERE rolcanlogin ORDER BY rolname")
    assert kept.splitlines() == [
        "blog|SCRAM-SHA-256$",
        "guestbook|",
        "postgres|",
        "shop|SCRAM-SHA-256$",
    ]


def test_a_password_appears_nowhere_else_on_the_server(leaks: Callable[[], str]) -> None:
    """Not in the server's log either, which has every statement here."""
    assert leaks() == ""
