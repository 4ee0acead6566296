"""What the role connection_limit promises, asked of the running system."""

from __future__ import annotations

import functools
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from testinfra.host import Host

import connections
import probe
from connections import CLIENT, CLIENT6, EXEMPT, NEIGHBOUR6, OTHER6, SERVER, SERVER6
from probe import said, until

LOG_UNITS = "slipway-connection-limit@*"
# Of two environments with the port 80 the first has the stricter limit; the second has 8080 too.
FIRST, SECOND, MORE = 20, 30, 40

Play = Callable[..., subprocess.CompletedProcess[str]]
Opened = Callable[..., int]


@pytest.fixture(scope="module", autouse=True)
def client(host: Host) -> None:
    """A client in its own network."""
    connections.install(host)


@pytest.fixture
def opened(host: Host) -> Opened:
    """Try more connections at once than are allowed; return how many came about, where all others were refused."""

    def of(source: str = CLIENT, address: str = SERVER, **how: Any) -> int:
        counts = connections.attempt(host, MORE, address, source, **how)
        assert counts["waited"] == 0
        return counts["opened"]

    return of


@pytest.fixture
def play(host: Host) -> Iterator[Play]:
    """Run the scenario's play again for this server; in the end as it was."""
    again = functools.partial(
        probe.play, probe.ROOT / "molecule/connection_limit/converge.yml", "--limit", host.backend.host
    )
    yield again
    assert again().returncode == 0


@pytest.mark.after_reboot
def test_an_address_may_hold_so_many_connections_and_no_more(opened: Opened) -> None:
    assert opened() == FIRST
    assert opened(port=8080) == SECOND


@pytest.mark.after_reboot
def test_an_exempt_address_may_hold_any_number(opened: Opened) -> None:
    assert opened(EXEMPT) == MORE
    assert opened(OTHER6, SERVER6) == MORE


@pytest.mark.one_debian
def test_one_client_s_connections_are_nothing_to_another(opened: Opened, host: Host) -> None:
    with connections.hold(host, [(FIRST, "")], source=EXEMPT):
        assert opened() == FIRST


def test_addresses_of_one_ipv6_network_are_one_client(opened: Opened, host: Host) -> None:
    with connections.hold(host, [(FIRST, "")], source=CLIENT6):
        assert opened(NEIGHBOUR6, SERVER6) == 0
    assert opened(NEIGHBOUR6, SERVER6) == FIRST


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2", SERVER, "::1"])
def test_a_user_of_the_server_is_limited_too_and_root_is_not(opened: Opened, address: str) -> None:
    assert opened(address, address, within="runuser -u nobody --") == FIRST
    assert opened(address, address, within="") == MORE


def test_the_firewall_s_own_configuration_does_not_take_the_limit_away(opened: Opened, host: Host) -> None:
    """Debian's begins with `flush ruleset`."""
    for verb in ("start", "reload", "restart", "stop"):
        host.check_output(f"systemctl {verb} nftables")
        until(
            lambda: host.check_output("nft list tables").count("slipway_connection_limit") == 2,
            f"the tables are back after {verb}",
        )
        assert opened() == FIRST
        assert opened(port=8080) == SECOND


@pytest.mark.one_debian
def test_a_changed_limit_is_loaded_and_one_that_was_lost_is_made_good(opened: Opened, host: Host, play: Play) -> None:
    assert play(one_per_address=25).returncode == 0
    assert opened() == 25
    host.check_output("nft flush ruleset")
    assert opened() == MORE
    assert play(one_per_address=25).returncode == 0
    assert opened() == 25


@pytest.mark.one_debian
def test_a_kernel_that_cannot_count_is_one_message(opened: Opened, host: Host, play: Play) -> None:
    host.check_output(
        "dpkg-divert --quiet --rename --add /usr/sbin/nft"
        " && printf '#!/bin/sh\\necho Could not process rule >&2; exit 1\\n' > /usr/sbin/nft && chmod +x /usr/sbin/nft"
    )
    try:
        result = play(one_per_address=25)
    finally:
        host.check_output("rm /usr/sbin/nft && dpkg-divert --quiet --rename --remove /usr/sbin/nft")
    assert result.returncode != 0
    assert "connection_limit_enabled: the kernel of" in said(result)
    assert "was not written: Could not process rule" in said(result)
    assert opened() == FIRST


@pytest.mark.one_debian
def test_a_limit_that_is_not_wanted_is_taken_away(opened: Opened, host: Host, play: Play) -> None:
    assert play(one_enabled=False).returncode == 0
    assert opened() == SECOND
    assert host.check_output("ls /etc/slipway-connection-limit-*") == "/etc/slipway-connection-limit-site-two.nft"
    assert "changed=0" in play(one_enabled=False).stdout


def test_connections_that_are_over_are_soon_forgotten(opened: Opened, host: Host) -> None:
    """Else the kernel remembers each for two minutes, and a client that comes and goes fills its table for everybody."""
    host.run("conntrack -F")
    opened(EXEMPT)
    opened(OTHER6, SERVER6)
    opened("127.0.0.1", "127.0.0.1", within="runuser -u nobody --")
    for family in ("ipv4", "ipv6"):
        over = host.check_output(f"conntrack -L -f {family} -p tcp --dport 80 --state TIME_WAIT").splitlines()
        assert over
        assert max(int(line.split()[2]) for line in over) <= 10


@pytest.mark.after_reboot
def test_every_service_is_well(host: Host) -> None:
    assert host.check_output("systemctl list-units --failed --plain --no-legend") == ""
