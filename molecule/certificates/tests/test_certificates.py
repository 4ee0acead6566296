"""HTTPS from a real CA, over real sockets: the first certificate, its renewals, and what must not break them."""

from __future__ import annotations

import base64
import contextlib
import datetime
import json
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from testinfra.backend.base import CommandResult
from testinfra.host import Host

from authority import REFUSED, Authority, authority  # noqa: F401 - a fixture
from https import Readers, Secure
from probe import DEADLINE_SECONDS, ROOT, Site, ask, play, said, until
from renewal import DAY_SECONDS, PROGRAM, Outcome, Renewal

SCENARIO = Path(__file__).parents[1]
ENVIRONMENT = SCENARIO / "environment"
SERVERS = ("certificates-trixie", "certificates-bookworm", "certificates-apache")
SITES = {name: Site(ENVIRONMENT, "site", name, f"{name}.test") for name in SERVERS}
FIRST = SITES["certificates-trixie"]
APACHE = "certificates-apache"
# One of each web server, where the Debian makes no difference.
TWO = [FIRST, SITES[APACHE]]
LIMIT = ["--limit", f"{FIRST.server},{APACHE}"]
MORE = ["{{ inventory_hostname }}.test", "www.{{ inventory_hostname }}.test", "more.{{ inventory_hostname }}.test"]

testinfra_hosts = ["edge"]


@pytest.fixture
def site(host: Host) -> Site:
    """The site of the server that is asked."""
    return SITES[host.check_output("hostname")]


@pytest.fixture
def secure(site: Site, authority: Authority) -> Secure:  # noqa: F811
    """The site as its visitors have it."""
    return visited(site, authority)


def visited(site: Site, authority: Authority) -> Secure:  # noqa: F811
    """Return a site as a visitor has it who trusts the CA."""
    return Secure(site.address, str(site.domain), authority.root())


def run(name: str, *arguments: str, **variables: object) -> tuple[int, str]:
    """Run a playbook for the environment; return its exit code and what it said, folded."""
    result = play(ROOT / name, *arguments, inventory=ENVIRONMENT, **variables)
    return result.returncode, said(result)


def state(site: Site) -> dict[str, Any]:
    """Return what the server says of its certificate."""
    known: dict[str, Any] = json.loads(site.host.check_output(f"{PROGRAM} state site"))
    return known


class Clocks:
    """The clocks of the renewals on some servers, and of the CA with them."""

    def __init__(self, authority: Authority, *sites: Site) -> None:  # noqa: F811
        self.authority = authority
        self.renewals = [Renewal(site.host) for site in sites]

    def set(self, days: float) -> None:
        """Have all so many days ahead."""
        self.authority.want(ahead=days * DAY_SECONDS)
        for renewal in self.renewals:
            renewal.set(days * DAY_SECONDS)

    def reset(self) -> None:
        """Have the machines' own clock again."""
        self.authority.want()
        for renewal in self.renewals:
            renewal.reset()

    def tick(self) -> list[Outcome]:
        """Let the renewal run now on each server."""
        return [renewal.tick() for renewal in self.renewals]


def active(site: Site) -> str:
    """Return the release that has the traffic."""
    return site.host.check_output("readlink /srv/site/current")


@pytest.fixture
def clocks(authority: Authority) -> Iterator[Clocks]:  # noqa: F811
    """The clocks of the renewals on all servers."""
    found = Clocks(authority, *SITES.values())
    yield found
    found.reset()


@pytest.fixture
def one(authority: Authority) -> Iterator[Clocks]:  # noqa: F811
    """The clock of the renewal on one server."""
    found = Clocks(authority, FIRST)
    yield found
    found.reset()


def test_the_first_run_asked_the_ca_once_and_the_second_not_at_all(authority: Authority) -> None:  # noqa: F811
    assert authority.orders() == len(SERVERS), authority.log()


def test_the_first_run_ends_in_https_that_browsers_trust(site: Site, secure: Secure) -> None:
    assert secure.ask("/").json == {"scheme": "https", "url": f"https://{site.domain}/"}
    assert sorted(secure.names()) == [site.domain, f"www.{site.domain}"]
    context = secure.context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    with secure.connect(context) as sock:
        assert sock.selected_alpn_protocol() == "h2"


