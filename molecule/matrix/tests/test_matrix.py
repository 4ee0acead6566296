"""Every way to run an application: the same site, the same promises.

SLIPWAY_MATRIX=all asks all of them (`make test-matrix`); otherwise those that between them have each role once.
"""

from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlencode

import pytest
from testinfra.host import Host

from probe import ROOT, Site, play, said, until
from visitors import Visitors

ENVIRONMENT = Path(__file__).parents[1] / "environment"
SITE = Site(ENVIRONMENT, "guestbook", "matrix-trixie")

testinfra_hosts = ["localhost"]

# app_server, app_process_manager, edge. The order changes as many of them at a time as can be.
WAYS = [
    ("uwsgi", "supervisor", "nginx"),
    ("mod_wsgi", "systemd", "apache"),
    ("granian", "systemd", "nginx"),
    ("gunicorn", "systemd", "nginx"),
    ("gunicorn", "supervisor", "nginx"),
    ("gunicorn", "systemd", "apache"),
    ("uwsgi", "systemd", "nginx"),
    ("granian", "supervisor", "nginx"),
]
CHOSEN = WAYS if os.environ.get("SLIPWAY_MATRIX") == "all" else WAYS[:3]
SPEAKS_UWSGI = WAYS[0]
# The path below which the application is (app_url_prefix), where it is not at the root: each edge has its own way to pass it on.
PREFIXES = {WAYS[0]: "/visitors/book", WAYS[1]: "/book"}
Way = tuple[str, str, str]
SERVICES = {"nginx": "nginx", "apache": "apache2"}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the example application, to be changed."""
    return Path(shutil.copytree(ROOT / "app", tmp_path_factory.mktemp("source") / "app"))


def change(source: Path) -> None:
    """Make a new version of the application."""
    with (source / "guestbook/__init__.py").open("a") as module:
        module.write(f"\n# {time.time()}\n")


def attempt(playbook: str, way: Way, **variables: object) -> subprocess.CompletedProcess[str]:
    """Run one of Slipway's playbooks with a way chosen; return how it ended."""
    chosen: dict[str, object] = dict(zip(("app_server", "app_process_manager", "edge"), way, strict=True))
    chosen["edge_upstream_protocol"] = "uwsgi" if way == SPEAKS_UWSGI else "http"
    chosen["app_url_prefix"] = PREFIXES.get(way, "")
    return play(ROOT / playbook, inventory=ENVIRONMENT, **{**chosen, **variables})


def run(playbook: str, way: Way, **variables: object) -> None:
    """Run one of Slipway's playbooks with a way chosen; it must succeed."""
    result = attempt(playbook, way, **variables)
    assert result.returncode == 0, said(result)


def refused(playbook: str, way: Way, **variables: object) -> str:
    """Run one of Slipway's playbooks with a way chosen; it must fail. Return what it says."""
    result = attempt(playbook, way, **variables)
    assert result.returncode != 0, said(result)
    return " ".join(said(result).split())


def active(host: Host) -> str:
    """Return the release that has the traffic."""
    return str(host.check_output("basename $(readlink /srv/guestbook/current)"))


def sockets(host: Host) -> list[str]:
    """Return the sockets of the instances that the edge may connect to."""
    names = str(host.check_output("ls /run/guestbook/instances")).split()
    return sorted(name for name in names if name.endswith((".sock", ".uwsgi")))


def main_process(host: Host, way: Way, release: str) -> str:
    """Return the main process of the web server's instance."""
    unit, group = f"guestbook@{release}", f"guestbook-{release}"
    ask = f"systemctl show -P MainPID {unit}" if way[1] == "systemd" else f"supervisorctl pid {group}:{group}-web"
    return str(host.check_output(ask)).strip()


