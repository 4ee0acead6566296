"""What checkers from outside say of the edge as it is after the first run. Before the other tests, which change it.

testssl.sh takes a minute for each server: SLIPWAY_CHECKERS=all asks it of all of them (`make test-checkers`), otherwise of one.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

import checkers
from authority import Authority, authority  # noqa: F401 - a fixture
from https import Secure
from probe import DEADLINE_SECONDS, administrator, server

NGINX = ["certificates-trixie", "certificates-bookworm"]
SERVERS = [*NGINX, "certificates-apache"]
RATED = SERVERS if os.environ.get("SLIPWAY_CHECKERS") == "all" else SERVERS[:1]

# What is found and is right: for each finding, why.
TESTSSL = {
    "cert_revocation": "Pebble's certificates name no list of revoked ones; those of Let's Encrypt do",
    "DNS_CAArecord": "a record in the DNS of the domain's owner",
}
HTTPLINT = {
    "HSTS doesn't apply to subdomains.": "other sites may be there: edge_hsts_include_subdomains",
    "This response allows caches to assign their own freshness lifetimes to it.": "the application says nothing of caches",
}


@pytest.fixture
def site(name: str, authority: Authority) -> Secure:  # noqa: F811
    """A server's site, as a visitor has it who trusts the CA."""
    return Secure(str(server(name)["ansible_host"]), f"{name}.test", authority.root())


def response(site: Secure, path: str, *, plain: bool = False) -> bytes:
    """Return the bytes of a response, over HTTPS or HTTP."""
    request = f"GET {path} HTTP/1.1\r\nHost: {site.domain}\r\nConnection: close\r\n\r\n".encode()
    connected = socket.create_connection((site.address, 80), DEADLINE_SECONDS) if plain else site.connect()
    with connected as sock:
        sock.sendall(request)
        return b"".join(iter(lambda: sock.recv(65536), b""))


@pytest.mark.parametrize("name", RATED)
def test_testssl_gives_the_best_grade_and_finds_nothing_else(site: Secure, authority: Authority) -> None:  # noqa: F811
    found = checkers.testssl(authority.host, site.address, site.domain, site.root)
    assert found["overall_grade"] == "OK A+", found
    # WARN is of the checker itself: what it could not check.
    bad = {name: said for name, said in found.items() if not said.startswith(("OK ", "INFO ", "WARN "))}
    assert not bad.keys() - TESTSSL.keys(), bad


@pytest.mark.parametrize("name", SERVERS)
def test_sslyze_finds_the_server_as_the_guideline_wants_it(site: Secure, tmp_path: Path) -> None:
    checked = checkers.sslyze(site.address, site.domain, site.root, "intermediate", tmp_path)
    assert checked.returncode == 0, checked.stdout
    assert "OK - Compliant" in checked.stdout


@pytest.mark.parametrize("name", NGINX)
def test_gixy_finds_nothing_without_a_reason(name: str, tmp_path: Path) -> None:
    assert checkers.gixy(administrator(name), tmp_path) == []


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize(
    ("path", "plain", "status"),
    [
        ("/", False, 200),
        ("/static/style.css", False, 200),
        ("/", True, 308),
        ("/.env", False, 404),
        ("/nothing", False, 404),
    ],
    ids=["page", "asset", "redirect", "edge's error", "application's error"],
)
def test_httplint_finds_nothing_without_a_reason(site: Secure, path: str, plain: bool, status: int) -> None:
    answer = response(site, path, plain=plain)
    assert answer.startswith(f"HTTP/1.1 {status} ".encode()), answer
    notes = checkers.httplint(answer)
    assert "GOOD" in notes.values(), notes
    assert not [note for note, level in notes.items() if level in {"WARN", "BAD"} and note not in HTTPLINT], notes