@pytest.mark.after_reboot
def test_the_site_is_on_https_and_http_leads_to_it(site: Site) -> None:
    trusting = Secure(site.address, str(site.domain))
    assert trusting.ask("/").status == 200
    for path in ("/", "/a%20b%2Fc?x=1&y=%2F", "/static/style.css", "//two"):
        answer = ask(site.address, path, site.domain)
        assert (answer.status, answer.headers["Location"]) == (308, f"https://{site.domain}{path}")
    # What the CA asks for is not on HTTPS yet when it asks for the first time.
    assert ask(site.address, "/.well-known/acme-challenge/none", site.domain).status == 404
    assert ask(site.address, "/", f"{site.domain}:80").headers["Location"] == f"https://{site.domain}/"


def test_another_name_leads_to_the_canonical_one_in_one_step(site: Site, secure: Secure) -> None:
    """From HTTP and from HTTPS."""
    name, path = f"www.{site.domain}", "/a%20b%2Fc//d?x=1&y=%2F"
    for answer in (ask(site.address, path, name), Secure(site.address, name, secure.root).ask(path)):
        assert (answer.status, answer.headers["Location"]) == (308, f"https://{site.domain}{path}")
    assert ask(site.address, "/.well-known/acme-challenge/none", name).status == 404


def test_a_host_that_no_site_claims_learns_nothing_on_443_either(site: Site) -> None:
    stranger = Secure(site.address, "stranger.test")
    nobody = Secure(site.address, "127.0.0.1")
    if site.server == APACHE:
        for visitor in (stranger, nobody):
            assert visitor.ask("/").status == 421
            assert b".test" not in visitor.certificate().public_bytes(serialization.Encoding.DER)
    else:
        for visitor in (stranger, nobody):
            with pytest.raises(ssl.SSLError):
                visitor.ask("/")


def test_http_3_is_told_of_and_answers(authority: Authority, secure: Secure, site: Site) -> None:  # noqa: F811
    """Debian 13's curl has it, and nginx on Debian 13 alone."""
    told = secure.ask("/").headers["Alt-Svc"]
    assert "Alt-Svc" not in ask(site.address, "/", site.domain).headers
    if site != FIRST:
        assert told is None
        code, refusal = run("site.yml", "--limit", site.server, edge_http3=True)
        assert code != 0
        assert "edge_http3: " in refusal
        assert "changed=0" in refusal
        return
    assert told == 'h3=":443"; ma=86400'

    def curl(name: str, path: str = "/", port: int = 443) -> CommandResult:
        trust = "printf %%s %s > /run/root.pem; curl --silent --show-error --cacert /run/root.pem --http3-only"
        show = f"--max-time {DEADLINE_SECONDS} --write-out ' %%{{http_version}} %%{{http_code}} %%{{redirect_url}}'"
        return authority.host.run(
            f"{trust} {show} --resolve %s:{port}:%s https://%s{'' if port == 443 else f':{port}'}%s",
            secure.root,
            name,
            site.address,
            name,
            path,
        )

    for port, place in ((443, site.domain), (8443, f"{site.domain}:8443")):
        page = json.dumps({"scheme": "https", "url": f"https://{place}/"}, separators=(",", ":"))
        assert curl(f"{site.domain}", port=port).stdout.replace("\n", "") == f"{page} 3 200 "
    assert curl(f"{site.domain}", "/static/style.css").stdout.endswith(" 3 200 ")
    assert curl(f"www.{site.domain}", "/a?b").stdout.endswith(f" 3 308 https://{site.domain}/a?b")
    # Not that nothing listens there.
    assert "QUIC connection has been shut down" in curl("stranger.test").stderr


