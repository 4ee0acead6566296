"""What every edge promises, asked of the running servers: nginx and Apache alike.

The scenarios of both run these, in addition to what only one of them promises.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import http.client
import itertools
import json
import posixpath
import re
import urllib.parse

import pytest
from testinfra.host import Host

from edge import (
    AWAIT_INSTANCE,
    BROWSER,
    BROWSER_CODINGS,
    GZIP,
    SERVER,
    SWAP,
    Edge,
    Play,
    Run,
    State,
    Stats,
    Visit,
    changes,
)
from probe import until

ROLE = SERVER.role


# --- Hosts


@pytest.mark.after_reboot
@pytest.mark.parametrize(
    "name", ["one.test", "www.one.test", "ONE.test", "one.test:80", f"{'a' * 63}." * 3 + "one.test"]
)
def test_a_site_answers_to_each_of_its_names(edge: Edge, name: str) -> None:
    """The names are those of server_names, in any spelling a client may use."""
    assert edge.ask("/echo", name).json["instance"] in {"blue", "green"}


@pytest.mark.after_reboot
@pytest.mark.parametrize("port", [0, 8080])  # 0: the edge's usual one
@pytest.mark.parametrize("name", ["two.test", "any.two.test"])
def test_the_second_site_gets_its_own_visitors(edge: Edge, name: str, port: int) -> None:
    """On the port it shares and on the one it has alone; the first of its names is a pattern."""
    assert edge.ask("/echo", name, port=port).json["instance"] == "red"


@pytest.mark.after_reboot
def test_a_site_answers_over_ipv6(visit: Visit) -> None:
    """The default of what is listened on has both kinds of address."""
    assert visit("/static/both.css", "one.test", "::1")["status"] == 200


@pytest.mark.after_reboot
@pytest.mark.parametrize("name", ["old.third.test", "any.third.test", "old.third.test:80"])
@pytest.mark.parametrize("path", ["/", "/a%20b%2Fc//d/..?x=1&y=%2F&z", "//two"])
def test_another_name_leads_to_the_canonical_one(edge: Edge, name: str, path: str) -> None:
    """The third site's, in maintenance too. Path and query stay what they are."""
    answer = edge.ask(path, name, method="POST")
    assert (answer.status, answer.headers["Location"]) == (308, f"{edge.scheme}://third.test{path}")


@pytest.mark.after_reboot
@pytest.mark.parametrize("name", ["old.test", "any.old.test:80"])
@pytest.mark.parametrize("path", ["/", "/a%20b%2Fc//d/..?x=1&y=%2F&z", "//two", "/$host{x}?$1%{HTTP_HOST}%1"])
def test_a_site_that_only_redirects_leads_every_request_elsewhere(edge: Edge, name: str, path: str) -> None:
    """Path and query stay what they are, whatever they mean to the server."""
    answer = edge.ask(path, name, method="POST")
    assert (answer.status, answer.headers["Location"]) == (308, f"https://new.test/shop{path}")


@pytest.mark.parametrize(
    "target", ["*", "@evil.test/", ".evil.test/", "http://old.test@evil.test/", "/%0d%0aX-Own:%201"]
)
def test_no_request_leads_to_another_host_than_the_site_s_target(edge: Edge, target: str) -> None:
    head = edge.send(f"GET {target} HTTP/1.1\r\nHost: old.test\r\nConnection: close\r\n\r\n").partition(b"\r\n\r\n")[0]
    assert re.match(rb"HTTP/1\.1 (?:308|4\d\d) ", head)
    assert b"X-Own: 1" not in head
    places = re.findall(rb"^location: *(.*?)\r?$", head, re.IGNORECASE | re.MULTILINE)
    assert len(places) == head.startswith(b"HTTP/1.1 308 ")
    assert all(place.startswith(b"https://new.test/shop/") for place in places)


def test_the_log_of_a_redirect_has_the_visitor_s_address(run: Run) -> None:
    """Of one whom a trusted proxy names."""
    headers = "{'Host': 'old.test', 'X-Forwarded-For': '192.0.2.77'}"
    run(
        f"python3 -c \"import http.client as h;h.HTTPConnection('127.0.0.1').request('GET', '/logged', headers={headers})\""
    )
    until(lambda: "192.0.2.77" in run(f"cat {SERVER.logs}/redirect.access.log"), "the request is logged")


def test_every_answer_of_the_edge_s_own_has_the_headers(edge: Edge, dead_application: None) -> None:
    """What it refuses, redirects and says in the application's place, as much as a file it sends."""
    large = {"Content-Length": str(2**30)}
    for host, path, status, headers in (
        ("one.test", "/page", SERVER.away, {}),
        ("one.test", "/page", 413, large),
        ("one.test", "/static/both.css", 200, {}),
        ("one.test", "/static/settings.py", 404, {}),
        ("one.test", "/.git/config", 404, {}),
        ("third.test", "/page", 503, {}),
        ("old.third.test", "/page", 308, {}),
        ("old.test", "/page", 308, {}),
    ):
        answer = edge.ask(path, host, headers=headers)
        assert answer.status == status, path
        assert answer.headers.get_all("X-Content-Type-Options") == ["nosniff"], (host, path)
        assert answer.headers.get_all("Referrer-Policy") == ["strict-origin-when-cross-origin"], (host, path)
        # The third site's alone, which has set them.
        for name, value in (
            ("Content-Security-Policy", "frame-ancestors 'self'"),
            ("Content-Security-Policy-Report-Only", "default-src 'self'"),
        ):
            assert answer.headers.get_all(name) == ([value] if "third" in host else None), (host, path)
        # The third site's alone, and only HTTPS may say it.
        has_hsts = edge.scheme == "https" and "third" in host
        assert ("Strict-Transport-Security" in answer.headers) == has_hsts, (host, path)