def assert_site_works(host: Host, prefix: str = "") -> None:
    """Pages, static files, compression, and what the application knows of its visitor."""
    release = active(host)
    until(lambda: release in SITE.ask(f"{prefix}/").body.decode(), "the page of the active release")
    accept = {"Accept-Encoding": "gzip"}
    style = SITE.ask(f"{prefix}/static/style.css", headers=accept)
    assert (style.status, style.headers["Content-Encoding"]) == (200, "gzip")
    assert style.headers["Content-Security-Policy"] is None  # the application would add it: the edge sends the file
    assert gzip.decompress(style.body) == SITE.ask(f"{prefix}/static/style.css").body
    page = SITE.ask(f"{prefix}/", headers=accept)
    assert (page.status, page.headers["Content-Encoding"]) == (200, "gzip")
    assert SITE.ask(f"{prefix}/static/harbour.png", headers=accept).headers["Content-Encoding"] is None
    with socket.create_connection((SITE.address, 80)) as connection:
        mine = connection.getsockname()[0]
    for attempted in (
        {},
        {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.test"},
    ):
        seen = SITE.ask(f"{prefix}/api/whoami", headers=attempted).json
        assert (seen["address"], seen["root"]) == (mine, f"http://{SITE.address}{prefix}/")


def assert_all_is_below(prefix: str) -> None:
    """Links, a redirect and the session's cookie are below the prefix, and nothing outside of it is the site's."""
    page = SITE.ask(f"{prefix}/")
    links = re.findall(r'(?:href|src|action)="([^"#]+)"', page.body.decode())
    assert links
    assert [link for link in links if not link.startswith(f"{prefix}/")] == []
    assert [link for link in links if SITE.ask(link).status != 200] == []
    cookie, *attributes = page.headers["Set-Cookie"].split("; ")
    assert f"Path={prefix}" in attributes
    token = re.search(r'name="csrf_token"[^>]* value="([^"]+)"', page.body.decode())
    assert token, page
    form = urlencode({"csrf_token": token[1], "name": "A visitor", "message": "from below"})
    headers = {"Cookie": cookie, "Content-Type": "application/x-www-form-urlencoded"}
    signed = SITE.ask(f"{prefix}/", method="POST", body=form.encode(), headers=headers)
    assert (signed.status, signed.headers["Location"]) == (303, f"{prefix}/#entries")
    for path in ("/", prefix):
        assert SITE.ask(path).headers["Location"] == f"{prefix}/"
    for path in ("/static/style.css", "/api/whoami", "/healthz", f"{prefix}s/", f"{prefix}{prefix}/"):
        assert SITE.ask(path).status == 404, path


def assert_nothing_else_runs(host: Host, way: Way) -> None:
    """Of the ways that were chosen before nothing is left running or enabled."""
    _, manager, edge = way
    for name, service in SERVICES.items():
        expected = ("active", "enabled") if name == edge else ("inactive", "disabled")
        active_now = host.run("systemctl is-active %s", service).stdout.strip()
        enabled = host.run("systemctl is-enabled %s", service).stdout.strip().replace("not-found", "disabled")
        assert (active_now, enabled) == expected, name
    units = host.run("systemctl list-units --plain --no-legend --state=active 'guestbook*@*'").stdout.split("\n")
    names = {line.split()[0] for line in units if line}
    release = active(host)
    if manager == "systemd":
        assert names == {f"guestbook@{release}.service", f"guestbook-idle-1@{release}.service"}
        assert host.run("systemctl is-active supervisor").stdout.strip() == "inactive"
    else:
        assert names == set()
        programs = {line.split(":")[0] for line in host.check_output("supervisorctl status").splitlines()}
        assert programs == {f"guestbook-{release}", f"guestbook-{release}-workers"}


@pytest.mark.lost_requests
def test_the_protocol_of_the_edge_is_changed_both_ways_and_loses_no_request(source: Path) -> None:
    """By site.yml alone, with the app server in one run; what would leave an edge and a release that do not understand each other
    is refused."""
    uwsgi, gunicorn = ("uwsgi", "systemd", "nginx"), ("gunicorn", "systemd", "nginx")
    on, off = {"edge_upstream_protocol": "uwsgi"}, {"edge_upstream_protocol": "http"}
    run("site.yml", gunicorn, app_source=str(source), **off)
    host, plain = SITE.host, active(SITE.host)
    assert sockets(host) == [f"{plain}.sock"]
    with Visitors(SITE.address, keep=False) as visitors:
        visitors.all_come_round()
        run("site.yml", uwsgi, app_source=str(source), **on)
        visitors.all_come_round()
        second = active(host)
        site = host.file("/etc/nginx/sites-enabled/guestbook").content_string
        assert "uwsgi_pass unix:/run/guestbook/app.uwsgi;" in site
        assert {f"{second}.sock", f"{second}.uwsgi"} <= set(sockets(host))
        assert_site_works(host)
        entry = iter([b'{"name": "A visitor", ', b'"message": "of unknown length"}'])
        with contextlib.closing(http.client.HTTPConnection(SITE.address, timeout=60)) as connection:
            connection.request("POST", "/api/entries", entry, {"Content-Type": "application/json"}, encode_chunked=True)
            assert connection.getresponse().status == 201

        answer = refused("playbooks/deploy.yml", gunicorn, app_source=str(source), **off)
        assert (
            f"it is http, but the edge of {SITE.server} speaks uwsgi to the application. Nothing was changed" in answer
        )
        answer = refused("playbooks/rollback.yml", uwsgi, **on)
        assert (
            f"the edge of this host speaks uwsgi to the application, and the release {plain} speaks HTTP alone"
            in answer
        )
        assert "run site.yml, which makes the change" in answer
        record = json.loads(host.file(f"/srv/guestbook/releases/{plain}/release.json").content_string)
        assert record["state"] == "built", "it is not to blame"
        assert active(host) == second

        run("site.yml", gunicorn, app_source=str(source), **off)
        visitors.all_come_round()
    assert visitors.wrong == []
    assert {release for _, release in visitors.pages} == {plain, second}
    assert active(host) == plain
    assert sockets(host) == [f"{plain}.sock"]


@pytest.mark.lost_requests
@pytest.mark.parametrize("way", CHOSEN, ids="-".join)
def test_every_way_keeps_every_promise(source: Path, way: Way) -> None:
    host, prefix = SITE.host, PREFIXES.get(way, "")
    change(source)
    run("site.yml", way, app_source=str(source))
    assert_site_works(host, prefix)
    if prefix:
        assert_all_is_below(prefix)
    assert_nothing_else_runs(host, way)

    # A second deploy and a rollback lose no request.
    first = active(host)
    change(source)
    with Visitors(SITE.address, prefix) as visitors:
        visitors.all_come_round()
        # With werkzeug's ProxyFix, which does not get in the way of what Slipway tells the application itself.
        run("playbooks/deploy.yml", way, app_source=str(source), app_env={"TRUSTED_PROXIES": 1})
        visitors.all_come_round()
        second = active(host)
        assert_site_works(host, prefix)
        run("playbooks/rollback.yml", way)
        visitors.all_come_round()
    assert visitors.wrong == []
    assert first != second
    assert {release for _, release in visitors.pages} == {first, second}
    assert active(host) == first
    assert_nothing_else_runs(host, way)

    # What crashes comes back, and so does all of it after a restart of the server.
    main = main_process(host, way, first)
    host.check_output("kill -9 %s", main)
    page = f"{prefix}/"
    until(lambda: SITE.ask(page).status == 200 and main_process(host, way, first) != main, "the site after a crash")
    # The folder of the instances is a mount point, which rm leaves where it is.
    host.run("rm -rf /run/guestbook; umount /run/guestbook/instances; rm -rf /run/guestbook")
    link = host.file("/run/guestbook/app.sock")
    until(lambda: link.exists and SITE.ask(page).status == 200, "the site after its sockets were removed")
    program = [sys.executable, str(ROOT / "tools/servers"), "reboot", SITE.server]
    subprocess.run(program, check=True, capture_output=True)
    host = SITE.host
    assert_site_works(host, prefix)
    assert_nothing_else_runs(host, way)
