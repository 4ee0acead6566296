"""What the postgresql role promises of a change of clients and passwords, asked of a server that is changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from testinfra.backend.base import CommandResult
from testinfra.host import Host

testinfra_hosts = ["postgresql-trixie"]

Connect = Callable[..., CommandResult]
Play = Callable[..., Any]  # conftest.Played

PASSWORD_FILE = "/etc/slipway/postgresql/shop.password"


def test_a_lost_password_is_made_anew(
    server: Host, connect: Connect, play: Play, started: Callable[[], str], leaks: Callable[[], str]
) -> None:
    """The role's changes with it, the application's host learns it, and no other does."""
    before = started()
    old = server.check_output(f"cat {PASSWORD_FILE}")
    server.check_output(f"rm {PASSWORD_FILE}")
    played = play("-vvv", "--diff", limit="all")
    assert not played.failed, played.output
    new = server.check_output(f"cat {PASSWORD_FILE}")
    assert new != old
    assert connect().stdout.strip() == "shop"
    assert connect(password=old).failed
    assert new not in played.output
    assert leaks() == ""
    assert started() == before


def test_a_client_that_is_no_longer_named_is_refused(connect: Connect, play: Play, started: Callable[[], str]) -> None:
    """The other environment's stays. No other connection is cut."""
    before = started()
    try:
        assert not play(shop_clients=[]).failed
        assert "pg_hba.conf rejects connection" in connect().stderr
        assert "password authentication failed" in connect("blog", "blog", password="wrong").stderr
    finally:
        assert not play().failed
    assert connect().succeeded
    assert started() == before


def test_one_environment_cannot_cut_off_anothers_clients(
    server: Host, connect: Connect, play: Play, started: Callable[[], str]
) -> None:
    """The addresses to listen on are the server's: an environment without its own clients must not close them."""
    before = started()
    rules = server.check_output("sha256sum /etc/postgresql/*/main/pg_hba.conf")
    played = play(postgresql_listen_addresses=[], shop_clients=[])
    assert played.failed
    assert "also serves clients on other hosts: the databases blog have rules" in played.output
    assert "postgresql_listen_addresses" in played.output
    assert server.check_output("sha256sum /etc/postgresql/*/main/pg_hba.conf") == rules
    assert started() == before
    assert connect().succeeded