# --- Static files


def test_static_files_survive_a_dead_application(edge: Edge, dead_application: None) -> None:
    """A file is sent by the edge itself; a page gets the edge's own page, whatever the method."""
    assert edge.ask("/static/both.css").body == b"/* release 2 */\n"
    for method in ("GET", "POST", "DELETE"):
        page = edge.ask("/page", method=method, body=b"a=b" if method == "POST" else None)
        assert page.status == SERVER.away
        assert b"one.test is restarting" in page.body
        assert page.headers["Content-Type"] == "text/html; charset=utf-8"
        assert page.headers["Cache-Control"] == "no-store"


def test_the_error_page_has_no_address_of_its_own(edge: Edge) -> None:
    """It cannot be requested, so no page links to it."""
    assert edge.ask("/.slipway/50x.html").status == 404


def test_who_asks_an_application_that_hangs_gets_the_error_page(edge: Edge) -> None:
    """The second site's proxy timeout is 5 seconds."""
    page = edge.ask("/hang", "two.test")
    assert page.status == SERVER.hung
    assert b"two.test is restarting" in page.body


@pytest.mark.parametrize("code", [404, 500, 502, 503])
def test_the_applications_own_error_pages_pass_through(edge: Edge, code: int) -> None:
    """Only what the edge itself has to say is replaced."""
    page = edge.ask(f"/status/{code}")
    assert (page.status, page.body.decode()) == (code, f"The application's own page for {code}")


def test_files_of_the_previous_release_can_still_be_fetched(edge: Edge) -> None:
    """A page loaded before a deploy asks for them; where both have a file, the current one is sent."""
    assert edge.ask("/static/only-1.css").status == 200
    assert edge.ask("/static/only-2.css").status == 200
    assert edge.ask("/static/both.css").body == b"/* release 2 */\n"


def test_a_static_url_without_a_file_is_the_application_s(edge: Edge) -> None:
    """A package of the application may bring its own static files, which it serves itself."""
    assert "instance" in edge.ask("/static/none.css").json


def test_static_files_may_be_kept_for_an_hour_and_versioned_ones_for_ever(edge: Edge) -> None:
    """With validators, so that asking again costs little; nothing of the kind on what is missing."""
    plain, versioned = edge.ask("/static/both.css"), edge.ask("/static/both.css?v=2")
    assert plain.headers["Cache-Control"] == "max-age=3600"
    assert "immutable" in ", ".join(versioned.headers.get_all("Cache-Control", []))
    again = edge.ask("/static/both.css", headers={"If-None-Match": plain.headers["ETag"]})
    assert again.status == 304
    assert "Cache-Control" not in edge.ask("/static/none.css?v=2").headers


