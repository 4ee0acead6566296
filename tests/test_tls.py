"""For which hosts a public CA can issue, and which of them it cannot validate over HTTP."""

from __future__ import annotations

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.slipway.flask.plugins.filter.tls import FilterModule, public_hosts

from plugin import ROOT

WILDCARDS = ["*.example.org", ".example.org", "*.EXAMPLE.org.", "*.bücher.de"]


@pytest.mark.parametrize(
    "host",
    [
        "example.org",
        "Guestbook.Example.ORG",
        "example.org.",
        "bücher.de",
        "xn--bcher-kva.de",
        "उदाहरण.परीक्षा",
        "test.org",
        "local.example.net",
        "1.example.org",
        "internal-tools.io",
        "8.8.8.8",
        "2606:4700:4700::1111",
        "[2606:4700:4700::1111]",
        "2606:4700:4700:0:0:0:0:1111",
        *WILDCARDS,
    ],
)
def test_a_public_ca_issues_for_what_the_whole_internet_can_reach(host: str) -> None:
    assert public_hosts([host]) == [host]


@pytest.mark.parametrize(
    "host",
    [
        "guestbook.test",
        "guestbook.TEST.",
        "www.guestbook.example",
        "guestbook.invalid",
        "app.localhost",
        "printer.local",
        "wiki.internal",
        "router.home.arpa",
        "1.0.0.127.in-addr.arpa",
        "abcdefghijklmnop.onion",
        "name.alt",
        "localhost",
        "org",
        "org.",
        "bücher",
        "*.guestbook.test",
        ".guestbook.test",
    ],
)
def test_no_public_ca_issues_for_a_name_that_is_not_in_the_public_dns(host: str) -> None:
    assert public_hosts([host]) == []


@pytest.mark.parametrize(
    "host",
    [
        "10.0.0.1",
        "127.0.0.1",
        "100.64.0.1",
        "169.254.1.1",
        "172.16.3.4",
        "192.168.1.1",
        "203.0.113.5",
        "224.0.0.251",
        "0.0.0.0",
        "255.255.255.255",
        "::1",
        "[::1]",
        "fd00::1",
        "fe80::1",
        "fe80::1%eth0",
        "2606:4700::1%eth0",
        "2001:db8::1",
        "[2001:db8::1]",
        "ff02::1",
    ],
)
def test_no_public_ca_issues_for_an_address_that_is_not_routed_globally(host: str) -> None:
    assert public_hosts([host]) == []


@pytest.mark.parametrize(
    "host",
    [
        "",
        ".",
        "*",
        "*.",
        "*.org",
        ".org",
        "www.*",
        "www.example.*",
        "www.*.org",
        "*.*.org",
        "*www.example.org",
        "*..org",
        "a..org",
        "..example.org",
        "example.org..",
        "example.org:80",
        "[8.8.8.8]",
        "[example.org]:80",
        "8.8.8.300",
        "8.8",
    ],
)
def test_no_public_ca_issues_for_what_is_no_name_of_a_host(host: str) -> None:
    assert public_hosts([host]) == []


def test_hosts_come_back_as_given_and_in_their_order() -> None:
    hosts = ["B.example.org", "guestbook.test", "[2606:4700::1]", "10.0.0.1", "a.example.org."]
    assert public_hosts(hosts) == ["B.example.org", "[2606:4700::1]", "a.example.org."]
    assert public_hosts([]) == []


def test_templates_find_the_filters_by_name() -> None:
    assert FilterModule().filters() == {"public_hosts": public_hosts}


@pytest.mark.parametrize(
    ("names", "source"),
    [
        (["book.example.org"], "acme"),
        (["book.test", "book.example.org"], "acme"),
        (["8.8.8.8"], "acme"),
        (["book.test"], "off"),
        (["localhost", "10.0.0.5"], "off"),
        ([], "off"),
    ],
)
def test_https_is_the_default_where_a_public_ca_could_give_a_certificate(names: list[str], source: str) -> None:
    loader = DataLoader()
    defaults = loader.load_from_file(str(ROOT / "roles/edge/defaults/main.yml"), trusted_as_template=True)
    assert Templar(loader, {"edge_server_names": names}).template(defaults["edge_tls"]) == source