def test_old_versions_of_tls_are_refused_and_the_group_is_the_best_that_openssl_has(host: Host, site: Site) -> None:
    client = f"openssl s_client -connect 127.0.0.1:443 -servername {site.domain} -brief"
    assert host.run(f"{client} -tls1_1 -cipher DEFAULT@SECLEVEL=0 < /dev/null").rc != 0
    assert host.run(f"{client} -tls1_2 < /dev/null").rc == 0
    assert host.run(f"{client} -tls1_2 -cipher ECDHE-ECDSA-AES256-SHA < /dev/null").rc != 0
    told = host.run(f"{client} < /dev/null 2>&1").stdout
    assert "TLSv1.3" in told
    if "bookworm" in site.server:
        assert host.run(f"{client} -groups X25519 < /dev/null").rc == 0  # OpenSSL 3.0 has nothing better
        assert "X25519" in told
    else:
        assert "X25519MLKEM768" in told


def test_every_answer_has_the_headers_and_the_application_s_own_win(site: Site, secure: Secure) -> None:
    for path, status in (
        ("/", 200),
        ("/none", 404),
        ("/static/style.css", 200),
        ("/static/none.css", 404),
        ("/.git/config", 404),
    ):
        answer = secure.ask(path)
        assert answer.status == status
        assert answer.headers.get_all("Strict-Transport-Security") == ["max-age=31536000"], path
        assert answer.headers.get_all("X-Content-Type-Options") == ["nosniff"], path
        assert answer.headers.get_all("Referrer-Policy") == ["strict-origin-when-cross-origin"], path
    http = ask(site.address, "/", site.domain)
    https = Secure(site.address, f"www.{site.domain}", secure.root).ask("/")
    for answer in (http, https):
        assert answer.status == 308
        assert answer.headers.get_all("X-Content-Type-Options") == ["nosniff"]
    assert "Strict-Transport-Security" not in http.headers  # browsers ignore it there (RFC 6797, 8.1)
    assert https.headers.get_all("Strict-Transport-Security") == ["max-age=31536000"]
    own = secure.ask("/own").headers
    assert own.get_all("Referrer-Policy") == ["no-referrer"]
    assert own.get_all("X-Content-Type-Options") == ["nosniff"]


def test_nobody_but_root_can_read_a_key(host: Host) -> None:
    keys = "grep --recursive --files-with-matches 'PRIVATE KEY' /etc/slipway /var/lib/slipway /etc/nginx /etc/apache2 2>/dev/null"
    found = host.run(keys).stdout.split()
    assert any(path.endswith("privkey1.pem") for path in found)
    for path in found:
        assert host.check_output("stat --dereference --format='%%U %%a' %s", path) == "root 600"
    assert host.run("runuser -u www-data -- ls /var/lib/slipway/certificates/site/acme").rc != 0


def test_the_renewal_is_planned(host: Host) -> None:
    timer = host.service("slipway-certificate@site.timer")
    assert timer.is_running
    assert timer.is_enabled
    # Not when everybody asks.
    jitter = "systemctl show --property=RandomizedDelayUSec,FixedRandomDelay slipway-certificate@site.timer"
    assert set(host.check_output(jitter).splitlines()) == {"RandomizedDelayUSec=6h", "FixedRandomDelay=yes"}


def test_a_new_name_widens_the_certificate_and_no_request_is_lost(authority: Authority) -> None:  # noqa: F811
    visitors = [visited(site, authority) for site in SITES.values()]
    for site in SITES.values():
        authority.name(f"more.{site.domain}", site.address)
    before = authority.orders()
    with Readers(*visitors) as readers:
        code, told = run("site.yml", app_domains=MORE)
    assert code == 0, told
    assert readers.wrong == []
    assert readers.count > 0
    assert authority.orders() == before + len(SERVERS)
    for visitor in visitors:
        more = Secure(visitor.address, f"more.{visitor.domain}", visitor.root)
        assert more.ask("/").headers["Location"] == f"https://{visitor.domain}/"
        assert len(visitor.names()) == 3