@pytest.mark.parametrize("name", ["app.3f9a1c2b.js", "index-B2x9_kQz.js"])
def test_a_file_with_a_digest_in_its_name_may_be_kept_for_ever(edge: Edge, name: str) -> None:
    """Also where it is told to be unchanged, and only where it is there (tests/test_immutable_names.py has the names)."""
    answer = edge.ask(f"/static/{name}")
    assert (answer.status, answer.body.decode()) == (200, f"{name}\n")
    again = edge.ask(f"/static/{name}", headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status == 304
    for one in (answer, again):
        said = ", ".join(one.headers.get_all("Cache-Control", []))
        assert said == "max-age=315360000, immutable"  # not public: it may be behind a password
    assert "Cache-Control" not in edge.ask(f"/static/none-{name}").headers  # the application's answer
    refused = edge.ask(f"/static/{name}.py")
    assert (refused.status, refused.headers["Cache-Control"]) == (404, None)


def test_a_name_is_known_by_its_folder_too_where_a_site_says_so(edge: Edge) -> None:
    said = edge.ask("/static/both.css", "page.test").headers.get_all("Cache-Control", [])
    assert ", ".join(said) == "max-age=315360000, immutable"


@pytest.mark.parametrize("name", ["report-20241105.json", "jquery-ui.min.js"])
def test_a_name_that_only_looks_like_one_with_a_digest_is_asked_for_again(edge: Edge, name: str) -> None:
    assert edge.ask(f"/static/{name}").headers.get_all("Cache-Control") == ["max-age=3600"]


@pytest.mark.parametrize(
    "name",
    [
        ".env",
        ".git/config",
        "settings.py",
        "settings.pyc",
        "SETTINGS.PY",
        "app.ini",
        "app.env",
        "data.sqlite",
        "data.db",
        "dump.sql",
        "dump.sql.gz",
        "page.html.bak",
        ".page.html.swp",
        "page.html.swp",
        "page.html~",
        "folder.py/.secret",
        "server.key",
        "data.sqlite3-wal",
        "cert.p12",
        "backup.tar.gz",
        "id_rsa",
        "#settings.py#",
        "settings.py.txt",
        "#page.html",
        "~page.html",
        ".page.css",
        "twin.css.gz",  # the twin does not have its own address
        "twin.css.br",
    ],
)
def test_files_that_are_no_assets_are_never_sent(edge: Edge, host: Host, name: str) -> None:
    """They are there, and readable for the edge: only the role's rule keeps them."""
    assert host.file(f"/srv/one/current/public/static/{name}").is_file
    quoted = urllib.parse.quote(name)
    for spelling in (quoted, f"./{quoted}", f"/{quoted}", quoted.replace(".", "%2e"), f"{quoted}/"):
        path = f"/static/{spelling}"
        answer = edge.ask(path)
        assert (answer.status, b"secret" in answer.body) == (404, False), path


@pytest.mark.parametrize("path", ["folder.py/3f2a9c.Bundle.CSS", "page.json", "./both.css", "fonts/../both.css"])
def test_assets_are_sent_whatever_their_folder_is_called(edge: Edge, path: str) -> None:
    answer = edge.ask(f"/static/{path}")
    assert (answer.status, "instance" in answer.body.decode()) == (200, False)


def files_of_flask(target: str) -> set[str]:
    """Return the paths below the static folder that a Flask application's own static route would open.

    The servers of an application differ in what they leave for it to judge: all decode a path, gunicorn ends it at a #,
    uWSGI does not, and mod_wsgi's Apache takes out dots and slashes first.
    """
    path = re.sub("^http://[^/]*", "", target).partition("?")[0]
    found = set()
    for raw in path, path.partition("#")[0]:
        decoded = urllib.parse.unquote(raw, "latin-1")
        for seen in decoded, posixpath.normpath(decoded):
            head, static, name = ("/" + seen.lstrip("/")).partition("/static/")
            below = posixpath.normpath(name.lstrip("/"))
            if static and not head and "\0" not in below and not below.startswith(".."):
                found.add(below)
    return found


# Spellings of what comes before a name, of names that may not be published, and of what comes after one.
STARTS = (
    "/static/ //static/ /static// /./static/ /x/../static/ /%73tatic/ /static%2F /static%2f%2F /%2Fstatic/ /%2Fstatic%2F "
    "/x%2F..%2Fstatic/ /x%2f%2e%2e/static/ /.%2Fstatic/ /static/./ /static/%2E/ /static/a/../ /static/a%2F../ "
    "/static%2Fa/../ /static%2fa/%2E%2e/ /static/none.css/../ /static/none.css%2F..%2F /static/none.css#/../ "
    "/static/none.css?/../ /static/%00/../ /static\\ /static/a//../ http://one.test/static/ http://one.test//static/ "
    "http://one.test:80/static%2F HTTP://one.test/x/../static/ /static/%252e/ /static;a/ /static/;/../"
)
NAMES = "settings.py settings%2Epy %73ettings.p%79 SETTINGS.PY .env %2Egit/config folder.py/.secret"
ENDS = (
    " / // /. /./ /.. %2F %2f%2F %2F. ? ?v=2 # #.css ?.css %00 %00.css ;a ;.css %3B.css %20 %09 %0A . %2E ~ /none.css/.. "
    "/none.css%2F.. /none.css/../ /%2e /.%2F #/none.css %23.css %3F.css %5C \\ /%5C.."
)


@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_the_application_is_not_asked_for_what_may_not_be_published(edge: Edge, version: str) -> None:
    """In no spelling that its own static route would understand."""
    names = NAMES.split(" ")
    targets = ["".join(parts) for parts in itertools.product(STARTS.split(" "), names, ENDS.split(" "))]
    refused = {urllib.parse.unquote(name) for name in names}
    dangerous = [target for target in targets if files_of_flask(target) & refused]
    assert len(dangerous) > len(targets) / 4
    leaks = []
    for target in dangerous:
        answer = edge.send(f"GET {target} HTTP/{version}\r\nHost: one.test\r\nConnection: close\r\n\r\n")
        if not re.match(rb"HTTP/1\.1 40[04] ", answer) or b"instance" in answer or b"secret" in answer:
            leaks.append((target, answer[:20]))
    assert leaks == []


@pytest.mark.parametrize(
    "path",
    ["/settings.py", "/x/static/settings.py", "/a%2Fb/settings.py", "/static", "/staticx/a.py"],
)
def test_names_elsewhere_are_the_application_s(edge: Edge, path: str) -> None:
    assert edge.ask(path).json["path"] == path


def test_hidden_files_are_not_asked_of_the_application_either(edge: Edge) -> None:
    """But .well-known is: clients find settings there."""
    assert edge.ask("/.env").status == 404
    assert edge.ask("/a/.git/HEAD").status == 404
    assert edge.ask("/.well-known/security.txt").json["path"] == "/.well-known/security.txt"


@pytest.mark.parametrize(
    "path",
    [
        "/static/../../../../../etc/passwd",
        "/static/..%2f..%2f..%2f..%2f..%2fetc/passwd",
        "/static/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/static/..%5c..%5cetc/passwd",
        "/static//etc/passwd",
        "/static../etc/passwd",
        "/static../.env",
        "//etc/passwd",
        "/static/%00/etc/passwd",
        "/static/both.css/",
        "/static/",
    ],
)
def test_no_path_leads_out_of_the_static_folder(edge: Edge, path: str) -> None:
    """What the edge sends is below a root; all else is the application's, or nothing."""
    answer = edge.ask(path)
    assert b"root:" not in answer.body
    assert b"secret" not in answer.body
    assert answer.status in {400, 404} or "instance" in answer.json


# --- Compression


@pytest.mark.parametrize(
    "path",
    [
        "/static/only-2.css",
        "/static/app.js",
        "/static/app.mjs",
        "/static/page.json",
        "/static/drawing.svg",
        "/static/fonts/text.ttf",
        "/large.json",
    ],
)
def test_text_is_compressed_for_those_who_accept_it(edge: Edge, path: str) -> None:
    """Files and pages alike; others get the same bytes plain, and caches are told of the difference."""
    packed, plain = edge.ask(path, headers=GZIP), edge.ask(path)
    assert packed.headers["Content-Encoding"] == "gzip"
    assert packed.headers["Vary"] == "Accept-Encoding"
    assert "Content-Encoding" not in plain.headers
    assert gzip.decompress(packed.body) == plain.body
    assert len(packed.body) < len(plain.body)


def test_text_is_compressed_behind_a_proxy_too(edge: Edge) -> None:
    """nginx by itself does not where the request has a Via header."""
    answer = edge.ask("/large.json", headers={**GZIP, "Via": "1.1 cache"})
    assert answer.headers["Content-Encoding"] == "gzip"


@pytest.mark.parametrize("path", ["/static/picture.png", "/large.png", "/static/tiny.css", "/small.json"])
def test_what_would_not_shrink_is_not_compressed(edge: Edge, path: str) -> None:
    """Pictures are compressed already, and small answers are not worth it."""
    answer = edge.ask(path, headers=GZIP)
    assert answer.status == 200
    assert "Content-Encoding" not in answer.headers


def test_the_precompressed_twin_is_what_is_sent(edge: Edge, run: Run) -> None:
    """Its very bytes, with the type of the file; the file itself to those who do not accept it."""
    packed, plain = edge.ask("/static/twin.css", headers=GZIP), edge.ask("/static/twin.css")
    twin = run("od -An -v -tx1 /srv/one/current/public/static/twin.css.gz")
    assert packed.body == bytes.fromhex(twin)
    assert packed.headers["Content-Type"] == "text/css"
    assert gzip.decompress(packed.body) == b"/* compressed ahead of time */\n"
    assert plain.body.startswith(b"1\n2\n")
    best = edge.ask("/static/twin.css", headers=BROWSER_CODINGS)
    assert (best.body, best.headers["Content-Type"]) == (b"The edge sends it as it is.\n", "text/css")


@pytest.mark.parametrize("path", ["/static/only-2.css", "/static/drawing.svg", "/large.json"])
def test_browsers_get_brotli(edge: Edge, run: Run, path: str) -> None:
    """Files and pages alike; it is smaller than gzip."""
    packed, zipped, plain = (edge.ask(path, headers=accept) for accept in (BROWSER_CODINGS, GZIP, {}))
    assert packed.headers["Content-Encoding"] == "br"
    assert packed.headers.get_all("Vary") == ["Accept-Encoding"]
    unpacked = run(f"echo {base64.b64encode(packed.body).decode()} | base64 -d | brotli --decompress | base64 -w 0")
    assert base64.b64decode(unpacked) == plain.body
    assert len(packed.body) < len(zipped.body)


@pytest.mark.parametrize(
    ("accept", "coding"),
    [
        ("br, gzip;q=0.8, deflate", "br"),
        ("deflate, gzip;q=0.8", "gzip"),
        ("GZIP", "gzip"),
        ("br;q=0, gzip", "gzip"),
        ("gzip;q=0, br", "br"),
        ("gzip;q=0.0, br; q=0", None),
        ("gzip;q=0", None),
        ("identity", None),
        ("x-gzipped, abr, brx", None),
        ("", None),
    ],
)
@pytest.mark.parametrize("path", ["/static/twin.css", "/static/only-2.css", "/large.json"])
def test_a_client_gets_a_coding_that_it_accepts(edge: Edge, path: str, accept: str, coding: str | None) -> None:
    """Of a twin, a file and a page: with q=0 a client refuses one (RFC 9110, 12.4.2)."""
    answer = edge.ask(path, headers={"Accept-Encoding": accept})
    assert answer.headers["Content-Encoding"] == coding
    assert answer.headers.get_all("Vary") == ["Accept-Encoding"]
    assert answer.headers["Content-Language"] is None


def test_each_representation_has_an_etag_of_its_own(edge: Edge) -> None:
    """With which it need not be sent again, and no other is taken for it."""
    codings: list[dict[str, str]] = [BROWSER_CODINGS, GZIP, {}]
    tags = [edge.ask("/static/twin.css", headers=accept).headers["ETag"] for accept in codings]
    assert len(set(tags)) == len(tags)
    for accept in codings:
        known = [edge.ask("/static/twin.css", headers={**accept, "If-None-Match": tag}).status == 304 for tag in tags]
        assert known == [accept == other for other in codings]
    for path in ("/static/only-2.css", "/static/drawing.svg"):
        tag = edge.ask(path, headers=BROWSER_CODINGS).headers["ETag"]
        again = edge.ask(path, headers={**BROWSER_CODINGS, "If-None-Match": tag})
        assert (again.status, again.body) == (304, b"")


def test_head_says_what_get_would(edge: Edge) -> None:
    for accept in (BROWSER_CODINGS, GZIP, {}):
        head, get = (edge.ask("/static/twin.css", method=method, headers=accept) for method in ("HEAD", "GET"))
        assert head.body == b""
        for name in ("Content-Encoding", "Content-Length", "ETag", "Vary", "Content-Type", "Cache-Control"):
            assert head.headers.get_all(name) == get.headers.get_all(name)


def test_a_range_is_one_of_what_is_sent(edge: Edge) -> None:
    """Of the file or of its twin; who asks for one of a twin may get all of it."""
    for accept in (BROWSER_CODINGS, GZIP, {}):
        whole = edge.ask("/static/twin.css", headers=accept)
        part = edge.ask("/static/twin.css", headers={**accept, "Range": "bytes=4-9", "If-Range": whole.headers["ETag"]})
        assert part.headers["Content-Encoding"] == whole.headers["Content-Encoding"]
        assert (part.status, part.body) in [(206, whole.body[4:10]), *([(200, whole.body)] if accept else [])]


def test_compression_can_be_switched_off(edge: Edge) -> None:
    """The site `page` has it switched off."""
    assert "Content-Encoding" not in edge.ask("/large.json", "page.test", headers=BROWSER_CODINGS).headers


# --- What the application is told


def test_the_application_sees_who_asks_and_for_what(edge: Edge) -> None:
    """The host, the scheme, and one client address: that of the connection."""
    with contextlib.closing(edge.connect()) as connection:
        headers = edge.ask("/echo?a=b%20c", "one.test", connection=connection).json["headers"]
        assert connection.sock is not None
        mine = connection.sock.getsockname()[0]
    assert headers["host"] == headers["x-forwarded-host"] == ["one.test"]
    assert headers["x-forwarded-for"] == headers["x-real-ip"] == [mine]
    assert headers["x-forwarded-proto"] == [edge.scheme]
    assert headers["x-forwarded-port"] == [str(edge.port)]
    assert edge.ask("/echo?a=b%20c").json["path"] == "/echo?a=b%20c"


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("one.test:1337", "one.test"),
        ("one.test:80", "one.test:80"),
        ("two.test:8080", "two.test:8080"),  # it is listened on
        ("two.test:8123", "two.test:8123"),  # it is forwarded here (public_ports)
        ("two.test:18123", "two.test"),
        ("two.test:812", "two.test"),
        ("any.two.test:080", "any.two.test"),
    ],
)
def test_the_application_is_told_no_port_that_visitors_do_not_reach_it_at(edge: Edge, asked: str, told: str) -> None:
    """It would lead them there, with the URLs that it makes of it."""
    headers = edge.ask("/echo", asked).json["headers"]
    assert headers["host"] == headers["x-forwarded-host"] == [told]


