"""The whole site, as a visitor and an administrator have it."""

from __future__ import annotations

import base64
import gzip
import json
import re
import socket
import time
from pathlib import Path

import pytest

from probe import DEADLINE_SECONDS, Answer, Site, administrator, until

ENVIRONMENTS = Path(__file__).parents[1] / "environments"

testinfra_hosts = ["localhost"]


TRIXIE = Site(ENVIRONMENTS / "guestbook-trixie", "guestbook", "default-trixie")
BOOKWORM = Site(ENVIRONMENTS / "guestbook-bookworm", "guestbook", "default-bookworm")
HELLO = Site(ENVIRONMENTS / "hello", "hello", "default-trixie", "hello.test")
VISITORS = Site(ENVIRONMENTS / "visitors", "visitors", "default-bookworm", "visitors.test")
BOOKS = [TRIXIE, BOOKWORM, VISITORS]

books = pytest.mark.parametrize("site", BOOKS, ids=lambda site: site.environment.name)
local = pytest.mark.parametrize("site", [TRIXIE, BOOKWORM], ids=lambda site: site.environment.name)
every = pytest.mark.parametrize("site", [*BOOKS, HELLO], ids=lambda site: site.environment.name)


def changed(output: str) -> list[str]:
    """Return what Ansible says of hosts on which it changed something."""
    return re.findall(r".*changed=[1-9].*", output)


# Of VISITORS the test that reads all that such a run says.
@pytest.mark.parametrize("site", [TRIXIE, BOOKWORM, HELLO], ids=lambda site: site.environment.name)
def test_a_second_run_changes_nothing(site: Site) -> None:
    code, output = site.site_yml()
    assert code == 0, output
    assert changed(output) == []
    # A name outside of the public DNS has HTTP alone, and the run says so.
    assert "edge_tls: off, as no public CA gives a certificate for" in output


@pytest.mark.after_reboot
@every
def test_the_page_is_there(site: Site) -> None:
    until(lambda: site.ask("/").status == 200, f"{site.environment.name} answers")


def test_two_applications_on_one_server_are_told_apart_by_their_names() -> None:
    assert HELLO.ask("/").body == b"Hello from one file.\n"
    assert b"isitors" in TRIXIE.ask("/").body


@pytest.mark.after_reboot
@books
def test_the_footer_says_which_release_and_host_made_the_page(site: Site) -> None:
    release = site.host.check_output("basename $(readlink /srv/%s/current)", site.name)
    page = site.ask("/").body.decode()
    assert release in page
    assert site.server in page


def sign(site: Site, message: str, picture: bytes | None = None) -> Answer:
    """Sign the book as a browser does: the form's token, its cookie, and a multipart body."""
    form = site.ask("/")
    cookie = (form.headers["Set-Cookie"] or "").partition(";")[0]
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', form.body.decode())
    assert token, form.body
    line = "--b\r\nContent-Disposition: form-data; name="
    body = "".join(
        f'{line}"{name}"\r\n\r\n{value}\r\n'
        for name, value in {"csrf_token": token[1], "name": "Ada", "message": message}.items()
    ).encode()
    if picture:
        body += f'{line}"picture"; filename="p.png"\r\nContent-Type: image/png\r\n\r\n'.encode() + picture + b"\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=b", "Cookie": cookie}
    return site.ask("/", method="POST", body=body + b"--b--\r\n", headers=headers)


@pytest.mark.after_reboot
@books
def test_a_visitor_signs_the_book_and_finds_it_there(site: Site) -> None:
    message = f"It was {time.time()}"
    assert sign(site, message).status in (302, 303)
    assert message in site.ask("/").body.decode()


@books
def test_a_picture_is_kept_where_releases_share_it(site: Site) -> None:
    pixel = base64.b64decode(
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    )
    assert sign(site, "with a picture", pixel).status in (302, 303)
    path = re.search(r"/uploads/[\w.-]+", site.ask("/").body.decode())
    assert path
    assert site.ask(path[0]).body == pixel
    kept = site.host.file(f"/srv/{site.name}/shared/instance{path[0]}")
    assert (kept.exists, kept.user) == (True, site.name)


@books
def test_text_is_compressed_and_pictures_are_not(site: Site) -> None:
    accept = {"Accept-Encoding": "gzip"}
    css = site.ask("/static/style.css", headers=accept)
    assert css.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(css.body) == site.ask("/static/style.css").body
    # Made at the deploy.
    best = site.ask("/static/style.css", headers={"Accept-Encoding": "gzip, deflate, br, zstd"})
    twin = site.host.file(f"/srv/{site.name}/current/public/static/style.css.br")
    assert (best.headers["Content-Encoding"], best.body) == ("br", twin.content)
    for _ in range(5):  # enough entries for a body worth compressing
        body = json.dumps({"name": "Grace", "message": "compress me " * 20}).encode()
        site.ask("/api/entries", method="POST", body=body, headers={"Content-Type": "application/json"})
    answer = site.ask("/api/entries", headers=accept)
    assert answer.headers["Content-Encoding"] == "gzip"
    assert len(json.loads(gzip.decompress(answer.body))) > 0
    assert site.ask("/static/harbour.png", headers=accept).headers["Content-Encoding"] is None


@books
def test_the_application_sees_the_visitor_s_own_address(site: Site) -> None:
    with socket.create_connection((site.address, 80)) as connection:
        mine = connection.getsockname()[0]
    seen = site.ask("/api/whoami", headers={"X-Forwarded-For": "203.0.113.9"}).json
    assert seen["address"] == mine
    assert seen["scheme"] == "http"
    assert seen["host"] == (site.domain or site.address)