def test_a_name_that_is_gone_leaves_the_certificate_at_the_next_renewal(authority: Authority, clocks: Clocks) -> None:  # noqa: F811
    """Which is in the middle of a deploy, and no visitor notices either."""
    before = authority.orders()
    for site in SITES.values():
        authority.name(f"more.{site.domain}")
    code, told = run("playbooks/provision.yml")
    assert code == 0, told
    visitors = [visited(site, authority) for site in SITES.values()]
    assert [len(visitor.names()) for visitor in visitors] == [3, 3, 3]
    clocks.set(31)
    assert [done.code for done in clocks.tick()] == [0, 0, 0]
    assert authority.orders() == before, "it was renewed after a third of its lifetime"
    clocks.set(46)
    releases = [active(site) for site in SITES.values()]
    deploy: list[tuple[int, str]] = []
    with Readers(*visitors) as readers:
        settings = {"app_env": {"SECRET_KEY": "one for all", "MOTTO": "another"}}
        runner = threading.Thread(target=lambda: deploy.append(run("playbooks/deploy.yml", **settings)))
        runner.start()
        try:
            until(lambda: FIRST.host.run("test -e /srv/site/deploy.lock").rc == 0, "the deploy has begun", 300)
            done = clocks.tick()
        finally:
            runner.join()
    assert deploy[0][0] == 0, deploy[0][1]
    assert [one.code for one in done] == [0, 0, 0], done
    assert readers.wrong == []
    for site, release, visitor in zip(SITES.values(), releases, visitors, strict=True):
        assert active(site) != release
        assert sorted(visitor.names()) == [visitor.domain, f"www.{visitor.domain}"]


def test_a_renewal_that_is_late_is_a_failed_unit_and_part_of_the_status(authority: Authority, clocks: Clocks) -> None:  # noqa: F811
    visitors = [visited(site, authority) for site in SITES.values()]
    serials = [visitor.certificate().serial_number for visitor in visitors]
    authority.stop()
    try:
        # The CA is away, and there is time: no alarm.
        clocks.set(50)
        assert [done.code for done in clocks.tick()] == [0, 0, 0]
        clocks.set(61)
        done = clocks.tick()
        assert [one.code for one in done] == [1, 1, 1]
        for outcome, renewal in zip(done, clocks.renewals, strict=True):
            assert "was not renewed" in outcome.log
            assert "authority.test" in outcome.log
            assert renewal.failed()
        code, told = run("playbooks/status.yml")
        assert code == 0, told
        assert told.count("renewal ") == len(SERVERS), told
        # And the visitors notice nothing.
        assert [visitor.certificate().serial_number for visitor in visitors] == serials
    finally:
        authority.start()
    # This CA forgets its accounts when it ends.
    for site in SITES.values():
        site.host.check_output("rm -r /var/lib/slipway/certificates/site/acme/accounts")
    with Readers(*(visited(site, authority) for site in SITES.values())) as readers:
        done = clocks.tick()
    assert [one.code for one in done] == [0, 0, 0], done
    wrong = [one for one in readers.wrong if "CERTIFICATE_VERIFY_FAILED" not in one]  # its root is another, too
    assert wrong == []
    for site, serial in zip(SITES.values(), serials, strict=True):
        assert visited(site, authority).certificate().serial_number != serial
        assert state(site)["problem"] == ""


def test_a_name_that_leads_elsewhere_is_told_before_the_ca_is_asked(authority: Authority) -> None:  # noqa: F811
    authority.name(f"more.{FIRST.domain}", SITES[APACHE].address)
    before = authority.orders()
    # Without a canonical host, to which every other name would lead.
    wanted = {"app_domains": MORE, "edge_canonical_host": "", "edge_http_until_certificate": False}
    code, told = run("playbooks/certificate.yml", *LIMIT, **wanted)
    assert code != 0
    assert f"app_domains: more.{APACHE}.test has no address in DNS" in told
    assert (
        f"app_domains: more.{FIRST.domain} points to {SITES[APACHE].address}, and this server is {FIRST.address}"
        in told
    )
    assert "Where a CDN or proxy in front leads here, set certificates_acme_check_addresses to false" in told
    assert 'set edge_tls to "off" and edge_trusted_proxies to its addresses.' in told
    assert authority.orders() == before
    for site in TWO:
        assert visited(site, authority).ask("/").status == 200
        # Nothing is sent in the clear of a name that has no certificate yet, if that is wanted.
        for path in ("/", "/static/style.css"):
            answer = ask(site.address, path, f"more.{site.domain}")
            assert (answer.status, answer.headers["Retry-After"]) == (503, "60"), path
            assert answer.headers.get_all("X-Content-Type-Options") == ["nosniff"]
            assert answer.headers.get_all("Referrer-Policy") == ["strict-origin-when-cross-origin"]