@pytest.mark.parametrize(
    "asked", ["two.test:", "two.test:81230", "two.test:80a", "two.test:80:1337", "a@two.test:1337"]
)
def test_what_is_no_port_does_not_reach_the_application(edge: Edge, asked: str) -> None:
    """Such a request is refused, or that part is left out."""
    answer = edge.send(f"GET /echo HTTP/1.1\r\nHost: {asked}\r\nConnection: close\r\n\r\n")
    assert b'"instance"' not in answer or b'"host": ["two.test"]' in answer


def test_a_port_in_the_request_line_is_no_other_than_one_in_the_header(edge: Edge) -> None:
    for version in "1.1", "1.0":
        answer = edge.send(
            f"GET http://one.test:1337/echo HTTP/{version}\r\nHost: one.test\r\nConnection: close\r\n\r\n"
        )
        assert b'"instance"' in answer
        assert b"1337" not in answer


# Names by which proxies say who is logged in, from where, or which URL was asked for.
NO_CLIENT_MAY_SAY = (
    "Remote-User X-Remote-User X-Forwarded-User X-Auth-Request-User X-Original-URL X-Rewrite-URL X-Scheme X-Script-Name "
    "X-Client-IP X-Forwarded-Client-Cert"
)


def test_a_client_cannot_say_who_is_logged_in_or_which_url_is_meant(edge: Edge) -> None:
    lies = dict.fromkeys(NO_CLIENT_MAY_SAY.split(), "lie")
    told = edge.ask("/echo", headers={**lies, "X-Own": "kept"}).json["headers"]
    assert told["x-own"] == ["kept"]
    assert [name for name, values in told.items() if "lie" in values] == []