@pytest.mark.after_reboot
def test_a_host_nobody_knows_gets_no_answer() -> None:
    for site in (TRIXIE, BOOKWORM):
        with socket.create_connection((site.address, 80), timeout=DEADLINE_SECONDS) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: unknown.test\r\n\r\n")
            assert connection.recv(100) == b""


@books
def test_secrets_and_sources_are_never_served(site: Site) -> None:
    for path in (
        "/.env",
        "/.git/config",
        "/static/../env",
        "/static/%2e%2e/env",
        "/static/.env",
        "/static/app.py",
    ):
        assert site.ask(path).status in (400, 404), path


@every
def test_static_files_and_the_edge_s_own_page_survive_a_dead_application(site: Site) -> None:
    release = site.host.check_output("basename $(readlink /srv/%s/current)", site.name)
    site.host.check_output("systemctl stop %s@%s", site.name, release)
    try:
        if site is not HELLO:
            assert site.ask("/static/style.css").status == 200
        page = site.ask("/")
        assert page.status == 502
        assert b"nginx/" not in page.body
        assert b"<h1" in page.body
    finally:
        site.host.check_output("systemctl start %s@%s", site.name, release)
    assert site.ask("/").status == 200


@every
def test_the_site_is_back_by_itself_after_a_kill(site: Site) -> None:
    release = site.host.check_output("basename $(readlink /srv/%s/current)", site.name)
    tini = site.host.check_output("systemctl show -P MainPID %s@%s", site.name, release)
    main = site.host.check_output("pgrep -P %s", tini)
    worker = site.host.check_output("pgrep -P %s | head -n 1", main)
    site.host.check_output("kill -9 %s", worker)
    until(lambda: site.ask("/").status == 200, "the page after a worker's death")
    site.host.check_output("kill -9 %s", main)
    # A worker may still answer in the moment before systemd hears of it.
    question = ("systemctl show -P MainPID %s@%s", site.name, release)
    until(
        lambda: site.host.check_output(*question) not in (tini, "0"), "another first process after the master's death"
    )
    until(lambda: site.ask("/").status == 200, "the page after the master's death")


@books
def test_the_health_path_tells_whether_the_database_answers(site: Site) -> None:
    database = TRIXIE if site is VISITORS else site
    assert site.ask("/healthz").json["database"] == "ok"
    database.host.check_output("systemctl stop postgresql@*")
    try:
        assert site.ask("/healthz").status == 503
    finally:
        database.host.check_output("systemctl start postgresql")
    until(lambda: site.ask("/healthz").status == 200, "the database is back")


@local
def test_a_local_database_is_reached_without_a_password_and_a_port(site: Site) -> None:
    env = site.host.file(f"/srv/{site.name}/current/env").content_string
    assert "postgresql:///guestbook?host=/var/run/postgresql" in env
    if site is BOOKWORM:  # trixie listens for the environment `visitors`
        assert ":5432" not in site.host.check_output("ss -Hltn")


@pytest.mark.after_reboot
def test_a_remote_database_is_reached_over_tls() -> None:
    assert VISITORS.ask("/").status == 200  # a connection of the pool stays open
    query = "select distinct ssl from pg_stat_ssl join pg_stat_activity using (pid) where usename = 'visitors'"
    assert TRIXIE.host.check_output("cd / && runuser -u postgres -- psql -Atc %s", query) == "t"


def test_an_application_s_role_is_refused_by_the_other_s_database() -> None:
    host = TRIXIE.host
    assert host.run("cd / && runuser -u guestbook -- psql -Atc 'select 1' guestbook").stdout.strip() == "1"
    refused = host.run("cd / && runuser -u guestbook -- psql -Atc 'select 1' visitors")
    assert refused.rc != 0
    assert "pg_hba.conf rejects connection" in refused.stderr
    assert host.run("cd / && runuser -u hello -- psql -Atc 'select 1' guestbook").rc != 0


def test_the_password_of_a_remote_database_is_nowhere_to_be_read_and_a_second_run_changes_nothing() -> None:
    env = VISITORS.host.file("/srv/visitors/current/env").content_string
    found = re.search(r"visitors:([^@]+)@", env)
    assert found
    code, output = VISITORS.site_yml("-vvv", "--diff")
    assert code == 0, output
    assert changed(output) == []
    assert found[1] not in output
    for site in (TRIXIE, VISITORS):
        # sudo logs this very command, hence the second grep.
        count = "journalctl --quiet --no-pager | grep -F -e %s | grep -vc journalctl"
        logged = site.host.run(count, found[1])
        assert logged.stdout.strip() == "0"
        readable = "runuser -u nobody -- grep -rlsF -e %s /etc /srv /var/log /tmp"
        assert site.host.run(readable, found[1]).stdout == ""


# Between them: both Debians, an application alone, and one whose database is on another host. A dry run of a database is
# the scenario postgresql's.
@pytest.mark.parametrize("site", [HELLO, VISITORS], ids=lambda site: site.environment.name)
def test_a_dry_run_on_the_running_site_finds_nothing_to_change(site: Site) -> None:
    code, output = site.site_yml("--check", "--diff")
    assert code == 0, output
    assert changed(output) == []


@pytest.mark.after_reboot
@pytest.mark.parametrize("server", ["default-trixie", "default-bookworm"])
def test_every_service_of_the_server_is_well(server: str) -> None:
    failed = administrator(server).check_output("systemctl list-units --failed --plain --no-legend")
    assert failed == ""


def test_an_environment_s_template_extends_the_role_s() -> None:
    """environments/hello/templates/ bounds the request line, and sends visitors on; all else is the roles'."""
    assert HELLO.ask("/?" + 900 * "x").status == 200
    assert HELLO.ask("/?" + 1100 * "x").status == 414
    moved = HELLO.ask("/old")
    assert (moved.status, moved.headers["Location"].endswith("/new")) == (301, True)