def test_a_name_that_the_ca_refuses_is_told_and_not_asked_for_again_at_once(authority: Authority, one: Clocks) -> None:  # noqa: F811
    authority.name(REFUSED, FIRST.address)
    before = authority.orders()
    # Of this server alone: a name of several is refused before.
    other = (
        f"{{{{ '{REFUSED}' if inventory_hostname == '{FIRST.server}' else 'www.' ~ inventory_hostname ~ '.test' }}}}"
    )
    wanted = {"app_domains": ["{{ inventory_hostname }}.test", other]}
    code, told = run("playbooks/certificate.yml", *LIMIT, app_domains=["{{ inventory_hostname }}.test", REFUSED])
    assert code != 0
    assert f"app_domains: {REFUSED} is a name of several hosts of the group edge" in told
    code, told = run("playbooks/certificate.yml", "--limit", FIRST.server, **wanted)
    assert code != 0
    assert REFUSED in told
    assert "The site stays as it was." in told
    asked = authority.orders()
    assert asked == before + 1
    assert visited(FIRST, authority).ask("/").status == 200
    code, told = run("playbooks/certificate.yml", "--limit", FIRST.server, **wanted)
    assert code != 0
    assert "it is not asked again before" in told
    assert "-e certificates_acme_retry=true" in told
    assert authority.orders() == asked
    run("playbooks/certificate.yml", "--limit", FIRST.server, **wanted, certificates_acme_retry=True)
    assert authority.orders() == asked + 1
    # What is refused holds up no renewal of the rest.
    one.set(61)
    (done,) = one.tick()
    assert done.code == 0, done.log
    one.reset()
    # Nothing lacks now; a new one is obtained where that is wanted.
    known, asked = visited(FIRST, authority).certificate(), authority.orders()
    code, told = run("playbooks/certificate.yml", "--limit", FIRST.server, certificates_acme_renew=True)
    assert code == 0, told
    assert authority.orders() == asked + 1
    assert visited(FIRST, authority).certificate().public_key() != known.public_key()
    assert state(FIRST)["problem"] == ""


def test_a_certificate_is_renewed_early_where_the_ca_says_so(authority: Authority, one: Clocks) -> None:  # noqa: F811
    before = authority.asked()
    serial = visited(FIRST, authority).certificate().serial_number

    def tick(days: float, renewal: list[float]) -> None:
        one.renewals[0].set(days * DAY_SECONDS)
        authority.want(ahead=days * DAY_SECONDS, renewal=renewal)
        (done,) = one.tick()
        assert done.code == 0, done.log

    # More than a third of the lifetime is left, so it is the CA's word alone that counts.
    tick(58, [DAY_SECONDS, 2 * DAY_SECONDS])
    assert authority.asked() == before
    # (An answer is good for six hours, so the clock is that of another day.)
    tick(59, [-2 * DAY_SECONDS, -DAY_SECONDS])
    assert authority.asked() == before + 1
    assert visited(FIRST, authority).certificate().serial_number != serial


def test_a_clock_that_is_wrong_burns_no_rate_limit_and_is_told(authority: Authority, one: Clocks) -> None:  # noqa: F811
    before = authority.asked()
    serial = visited(FIRST, authority).certificate().serial_number
    # Ahead by more than a lifetime, every certificate would be due at once.
    for days, words in ((100, "100 days and 0 h ahead of"), (-100, "100 days and 0 h behind")):
        one.renewals[0].set(days * DAY_SECONDS)
        for _ in range(2):
            (done,) = one.tick()
            assert done.code == 1
            assert words in done.log
            assert one.renewals[0].failed()
        assert words in done.state["problem"]
        code, told = run("playbooks/status.yml", "--limit", FIRST.server)
        assert code == 0, told
        assert words in told
    # The play says it too: here it is the CA whose clock is another.
    authority.want(ahead=-100 * DAY_SECONDS)
    authority.name(f"more.{FIRST.domain}", FIRST.address)
    code, told = run("playbooks/certificate.yml", "--limit", FIRST.server, app_domains=MORE)
    assert code != 0
    assert "100 days and 0 h ahead of" in told
    assert authority.asked() == before
    one.set(0)
    (done,) = one.tick()
    assert done.code == 0, done.log
    code, told = run("playbooks/certificate.yml", "--limit", FIRST.server)
    assert code == 0, told
    assert state(FIRST)["problem"] == ""
    assert visited(FIRST, authority).certificate().serial_number == serial
    authority.name(f"more.{FIRST.domain}")