@pytest.mark.parametrize("site", ["one.test", "page.test"])
def test_no_name_with_an_underscore_gets_through(edge: Edge, site: str) -> None:
    """To WSGI it is one with a hyphen, and gunicorn takes from SCRIPT_NAME and PATH_INFO which path was asked for."""
    names = ["SCRIPT_NAME", "PATH_INFO", "X_Own", "x-own_name", "_", "Transfer_Encoding"]
    names += NO_CLIENT_MAY_SAY.replace("-", "_").split()
    told = edge.ask("/echo", site, headers={**dict.fromkeys(names, "lie"), "X-Own": "kept"}).json["headers"]
    assert told["x-own"] == ["kept"]
    assert [name for name, values in told.items() if "_" in name or "lie" in values] == []


def test_a_client_cannot_pass_itself_off_as_another(edge: Edge) -> None:
    """What it says of itself is replaced, or does not get through."""
    lies = {
        "X-Forwarded-For": "203.0.113.7",
        "X-Real-IP": "203.0.113.7",
        "X-Forwarded-Proto": {"http": "https", "https": "http"}[edge.scheme],
        "X-Forwarded-Host": "evil.test",
        "X-Forwarded-Port": "4444",
        "X-Forwarded-Prefix": "/evil",
        "Forwarded": "for=203.0.113.7;host=evil.test",
    }
    headers = edge.ask("/echo", headers=lies).json["headers"]
    told = json.dumps(headers)
    assert "203.0.113.7" not in told
    assert "evil" not in told
    assert headers["x-forwarded-proto"] == [edge.scheme]
    assert headers["x-forwarded-port"] == [str(edge.port)]
    assert len(headers["x-forwarded-for"]) == 1


