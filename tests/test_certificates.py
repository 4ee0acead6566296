"""What is told of certificates on the control machine, and what the program on the server decides."""

from __future__ import annotations

import datetime
import email.utils
import http.server
import json
import ssl
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.slipway.flask.plugins.filter.certificates import (
    certificate_names,
    covered_names,
    ip_addresses,
    names_elsewhere,
    pair_problems,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

import addresses
import asking
import clock
import look_after
import pairs
import sites
from plugin import ROOT

DAY = datetime.timedelta(days=1)


def pair(
    names: Sequence[str],
    begin: float = -10,
    end: float = 80,
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | None = None,
) -> tuple[str, str]:
    """Return a certificate that signs itself and its key, as PEM. begin, end: days from now."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    subject = x509.Name([])
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), 7, now + begin * DAY, now + end * DAY)
    if names:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=True
        )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode(), private.decode()


def test_names_are_written_as_a_certificate_has_them() -> None:
    assert certificate_names(["Book.test", "book.test.", "[2001:0db8::1]"]) == ["book.test", "2001:db8::1"]
    assert ip_addresses(["book.test", "203.0.113.5", "[2001:db8::1]"]) == ["203.0.113.5", "2001:db8::1"]
    assert covered_names(["Book.test", "[2001:db8::1]", "www.book.test"], ["book.test", "2001:db8::1"]) == [
        "Book.test",
        "[2001:db8::1]",
    ]


def test_names_that_other_hosts_have_too_are_found() -> None:
    hosts: dict[str, dict[str, list[str]]] = {
        "a": {"app_domains": ["a.test", "WWW.test."]},
        "b": {},
        "c": {"app_domains": ["c.test"]},
    }
    assert names_elsewhere(["www.test", "c.test", "d.test"], ["a", "b"], hosts) == ["www.test"]


def test_a_pair_that_is_good_for_all_names_is_taken() -> None:
    assert pair_problems(*pair(["book.test", "*.book.test"]), ["BOOK.test", "www.book.test"]) == []


def test_a_pair_that_no_site_could_use_is_refused_with_the_reason() -> None:
    certificate, key = pair(["book.test"])
    other = pair(["book.test"])[1]
    locked = serialization.load_pem_private_key(key.encode(), None).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"word")
    )
    for given, words in [
        (("", key), "it is not a certificate in PEM"),
        (("/etc/ssl/site.pem", key), "certificate: it is a path, /etc/ssl/site.pem, and not what the file has"),
        ((certificate, "~/site.key"), "key: it is a path, ~/site.key, and not what the file has"),
        ((key, key), "it is not a certificate in PEM"),
        ((certificate, ""), "it is not a private key in PEM"),
        ((certificate, certificate), "it is not a private key in PEM"),
        ((certificate, locked.decode()), "it has a password"),
        ((certificate, other), "it is not the key of"),
        (pair(["book.test"], -90, -1), "ended on"),
        (pair(["book.test"], 1, 90), "begins on"),
        (pair(["other.test"]), "it is for other.test, and app_domains also has book.test"),
        (pair(["*.book.test"]), "also has book.test"),
        (pair([]), "it is for no host"),
        (pair(["book.test"], key=rsa.generate_private_key(65537, 1024)), "RSA with 1024 bits is too weak"),
    ]:
        (said,) = pair_problems(*given, ["book.test"])
        assert words in said
        assert said.startswith("certificates_provided_")


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The program on the server, with folders of its own."""
    for name in ("SETTINGS", "HOME"):
        (tmp_path / name).mkdir()
        for module in (look_after, sites, asking):
            monkeypatch.setattr(module, name, tmp_path / name, raising=False)
    monkeypatch.setattr(clock, "seconds_ahead", lambda site: 0)
    return look_after


def site_of(name: str = "book", **settings: object) -> sites.Site:
    """Return a site of the program, with these of its settings."""
    known = {
        "source": "acme",
        "names": ["book.test"],
        "server": "https://ca.test/dir",
        "ca_bundle": "",
        "addresses": [],
        "check_addresses": True,
        "edge": {"service": "nginx", "test": ["true"]},
    }
    (sites.SETTINGS / f"{name}.json").write_text(json.dumps(known | settings))
    site = sites.Site(name)
    site.pair("acme").certificate.parent.mkdir(parents=True, exist_ok=True)
    return site


def give(site: sites.Site, names: Sequence[str], begin: float = -10, end: float = 80, source: str = "acme") -> None:
    """Let a site have a certificate."""
    certificate, key = pair(names, begin, end)
    there = site.pair(source)
    there.key.write_text(key)
    there.certificate.write_text(certificate if there.key != there.certificate else certificate + key)


def issued_by(site: sites.Site, server: str) -> None:
    """Let certbot know of a CA."""
    (site.home / "acme/renewal").mkdir(exist_ok=True)
    (site.home / "acme/renewal/site.conf").write_text(f"[renewalparams]\nserver = {server}\n")


def test_a_wildcard_is_good_for_one_label() -> None:
    assert pairs.covers("*.book.test", "www.book.test")
    assert not pairs.covers("*.book.test", "book.test")
    assert not pairs.covers("*.book.test", "a.www.book.test")


def test_the_edge_gets_those_names_that_the_certificate_has(program: ModuleType) -> None:
    site = site_of(names=["book.test", "new.test"])
    assert site.state()["names"] == []
    give(site, ["old.test", "book.test"])
    assert site.state()["names"] == ["book.test"]
    assert not site.complete()


def test_a_certificate_of_another_ca_is_not_what_was_asked_for(program: ModuleType) -> None:
    site = site_of()
    give(site, ["book.test"])
    issued_by(site, "https://staging.test/dir")
    assert site.covered("acme") == ["book.test"]
    assert not site.complete()
    issued_by(site, "https://ca.test/dir")
    assert site.complete()


def test_a_site_keeps_the_pair_that_it_had_until_the_new_source_has_one(program: ModuleType) -> None:
    site = site_of(source="provided")
    give(site, ["book.test"], source="provided")
    program.prepare(site)
    site = site_of()
    program.prepare(site)
    assert site.state()["certificate"] == str(site.pair("provided").certificate)
    assert site.state()["names"] == ["book.test"]
    assert not site.complete()
    # But not one that has ended,
    give(site, ["book.test"], -90, -1, source="provided")
    assert site.state()["names"] == []
    give(site, ["book.test"], source="provided")
    give(site, ["book.test"])
    assert site.state()["certificate"] == str(site.pair("acme").certificate)


def test_another_chain_is_another_pair_to_load(program: ModuleType) -> None:
    site = site_of(source="provided")
    give(site, ["book.test"], source="provided")
    assert not site.loaded()
    site.note("loaded", digest=site.pair("provided").digest)
    assert site.loaded()
    file = site.pair("provided").certificate
    file.write_text(file.read_text() + pair(["the CA"])[0])
    assert not site.loaded()


@pytest.mark.parametrize(
    ("own", "found", "words"),
    [
        ({"10.0.0.5"}, set(), "book.test has no address in DNS"),
        ({"10.0.0.5"}, {"10.0.0.5"}, ""),
        ({"10.0.0.5"}, {"10.0.0.6"}, "book.test points to 10.0.0.6, and this server is 10.0.0.5"),
        ({"8.8.8.8", "fe80::1"}, {"8.8.8.8", "10.0.0.6"}, "points to 10.0.0.6, and this server is 8.8.8.8"),
        ({"8.8.8.8", "2001:4860::2"}, {"8.8.8.8", "2001:4860::1"}, "points to 2001:4860::1, and this server is 2001"),
        # The server knows itself by a private address only: what leads to it is not known here.
        ({"10.0.0.5"}, {"8.8.8.8"}, ""),
        ({"10.0.0.5", "2001:4860::1"}, {"8.8.8.8", "2001:4860::1"}, ""),
        # Debian's /etc/hosts has the server's own name.
        ({"8.8.8.8"}, {"127.0.1.1"}, ""),
    ],
)
def test_names_that_lead_elsewhere_are_told_before_the_ca_is_asked(
    program: ModuleType, monkeypatch: pytest.MonkeyPatch, own: set[str], found: set[str], words: str
) -> None:
    monkeypatch.setattr(addresses, "own_addresses", lambda site: own)
    monkeypatch.setattr(addresses, "resolved", lambda name: found)
    said = addresses.astray(site_of())
    assert (words in said[0]) if words else said == []


def test_the_ca_is_not_asked_again_before_the_time_that_is_said(
    program: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def certbot(site: sites.Site, wanted: list[str], *options: str) -> None:
        asked.append(wanted)
        raise sites.NotDoneError("new.test: no.")

    monkeypatch.setattr(look_after, "certbot", certbot)
    monkeypatch.setattr(look_after, "astray", lambda site: [])
    site = site_of(names=["book.test", "new.test"])
    give(site, ["book.test"])
    with pytest.raises(sites.NotDoneError, match=r"new\.test: no\."):
        program.obtain(site, retry=False)
    for order in (["book.test", "new.test"], ["new.test", "book.test"]):
        with pytest.raises(sites.NotDoneError, match="it is not asked again before"):
            program.obtain(site_of(names=order), retry=False)
    assert len(asked) == 1
    assert "new.test: no." in site.state()["problem"]
    with pytest.raises(sites.NotDoneError):
        program.obtain(site, retry=True)
    # The renewal of what there is changes nothing of that.
    monkeypatch.setattr(look_after, "certbot", lambda site, wanted, *options: asked.append(wanted))
    assert not program.renew(site)
    with pytest.raises(sites.NotDoneError, match="it is not asked again before"):
        program.obtain(site, retry=False)
    # Another question, or another CA, is not the one that was refused.
    assert site_of(names=["book.test", "more.test"]).refusal == {}
    assert site_of(names=["book.test", "new.test"], server="https://other.test/dir").refusal == {}
    # And a name that is not wanted any more is not a problem.
    assert site_of().problem == ""


def test_a_good_certificate_is_replaced_where_that_is_wanted(
    program: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(look_after, "certbot", lambda site, wanted, *options: asked.append((wanted, options)))
    # Whatever DNS says, where that is not to be judged.
    monkeypatch.setattr(look_after, "astray", lambda site: ["book.test leads elsewhere"])
    site = site_of(names=["book.test"], check_addresses=False)
    give(site, ["book.test"])
    issued_by(site, "https://ca.test/dir")
    assert not program.obtain(site)
    assert asked == []
    assert program.obtain(site, renew=True)
    ((wanted, options),) = asked
    assert wanted == ["book.test"]
    assert "--force-renewal" in options


def test_a_ca_that_says_when_is_asked_then(program: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    reason = "too many certificates: retry after 2999-12-31 01:00:00 UTC: see the documentation"
    site = site_of()
    until = asking.told_until(site, reason)
    assert time.strftime("%Y-%m-%d %H:%M", time.gmtime(until)) == "2999-12-31 01:00"
    assert asking.told_until(site, "no.") == 0
    log = site.home / "logs/letsencrypt.log"
    log.parent.mkdir()
    answer = "DEBUG:acme.client:Received response:\nHTTP {}\nDate: now\n{}\n\n{{}}\n"
    for status, header, seconds in [
        (429, "Retry-After: 7200", 7200),
        (503, f"retry-after: {email.utils.formatdate(time.time() + 7200)}", 7200),
        (429, "Retry-After: soon", 0),
        (429, "Server: ca", 0),
        (200, "Retry-After: 7200", 0),  # the CA is about to have it ready
    ]:
        log.write_text(
            answer.format(200, "Retry-After: 1") + answer.format(status, header) + answer.format(200, "A: b")
        )
        said = asking.told_until(site, "no.")
        assert said == pytest.approx(time.time() + seconds, abs=60) if seconds else said == 0
    asked = []

    def certbot(site: sites.Site, wanted: list[str], *options: str) -> None:
        asked.append(wanted)
        raise sites.NotDoneError(reason, until=until)

    monkeypatch.setattr(look_after, "certbot", certbot)
    give(site, ["book.test"], -61, 29)
    for _ in range(2):
        with pytest.raises(sites.NotDoneError, match="was not renewed"):
            program.renew(site)
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("ahead", "words"),
    [(3500, ""), (-3500, ""), (90 * 86400 + 7200, "90 days and 2 h ahead of"), (-5400, "1 h and 30 min behind")],
)
def test_with_a_wrong_clock_the_ca_is_not_asked(
    program: ModuleType, monkeypatch: pytest.MonkeyPatch, ahead: float, words: str
) -> None:
    asked: list[object] = []
    monkeypatch.setattr(look_after, "certbot", lambda *said: asked.append(said))
    monkeypatch.setattr(look_after, "astray", lambda site: [])
    monkeypatch.setattr(clock, "seconds_ahead", lambda site: ahead)
    site = site_of(names=["book.test", "new.test"])
    # Whether it is due is told by the clock, too: it is an alarm at once.
    give(site, ["book.test"])
    if not words:
        assert not program.renew(site)
        assert len(asked) == 1
        return
    for _ in range(2):
        with pytest.raises(sites.NotDoneError, match=words):
            program.obtain(site, retry=False)
        assert words in site.problem
        with pytest.raises(sites.NotDoneError, match=words):
            program.renew(site)
        assert words in site.problem
    assert asked == []
    # There is nothing to wait for when it is right again.
    monkeypatch.setattr(clock, "seconds_ahead", lambda site: 0)
    program.renew(site)
    assert len(asked) == 1
    with pytest.raises(sites.NotDoneError, match="without a name that is wanted"):
        program.obtain(site, retry=False)
    assert len(asked) == 2


def test_what_was_noted_by_a_clock_that_was_ahead_keeps_nobody_waiting(program: ModuleType) -> None:
    now = time.time()
    assert sites.waiting({"at": now - 60, "until": now + 60})
    assert not sites.waiting({"at": now + 86400, "until": now + 90000})
    assert not sites.waiting({"at": now - 60})


def test_the_clock_is_compared_with_what_the_ca_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, key = pair(["127.0.0.1"], -90, -1)  # a wrong clock makes any look like this one
    (tmp_path / "ca.pem").write_text(certificate + key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "ca.pem")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(503) if self.path == "/away" else self.send_response(200)
            self.end_headers()

        def date_time_string(self, timestamp: float | None = None) -> str:
            return "sometime" if self.path == "/odd" else email.utils.formatdate(time.time() - 7200, usegmt=True)

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever).start()
        try:
            for path, seconds in (("dir", 7200), ("away", 7200), ("odd", 0)):
                site = SimpleNamespace(settings={"server": f"https://127.0.0.1:{server.server_port}/{path}"})
                assert clock.seconds_ahead(site) == pytest.approx(seconds, abs=60)  # type: ignore[arg-type]
        finally:
            server.shutdown()
    assert clock.seconds_ahead(site) == 0  # type: ignore[arg-type]


def settings_of_certbot(**variables: object) -> str:
    """Return certbot.ini for a site with these variables."""
    role = ROOT / "roles/certificates"
    loader = DataLoader()
    known = {
        **loader.load_from_file(str(role / "defaults/main.yml"), trusted_as_template=True),
        **loader.load_from_file(str(role / "vars/main.yml"), trusted_as_template=True),
        "certificates_name": "book",
        "certificates_acme_profile": "",
        **variables,
    }
    return str(Templar(loader, known).template(trust_as_template((role / "templates/certbot.ini.j2").read_text())))


def test_one_variable_chooses_the_test_ca() -> None:
    for staging, server in ((False, "https://acme-v02."), (True, "https://acme-staging-v02.")):
        settings = settings_of_certbot(certificates_acme_staging=staging)
        assert f"\nserver = {server}api.letsencrypt.org/directory\n" in settings


@pytest.mark.parametrize(
    ("variables", "line"),
    [
        ({}, "register-unsafely-without-email = true"),
        ({"certificates_acme_email": "ada@example.org"}, "email = ada@example.org"),
    ],
)
def test_an_account_needs_no_address(variables: dict[str, str], line: str) -> None:
    assert [said for said in settings_of_certbot(**variables).splitlines() if "email" in said] == [line]


def test_the_test_ca_takes_the_place_of_no_other(program: ModuleType) -> None:
    site = site_of(server="https://acme-staging-v02.api.letsencrypt.org/directory")
    give(site, ["book.test"])
    issued_by(site, "https://acme-v02.api.letsencrypt.org/directory")
    with pytest.raises(
        sites.NotAskedError, match="certificates_acme_staging: the site has a certificate of https://acme-v02"
    ):
        asking.certbot(site, ["book.test"])


def test_a_pair_that_the_web_server_refuses_does_not_stay(program: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what it refuses it would not come up again after a reboot."""
    site = site_of(source="provided", edge={"service": "nginx", "test": ["nginx", "-t"]})
    file = site.pair("provided").certificate
    refused: set[bytes] = set()
    nginx_is_broken = False

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        bad = command == ["nginx", "-t"] and (nginx_is_broken or file.read_bytes() in refused)
        return subprocess.CompletedProcess([], int(bad), "", "ca md too weak" if bad else "")

    monkeypatch.setattr(subprocess, "run", run)
    give(site, ["book.test"], source="provided")
    first = file.read_bytes()
    assert program.load(site)
    give(site, ["book.test"], source="provided")
    second = file.read_bytes()
    # Where it refuses the pair before it too, it is not the new pair's fault.
    nginx_is_broken = True
    with pytest.raises(sites.NotDoneError) as error:
        program.load(site)
    assert "certificates_provided_certificate" not in str(error.value)
    assert file.read_bytes() == second
    nginx_is_broken = False
    refused.add(second)
    with pytest.raises(
        sites.NotDoneError, match=r"certificates_provided_certificate: .*ca md too weak.*is back in its place"
    ):
        program.load(site)
    assert file.read_bytes() == first
    assert site.loaded()
    # The first one has none before it.
    give(site, ["book.test"], source="provided")
    (site.home / "provided.pem").unlink()
    refused.add(file.read_bytes())
    with pytest.raises(sites.NotDoneError):
        program.load(site)
    assert "ca md too weak" in site.problem
    refused.clear()
    assert program.load(site)
    assert site.problem == ""


@pytest.mark.parametrize(
    ("has", "begin", "end", "options"),
    [
        (["book.test"], -10, 80, ["--keep-until-expiring"]),
        (["book.test"], -59, 31, ["--keep-until-expiring"]),
        (["book.test"], -61, 29, ["--force-renewal"]),
        (["book.test"], -5, 2, ["--force-renewal"]),
        # A name that is gone stays until the next renewal, which is for those that are left.
        (["book.test", "gone.test"], -10, 80, None),
        (["book.test", "gone.test"], -46, 44, ["--force-renewal", "--renew-with-new-domains"]),
    ],
)
def test_a_certificate_is_renewed_by_the_share_of_its_lifetime_that_is_left(
    program: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    has: list[str],
    begin: int,
    end: int,
    options: list[str] | None,
) -> None:
    site = site_of()
    give(site, has, begin, end)
    asked = []

    def certbot(site: sites.Site, wanted: list[str], *said: str) -> None:
        assert wanted == ["book.test"]
        asked.append(list(said))
        if "--force-renewal" in said:
            give(site, wanted)

    monkeypatch.setattr(look_after, "certbot", certbot)
    assert program.renew(site) == ("--force-renewal" in (options or []))
    assert asked == ([options] if options else [])


def test_a_renewal_that_fails_is_an_alarm_in_the_last_third_only(
    program: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def certbot(*_: object) -> None:
        raise sites.NotDoneError("book.test: the CA is away")

    monkeypatch.setattr(look_after, "certbot", certbot)
    site = site_of()
    issued_by(site, "https://ca.test/dir")
    give(site, ["book.test"], -55, 35)
    assert not program.renew(site)
    assert "the CA is away" in capsys.readouterr().err
    give(site, ["book.test"], -61, 29)
    with pytest.raises(sites.NotDoneError, match=r"was not renewed\. book\.test: the CA is away"):
        program.renew(site)
    assert "was not renewed" in site.problem
    monkeypatch.setattr(look_after, "certbot", lambda site, wanted, *options: give(site, wanted))
    assert program.renew(site)
    assert site.problem == ""


def test_one_that_signs_itself_is_made_again_in_time_and_one_that_is_provided_is_asked_for(program: ModuleType) -> None:
    site = site_of(source="selfsigned")
    assert program.prepare(site)
    assert not program.prepare(site)
    assert site.complete()
    assert not program.renew(site)
    give(site, ["book.test"], -300, 90, source="selfsigned")
    assert program.renew(site)
    assert site.certificate
    assert pairs.left(site.certificate) > 0.9
    site = site_of(source="provided")
    give(site, ["book.test"], -300, 60, source="provided")
    assert not program.renew(site)
    give(site, ["book.test"], -340, 25, source="provided")
    with pytest.raises(sites.NotDoneError, match="certificates_provided_certificate: "):
        program.renew(site)


def test_who_asks_for_an_address_gets_the_pair_of_the_first_site_that_has_one(program: ModuleType) -> None:
    last = site_of("zoo", source="selfsigned", names=["10.0.0.5"])
    program.prepare(site_of(source="selfsigned"))
    assert pairs.names(pairs.read(sites.nameless())) == []
    assert not last.state()["address"]
    program.prepare(last)
    assert pairs.names(pairs.read(sites.nameless())) == ["10.0.0.5"]
    assert last.state()["certificate"] == last.state()["key"] == str(sites.nameless())
    program.prepare(site_of("ant", source="selfsigned", names=["10.0.0.6"]))
    assert pairs.names(pairs.read(sites.nameless())) == ["10.0.0.5"]
    # A site that cannot be read is not another's problem.
    (sites.SETTINGS / "bad.json").write_text("{")
    program.forget("zoo")
    assert pairs.names(pairs.read(sites.nameless())) == ["10.0.0.6"]
    program.forget("ant")
    assert pairs.names(pairs.read(sites.nameless())) == []
    assert not list(sites.HOME.glob("ant*")) + list(sites.SETTINGS.glob("ant*"))


def test_what_a_run_left_that_was_cut_off_is_cleared_away(program: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """certbot begins a lineage site-0001 next to one that it cannot read."""
    site = site_of()
    issued_by(site, "")
    (site.home / "acme/archive/site").mkdir(parents=True)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 0, "", ""))
    asking.certbot(site, ["book.test"])
    assert sorted(path.name for path in (site.home / "acme").rglob("*")) == ["archive", "live", "renewal"]