def test_a_ca_that_says_it_was_asked_too_often_is_left_alone_for_as_long_as_it_says(
    authority: Authority,  # noqa: F811
    one: Clocks,
) -> None:
    """As Let's Encrypt says it: in words, in a header, or not at all."""
    limited = {"status": 429, "type": "rateLimited"}
    words = "too many certificates (5) already issued for this exact set of identifiers in the last 168h0m0s"
    authority.name(f"more.{FIRST.domain}", FIRST.address)
    before = authority.asked()

    def refused(*arguments: str, **more: object) -> str:
        code, told = run("playbooks/certificate.yml", *arguments, "--limit", FIRST.server, app_domains=MORE, **more)
        assert code != 0
        assert f"more.{FIRST.domain}" in told
        assert words in told
        assert visited(FIRST, authority).ask("/").status == 200
        return told

    authority.want(fault={**limited, "detail": f"{words}, retry after 2999-12-31 23:30:00 UTC: see the documentation"})
    for _ in range(2):
        assert "it is not asked again before 2999-12-31 23:30 UTC" in refused()
        assert authority.asked() == before + 1
    # Somebody who insists is told the hour that it has to be where the CA does not say.
    authority.want(fault={**limited, "detail": words})
    began = datetime.datetime.now(datetime.UTC)
    told = refused(certificates_acme_retry=True)
    (until,) = set(re.findall(r"not asked again before (\S+ \S+) UTC", told))
    wait = datetime.datetime.fromisoformat(f"{until}:00+00:00") - began
    assert datetime.timedelta(minutes=59) <= wait < datetime.timedelta(hours=2)
    assert authority.asked() == before + 2
    # The renewal keeps to what a header says.
    for days, orders in ((61, 3), (62, 3), (64, 4)):
        one.renewals[0].set(days * DAY_SECONDS)
        authority.want(
            ahead=days * DAY_SECONDS, fault={**limited, "detail": words, "retry_after": str(2 * DAY_SECONDS)}
        )
        (done,) = one.tick()
        assert done.code == 1
        assert words in done.log
        assert words in done.state["problem"]
        assert authority.asked() == before + orders
    one.set(67)
    (done,) = one.tick()
    assert done.code == 0, done.log
    assert authority.asked() == before + 5
    one.reset()
    authority.name(f"more.{FIRST.domain}")
    code, told = run("playbooks/certificate.yml", "--limit", FIRST.server)
    assert code == 0, told
    assert state(FIRST)["problem"] == ""