def test_a_client_cannot_forge_an_address_by_a_spelling(edge: Edge) -> None:
    """To WSGI X_Forwarded_For is X-Forwarded-For, and some servers let the last one count."""
    names = ["X-Real-IP", *(f"X-Forwarded-{word}" for word in ("For", "Proto", "Host", "Port", "Server", "Prefix"))]
    one, other = ({name.replace("-", "_", count): "lie" for name in names} for count in (1, 2))
    lies = one | other | {name[::-1].replace("-", "_", 1)[::-1]: "lie" for name in names} | {"Content_Length": "lie"}
    told = edge.ask("/echo", headers=lies).json["headers"]
    assert len(lies) == 3 * len(names) + 1
    assert [name for name, values in told.items() if "lie" in values] == []


@pytest.mark.parametrize("first", ["close", "keep-alive", "Host"])
def test_a_client_cannot_have_its_address_taken_out(edge: Edge, first: str) -> None:
    """A proxy leaves out what Connection names (RFC 9110, 7.6.1), but not what it says itself."""
    plain = edge.ask("/echo").json["headers"]
    names = ("X-Real-IP", "X-Forwarded-For;x-forwarded-proto", " X-Forwarded-Host\tX-Forwarded-Port")
    assert edge.ask("/echo", headers={"Connection": ",".join((first, *names))}).json["headers"] == plain


def test_a_client_says_how_long_its_connection_lasts(edge: Edge) -> None:
    """It is closed where the client wants that, whatever else it says, and kept where an old client wants that."""
    ask = "GET /echo HTTP/1.{}\r\nHost: one.test\r\nConnection: {}\r\n\r\n"
    for words in "close", "TE, Close", "close, X-Real-IP":
        assert edge.send(ask.format(1, words)).startswith(b"HTTP/1.1 200 ")
    for words in "Keep-Alive", "keep-alive, X-Real-IP":
        assert edge.send(ask.format(0, words) + ask.format(1, "close")).count(b"HTTP/1.1 200 ") == 2


def test_a_client_cannot_name_another_host_than_the_one_it_reached(edge: Edge) -> None:
    """With a full URL in the request line the Host header counts for nothing (RFC 9112, 3.2.2); on HTTPS Apache refuses that."""
    answer = edge.send("GET http://one.test/echo HTTP/1.1\r\nHost: evil.test:81\r\nConnection: close\r\n\r\n")
    refused = (ROLE, edge.scheme) == ("apache", "https")
    assert answer.startswith(b"HTTP/1.1 421 ") if refused else b'"instance"' in answer
    assert b"evil" not in answer


def test_the_proxy_header_never_reaches_the_application(edge: Edge) -> None:
    """Programs take it for their own proxy setting (https://httpoxy.org)."""
    assert "proxy" not in edge.ask("/echo", headers={"Proxy": "http://203.0.113.7"}).json["headers"]


def test_a_request_above_the_limit_is_refused(edge: Edge, stats: Stats) -> None:
    """The first site's limit is 1m; one at the limit arrives whole."""
    limit = 1024 * 1024
    assert edge.ask("/echo", method="POST", body=bytes(limit)).json["body_bytes"] == limit
    before = [stats(name)["requests"].get("POST /echo") for name in ("blue", "green")]
    # The head alone says it; the edge may close before the rest has been sent.
    head = f"POST /echo HTTP/1.1\r\nHost: one.test\r\nConnection: close\r\nContent-Length: {limit + 1}\r\n\r\n"
    assert edge.send(head).startswith(b"HTTP/1.1 413 ")
    assert [stats(name)["requests"].get("POST /echo") for name in ("blue", "green")] == before


# --- Connections to the application


def test_a_restart_of_the_application_costs_the_next_visitor_nothing(edge: Edge, run: Run) -> None:
    """The edge notices that connections it kept have ended."""
    with contextlib.closing(edge.connect()) as connection:
        name = edge.ask("/echo", connection=connection).json["instance"]
        run(f"systemctl restart upstream@{name}")
        run(AWAIT_INSTANCE.format(name=name))
        assert edge.ask("/echo", connection=connection).status == 200


def test_moving_the_socket_moves_the_traffic_without_a_reload(edge: Edge, run: Run, state: State) -> None:
    """Every request on the way is answered, and the edge has the same processes as before."""
    before = state()
    for name in ("green", "blue", "green", "blue"):
        run(SWAP.format(name=name))
        assert edge.ask("/echo").status == 200
        with contextlib.closing(edge.connect()) as connection:

            def moved(connection: http.client.HTTPConnection = connection, name: str = name) -> bool:
                return bool(edge.ask("/echo", connection=connection).json["instance"] == name)

            until(moved, f"{name} answers")
    assert state() == before


# --- The program


@pytest.mark.after_reboot
def test_it_is_there_after_a_reboot(host: Host) -> None:
    """Enabled as well as running."""
    assert host.service(SERVER.program).is_enabled
    assert host.service(SERVER.program).is_running


