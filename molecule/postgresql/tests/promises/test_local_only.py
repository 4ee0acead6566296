"""What holds where the application and its database share a host."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from testinfra.host import Host

testinfra_hosts = ["postgresql-bookworm"]

Sql = Callable[..., str]


@pytest.mark.after_reboot
def test_nothing_listens_on_the_network(server: Host) -> None:
    """The socket is the only way in."""
    assert "postgres" in server.check_output("ss --no-header --listening --unix --processes")
    assert "postgres" not in server.check_output("ss --no-header --listening --tcp --udp --processes")


def test_there_is_no_password_anywhere(server: Host, sql: Sql) -> None:
    """Not in the server, not in a file."""
    assert sql("SELECT rolname FROM pg_authid WHERE rolpassword IS NOT NULL") == ""
    assert not server.file("/etc/slipway/postgresql").exists