def test_a_site_without_a_domain_has_https_on_its_address(authority: Authority) -> None:  # noqa: F811
    strict = {"edge_tls_profile": "modern", "edge_hsts_include_subdomains": True, "edge_hsts_preload": True}
    code, told = run("site.yml", *LIMIT, app_domains=["{{ ansible_host }}"], **strict)
    assert code == 0, told
    for site in TWO:
        visitor = Secure(site.address, site.address, authority.root())
        answer = visitor.ask("/")
        assert answer.json["url"] == f"https://{site.address}/"
        # And what the run asked for besides.
        assert answer.headers["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains; preload"
        client = f"openssl s_client -connect {site.address}:443 -brief < /dev/null"
        assert site.host.run(f"{client} -tls1_3").rc == 0
        assert site.host.run(f"{client} -tls1_2").rc != 0
        assert visitor.names() == [site.address]
        ini = site.host.file("/etc/slipway/certificates/site.ini").content_string
        assert "preferred-profile = shortlived\n" in ini
    code, told = run("playbooks/certificate.yml", *LIMIT)
    assert code == 0, told
    for site in TWO:
        assert visited(site, authority).ask("/").status == 200


def test_a_certificate_of_one_s_own_is_judged_first_and_loaded_without_a_lost_request(
    authority: Authority,  # noqa: F811
    tmp_path: Path,
) -> None:
    names = ["{{ inventory_hostname }}.test", "www.{{ inventory_hostname }}.test"]
    pairs = {number: own_pair(tmp_path / str(number)) for number in (1, 2)}

    def given(certificate: Path, key: Path) -> dict[str, object]:
        return {
            "edge_tls": "provided",
            "certificates_provided_certificate": f"{{{{ lookup('ansible.builtin.file', '{certificate}') }}}}",
            "certificates_provided_key": f"{{{{ lookup('ansible.builtin.file', '{key}') }}}}",
        }

    code, told = run("site.yml", *LIMIT, **given(pairs[1][0], pairs[2][1]))
    assert code != 0
    assert "certificates_provided_key: it is not the key of certificates_provided_certificate" in told
    assert "changed=0" in told
    code, told = run("site.yml", *LIMIT, **given(*pairs[1]), app_domains=[*names, "other.test"])
    assert code != 0
    assert "and app_domains also has other.test" in told
    before = authority.orders()
    code, told = run("playbooks/provision.yml", *LIMIT, "--diff", **given(*pairs[1]))
    assert code == 0, told
    assert "PRIVATE" not in told
    own = [Secure(site.address, str(site.domain), pairs[1][0].read_text()) for site in TWO]
    assert [visitor.ask("/").status for visitor in own] == [200, 200]
    trusting = [Secure(site.address, str(site.domain)) for site in TWO]
    with Readers(*trusting) as readers:
        code, told = run("playbooks/provision.yml", *LIMIT, "--diff", **given(*pairs[2]))
    assert code == 0, told
    assert "PRIVATE" not in told
    assert readers.wrong == []
    own = [Secure(site.address, str(site.domain), pairs[2][0].read_text()) for site in TWO]
    assert [visitor.ask("/").status for visitor in own] == [200, 200]
    for site in TWO:
        # As Ansible would log what it was given to write.
        written = base64.b64encode(site.host.file("/etc/slipway/certificates/site.pem").content).decode()
        assert written[-200:-100] not in site.host.check_output("journalctl --boot --no-pager")
    code, told = run("playbooks/provision.yml", "--limit", FIRST.server, edge_tls="selfsigned")
    assert code == 0, told
    shown = Secure(FIRST.address, str(FIRST.domain)).certificate()
    assert shown.issuer == shown.subject
    # And back: what the CA gave is still there.
    code, told = run("playbooks/provision.yml", *LIMIT)
    assert code == 0, told
    assert authority.orders() == before
    assert [visited(site, authority).ask("/").status for site in TWO] == [200, 200]


def own_pair(folder: Path) -> tuple[Path, Path]:
    """Make a certificate for all servers that signs itself, and its key."""
    folder.mkdir()
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "own")])
    names = [x509.DNSName(f"{prefix}{name}.test") for name in SERVERS for prefix in ("", "www.")]
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=90))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "certificate.pem", folder / "key.pem"


@contextlib.contextmanager
def both_ahead(authority: Authority, days: float) -> Iterator[list[Renewal]]:  # noqa: F811
    """Have the renewals of the two sites of one server, and the CA, so many days ahead."""
    renewals = [Renewal(FIRST.host, name) for name in ("old", "site")]
    authority.want(ahead=days * DAY_SECONDS)
    for renewal in renewals:
        renewal.set(days * DAY_SECONDS)
    try:
        yield renewals
    finally:
        authority.want()
        for renewal in renewals:
            renewal.reset()