def test_it_is_back_after_its_main_process_was_killed(edge: Edge, run: Run) -> None:
    main = f"systemctl show --property=MainPID --value {SERVER.program}"
    before = run(main)
    run(f"systemctl kill --kill-whom=main --signal=KILL {SERVER.program}")
    until(lambda: run(main) not in (before, "0") and edge.ask("/echo").status == 200, "another answers")
    state = f"systemctl is-active {SERVER.program} || true"  # it ends with 3 for any other state, which is what is read
    until(lambda: run(state) == "active", "systemd has seen it")


def test_it_starts_once_another_program_has_given_back_its_port(edge: Edge, run: Run) -> None:
    """systemd itself has it until then."""
    run(f"systemctl stop {SERVER.program}")
    run("systemd-run --quiet --unit=has-the-port --socket-property=ListenStream=80 true")
    try:
        run(f"! systemctl start {SERVER.program}")
    finally:
        run("systemctl stop has-the-port.socket")
    until(lambda: edge.ask("/echo").status == 200, "it answers")


@pytest.mark.after_reboot
def test_logs_are_not_for_everybody(run: Run) -> None:
    """They tell who visited what; another application's user on the server must not read them."""
    logs = run(f"ls {SERVER.logs}/*.log").split()
    assert f"{SERVER.logs}/one.access.log" in logs
    assert run(f"runuser --user nobody -- cat {' '.join(logs)} 2>/dev/null || true") == ""


def test_logs_are_rotated(run: Run) -> None:
    """By what the package brings: the files bear names that it looks for."""
    run(f"logrotate --debug /etc/logrotate.d/{SERVER.program} 2>&1 | grep -F {SERVER.logs}/one.access.log")


# --- A single-page application: the site `page`

PAGE = b"<h1>one page</h1>\n"


def test_the_front_page_is_the_static_index(edge: Edge) -> None:
    answer = edge.ask("/", "page.test")
    assert (answer.status, answer.body) == (200, PAGE)
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-cache"  # the next release's is seen at once


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_page_that_the_application_does_not_know_is_the_index_too(edge: Edge, method: str) -> None:
    answer = edge.ask("/status/404", "page.test", method=method, headers=BROWSER)
    assert (answer.status, answer.body) == (200, PAGE if method == "GET" else b"")
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize(("method", "accept"), [("GET", "application/json"), ("POST", BROWSER["Accept"])])
def test_a_program_gets_the_application_s_404(edge: Edge, method: str, accept: str) -> None:
    answer = edge.ask("/status/404", "page.test", method=method, headers={"Accept": accept})
    assert (answer.status, answer.body) == (404, b"The application's own page for 404")


def test_what_may_not_be_published_is_no_page_either(edge: Edge) -> None:
    for path in "/static/settings.py", "/static/settings.py/", "/static/folder/", "/.env":
        assert edge.ask(path, "page.test", headers=BROWSER).status == 404


@pytest.mark.parametrize("status", [200, 403, 500, 503])
def test_every_other_answer_is_the_application_s(edge: Edge, status: int) -> None:
    answer = edge.ask(f"/status/{status}", "page.test", headers=BROWSER)
    assert (answer.status, answer.body) == (status, f"The application's own page for {status}".encode())


def test_a_browser_is_told_when_the_application_is_away(edge: Edge, run: Run) -> None:
    run("systemctl stop upstream@red")
    try:
        assert edge.ask("/", "page.test").body == PAGE
        answer = edge.ask("/elsewhere", "page.test", headers=BROWSER)
        assert answer.status == SERVER.away
        assert b"page.test is restarting" in answer.body
    finally:
        run("systemctl start upstream@red")
        until(lambda: edge.ask("/echo", "page.test").status == 200, "it is back")


# --- Maintenance: the third site's


@pytest.mark.after_reboot
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE"])
def test_visitors_are_told_of_maintenance_and_when_to_come_back(edge: Edge, method: str) -> None:
    """Also after a reboot. Nothing may keep the page, and a search engine forgets nothing because of it."""
    page = edge.ask("/echo", "third.test", method=method, body=b"a=b" if method == "POST" else None)
    assert (page.status, page.headers["Retry-After"]) == (503, "300")
    assert page.headers["Cache-Control"] == "no-store"
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert method == "HEAD" or b"<h1>Closed for maintenance</h1>" in page.body


def test_static_files_are_sent_in_maintenance_and_nothing_else_reaches_the_application(edge: Edge) -> None:
    """Such as a page that is still open in a browser needs them."""
    assert edge.ask("/static/both.css", "third.test").status == 200
    assert edge.ask("/static/none.css", "third.test").status == 503
    assert edge.ask("/.slipway/maintenance.html", "third.test").status == 404


def test_a_path_that_is_left_open_is_answered_by_the_application(edge: Edge) -> None:
    """A monitor's, say; and that path alone."""
    assert edge.ask("/small.json?full=1", "third.test").status == 200
    assert edge.ask("/small.json/more", "third.test").status == 503


def test_another_site_is_not_in_maintenance(edge: Edge) -> None:
    """The flag is a site's own."""
    assert edge.ask("/echo").status == 200


@pytest.mark.one_debian
def test_maintenance_begins_and_ends_at_once_without_a_reload(edge: Edge, change: Play, state: State) -> None:
    """And a second time nothing changes."""
    before = state()
    site = {"tasks": "maintenance", "edge_site_name": "third"}
    on, off = {"edge_maintenance": True}, {"edge_maintenance": False}
    assert changes(change(**site, **off)) == 1
    assert edge.ask("/echo", "third.test").status == 200
    assert changes(change(**site, **on)) == 1
    assert edge.ask("/echo", "third.test").status == 503
    assert changes(change(**site, **on)) == 0
    assert state() == before


@pytest.mark.one_debian
def test_a_site_that_is_not_there_cannot_be_closed(change: Play) -> None:
    """No visitor would see the page."""
    done = change(tasks="maintenance", edge_site_name="fourth")
    assert done.returncode != 0
    assert "has no site fourth" in " ".join(done.stdout.split())


# --- Removal


@pytest.mark.one_debian
def test_a_site_is_removed_with_its_port_pages_and_logs(
    edge: Edge, run: Run, play: Play, change: Play, state: State
) -> None:
    """No other site notices, a dry run removes nothing, and a second run finds nothing to remove."""
    site = {"tasks": "remove", "edge_site_name": "site-two"}
    before = state()
    assert changes(change("--check", **site)) > 0
    assert state() == before
    assert "site-two" in run(f"ls {SERVER.logs} {SERVER.folder}/slipway")
    assert changes(change(**site)) > 0
    try:
        until(lambda: not edge.listens(8080), "8080 is closed")
        assert edge.send("GET / HTTP/1.1\r\nHost: two.test\r\n\r\n")[:13] == SERVER.unknown
        assert edge.ask("/echo").status == 200
        assert edge.ask("/echo", "third.test").status == 503
        assert run(f"find {SERVER.folder} {SERVER.logs} -name '*two*' -o -name '*default-8080*'") == ""
        assert changes(change(**site)) == 0
    finally:
        assert changes(play(sites=["two"])) > 0
    until(lambda: edge.ask("/echo", "two.test", port=8080).json["instance"] == "red", "8080 is open again")


# --- Changes


@pytest.mark.one_debian
def test_a_second_dry_run_sees_nothing_to_change(play: Play) -> None:
    """With --diff, as one looks before one leaps."""
    assert changes(play("--check", "--diff")) == 0


@pytest.mark.one_debian
def test_an_address_that_no_site_listens_on_any_more_is_closed(edge: Edge, play: Play) -> None:
    """The second site moves to another port and back; the one left behind is free for others."""
    unknown = "GET / HTTP/1.1\r\nHost: unknown.test\r\n\r\n"
    assert changes(play(sites=["two"], two_port="8091")) > 0
    until(lambda: edge.ask("/echo", "two.test", port=8091).json["instance"] == "red", "8091 is open")
    assert edge.send(unknown, 8091)[:13] == SERVER.unknown
    until(lambda: not edge.listens(8080), "8080 is closed")
    assert changes(play(sites=["two"])) > 0
    until(lambda: edge.ask("/echo", "two.test", port=8080).json["instance"] == "red", "8080 is open again")
    until(lambda: not edge.listens(8091), "8091 is closed")


def test_two_sites_cannot_claim_one_name(play: Play, state: State) -> None:
    """The edge would send all visitors to one of the two, nginx with a warning and Apache without."""
    before = state()
    done = play(sites=["two"], two_server_name="www.one.test")
    assert done.returncode != 0
    assert '"www.one.test" on ' in done.stdout
    assert "edge_server_names" in done.stdout
    assert state() == before


@pytest.mark.one_debian
@pytest.mark.parametrize("address", ["0.0.0.0", "127.0.0.1"])
def test_a_port_that_another_program_has_is_refused(address: str, run: Run, play: Play, state: State) -> None:
    """Such a configuration passes its test; then nginx goes on with the old one without a word, and Apache ends."""
    before = state()
    run(f"systemd-run --collect --unit=squatter python3 -m http.server --bind {address} 8090")
    try:
        until(lambda: "python3" in run("ss -Hltnp sport = :8090"), "the program listens")
        done = play(sites=["two"], two_port="8090")
    finally:
        run("systemctl stop squatter")
    assert done.returncode != 0
    assert f"{ROLE}_listen: 8090 is taken by python3" in done.stdout
    assert state() == before


@pytest.mark.one_debian
def test_a_reload_that_was_missed_is_made_good(run: Run, play: Play, state: State) -> None:
    """A run that was cut after the files were written leaves its mark; the next reloads, and only that one."""
    before = state()
    run(f"touch /run/slipway-{ROLE}-reload-due")
    assert changes(play(sites=["one"])) > 0
    until(lambda: state() != before, "the edge has new workers")
    assert changes(play(sites=["one"])) == 0


@pytest.mark.one_debian
def test_a_broken_file_of_somebody_else_is_never_reloaded(edge: Edge, run: Run, play: Play, processes: State) -> None:
    """It appears after the role's files were judged; the handlers still look before they reload."""
    before = processes()
    broken = f"{SERVER.folder}/{SERVER.extra}/broken.conf"
    run(f"echo nonsense > {broken} && touch /run/slipway-{ROLE}-reload-due")
    try:
        done = play(sites=["one"])
        assert done.returncode != 0
        assert broken in done.stdout
        assert processes() == before
        assert edge.ask("/echo").status == 200
    finally:
        run(f"rm {broken}")
        play(sites=["one"])