def test_a_site_that_only_redirects_lives_on_the_edge_alone(authority: Authority, tmp_path: Path) -> None:  # noqa: F811
    """Next to another site, on nginx and on Apache: from the first certificate to its removal."""
    (tmp_path / "group_vars").mkdir()
    hosts = yaml.safe_load((ENVIRONMENT / "hosts.yml").read_text().replace("{{ inventory_dir }}/../../..", str(ROOT)))
    edges: dict[str, dict[str, str]] = {site.server: {} for site in TWO} | {APACHE: {"edge": "apache"}}
    hosts["all"]["children"] = {"edge": {"hosts": edges}}
    (tmp_path / "hosts.yml").write_text(json.dumps(hosts))
    kept = ("edge_tls", "edge_hsts", "certificates_acme_directory_url", "certificates_acme_ca_bundle")
    known = yaml.safe_load((ENVIRONMENT / "group_vars/all.yml").read_text())
    old = {
        "app_name": "old",
        "app_domains": ["old.{{ inventory_hostname }}.test"],
        "edge_redirect_to": "https://new.test/shop",
    }
    (tmp_path / "group_vars/all.yml").write_text(json.dumps({name: known[name] for name in kept} | old))
    for site in TWO:
        authority.name(f"old.{site.domain}", site.address)

    def run_here(name: str, *arguments: str, **variables: object) -> str:
        return said(play(ROOT / name, *arguments, inventory=tmp_path, **variables))

    told = run_here("site.yml")
    assert "failed=0" in told
    assert "old redirects every request to https://new.test/shop, so nothing is deployed." in told
    path = "/a%20b%2Fc//d/..?x=1&y=%2F"
    for site in TWO:
        name = f"old.{site.domain}"
        secure = Secure(site.address, name, authority.root()).ask(path)
        for answer in (ask(site.address, path, name), secure):
            assert (answer.status, answer.headers["Location"]) == (308, f"https://new.test/shop{path}")
        assert secure.headers["Strict-Transport-Security"] == "max-age=31536000"
        assert ask(site.address, "/.well-known/acme-challenge/none", name).status == 404
        files = "/etc/nginx/sites-enabled/old /etc/apache2/sites-enabled/old.conf"
        assert site.host.run(f"grep -E '^upstream|unix:|/srv/' {files}").stdout == ""
        # The site that was there before.
        assert visited(site, authority).ask("/").status == 200
    assert run_here("site.yml").count("changed=0") == len(TWO)
    moved = run_here("playbooks/deploy.yml", edge_redirect_to="https://newer.test")
    assert "should redirect to https://newer.test/, and redirects to https://new.test/shop/. Run site.yml" in moved
    status = run_here("playbooks/status.yml", "--check")
    assert status.count("redirects to https://new.test/shop/ certificate valid until ") == len(TWO)
    assert '"GET /a%20b%2Fc//d/..?x=1&y=%2F HTTP/1.1" 308' in run_here("playbooks/logs.yml")
    for change, variables in (("rollback", {}), ("maintenance", {"state": "on"})):
        assert "edge_redirect_to: old redirects every request" in run_here(f"playbooks/{change}.yml", **variables)
    # What holds up the one holds up no other.
    authority.name(f"old.{FIRST.domain}", SITES[APACHE].address)
    serial = visited(FIRST, authority).certificate().serial_number
    with both_ahead(authority, 61) as renewals:
        assert [renewal.tick().code for renewal in renewals] == [1, 0]
    until(lambda: visited(FIRST, authority).certificate().serial_number != serial, "the site has a new certificate")
    removed = run_here("playbooks/remove.yml", remove="old")
    for site in TWO:
        assert f"{site.server}: old was removed." in removed
        files = "find /etc/nginx /etc/apache2 /etc/slipway /var/lib/slipway /var/log -name 'old*'"
        assert site.host.run(files).stdout == ""
        assert visited(site, authority).ask("/").status == 200


def test_without_https_nothing_listens_there_and_the_certificate_is_kept(authority: Authority) -> None:  # noqa: F811
    before = authority.orders()
    code, told = run("playbooks/provision.yml", *LIMIT, edge_tls="off")
    assert code == 0, told
    for site in TWO:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((site.address, 443), 10).close()
        assert not site.host.service("slipway-certificate@site.timer").is_running
        assert ask(site.address, "/static/style.css", site.domain).status == 200
    code, told = run("playbooks/certificate.yml", *LIMIT)
    assert code == 0, told
    assert [visited(site, authority).ask("/").status for site in TWO] == [200, 200]
    assert authority.orders() == before
