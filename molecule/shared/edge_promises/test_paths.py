"""What an edge does with parts of a site, and whom it believes: edge_paths, edge_trusted_proxies; nginx and Apache alike.

The second site trusts the server itself (127.0.0.1) and 203.0.113.0/24: from there, a test is any client it likes.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import urllib.parse
from typing import Any

import pytest

from edge import ADA, SERVER, Edge, Play, Run, Stats, Visit, basic, changes
from probe import until

OFFICE, OFFICE6, STRANGER = "192.0.2.5", "2001:db8:5::1", "198.51.100.9"


# --- Who gets in


@pytest.mark.after_reboot
def test_a_password_is_asked_for_below_a_path_and_nowhere_else(edge: Edge) -> None:
    refused = edge.ask("/closed/x", "two.test")
    assert refused.status == 401
    assert refused.headers["WWW-Authenticate"] == 'Basic realm="Site site-two"'
    assert edge.ask("/closed", "two.test", headers=basic("ada", "wrong")).status == 401
    assert edge.ask("/closed", "two.test", headers=basic("bob", "correct horse")).status == 401
    for path in "/closed", "/closed/x?y=z":
        assert edge.ask(path, "two.test", headers=ADA).json["path"] == path
    for path in "/closedx", "/x/closed", "/closed/open", "/closed/open/x":
        assert edge.ask(path, "two.test").json["path"] == path


def test_the_application_does_not_see_the_edge_s_password(edge: Edge) -> None:
    """Its own, on other paths, it does."""
    assert "authorization" not in edge.ask("/closed", "two.test", headers=ADA).json["headers"]
    for path in "/echo", "/closed/open":
        seen = edge.ask(path, "two.test", headers={"Authorization": "Bearer token"}).json["headers"]
        assert seen["authorization"] == ["Bearer token"]


def test_hashes_are_for_the_server_alone(run: Run, play: Play) -> None:
    """Visitors cannot fetch them, and no diff shows them; a user who is taken out is gone."""
    file = f"{SERVER.folder}/slipway/site-two/users-closed"
    assert run(f"stat -c '%U:%G %a' {file}").strip() == "root:www-data 640"
    done = play("--check", "--diff", sites=["two"], correct_horse="$2y$05$" + "x" * 53)
    assert "users-closed" in done.stdout
    assert "$2y$" not in done.stdout + done.stderr


def test_a_list_of_addresses_keeps_others_out(visit: Visit) -> None:
    for address in OFFICE, OFFICE6:
        assert visit("/office", X_Forwarded_For=address)["status"] == 200
    for address in STRANGER, "2001:db8:6::1":
        assert visit("/office", X_Forwarded_For=address)["status"] == 403
    assert visit("/elsewhere", X_Forwarded_For=STRANGER)["status"] == 200


@pytest.mark.parametrize("path", ["/", "/static/both.css", "/echo", "/static/none.css", "/status/404"])
def test_a_rule_for_the_whole_site_is_for_static_files_and_the_index_too(visit: Visit, edge: Edge, path: str) -> None:
    """The site `page` is for everybody who has IPv4."""
    assert visit(path, "page.test", "::1", Accept="text/html")["status"] == 403
    assert edge.ask(path, "page.test").status in {200, 404}


# How the application could be asked for /closed, in other words than those.
STARTS = "/ // /./ /x/../ /%2F /%2f /x%2F..%2F /.%2F /%2e/ /x/%2e%2e/ /x//../ //x/.%2e/ http://two.test/ http://two.test// HTTP://two.test/%2F"
NAMES = "closed %63losed close%64 %63%6c%6f%73%65%64 CLOSED Closed"
ENDS = "|/|//|/x|?x|%2F|%2fx|/.|/./|/..|/x/..|/../closed/x|/../elsewhere|%2F..%2Felsewhere|/%2e%2e/x|/open/../x|%3f|/open/%2e%2e|;/x|%00"


def path_of_an_application(target: str) -> str:
    """Return the path as an application decodes it, whatever it does with slashes."""
    path = target.partition("?")[0]
    if path.lower().startswith("http://"):
        path = "/" + path.partition("//")[2].partition("/")[2]
    return urllib.parse.unquote(path)


def test_no_spelling_of_a_path_goes_around_its_rule(edge: Edge) -> None:
    """What the application may take for /closed or below is asked for a password, or refused."""
    leaks, judged = [], 0
    for start, name, end in itertools.product(STARTS.split(), NAMES.split(), ENDS.split("|")):
        target = start + name + end
        seen = [part for part in path_of_an_application(target).split("/") if part not in ("", ".")]
        answer = edge.send(f"GET {target} HTTP/1.1\r\nHost: two.test\r\nConnection: close\r\n\r\n")
        # Without dots it is the first part that tells; with dots it may be any.
        if seen[0].lower() == "closed" or (".." in seen and "closed" in [part.lower() for part in seen]):
            judged += 1
            if not answer.startswith((b"HTTP/1.1 401 ", b"HTTP/1.1 400 ", b"HTTP/1.1 404 ")) or b'"instance"' in answer:
                leaks.append((target, answer[:40]))
    assert judged > 1000
    assert leaks == []


# --- How a request is passed on


def head(path: str, length: int) -> str:
    return f"POST {path} HTTP/1.1\r\nHost: two.test\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"


def test_a_path_has_its_own_limit_of_a_request(edge: Edge) -> None:
    """A smaller one and a larger one than the site's, which is 16m."""
    assert edge.ask("/short", "two.test", method="POST", body=bytes(1024)).json["body_bytes"] == 1024
    for path, limit in ("/short/x", 1024), ("/upload", 20 * 1024**2), ("/echo", 16 * 1024**2):
        assert edge.send(head(path, limit + 1)).startswith(b"HTTP/1.1 413 ")
    large = 17 * 1024**2
    assert edge.ask("/upload", "two.test", method="POST", body=bytes(large)).json["body_bytes"] == large


def test_an_upload_is_passed_on_while_it_comes(edge: Edge, stats: Stats) -> None:
    length = 1_000_000
    with edge.open("two.test") as upload:
        upload.sendall(head("/upload", length).encode() + bytes(length // 2))
        until(lambda: stats("red")["arrived"] > length // 4, "the application has the first of it")
        upload.sendall(bytes(length - length // 2))
        assert upload.makefile("rb").readline() == b"HTTP/1.1 200 OK\r\n"


def test_a_path_has_its_own_time_for_the_application(edge: Edge, run: Run) -> None:
    """The second site's is 5 seconds, that of /upload 60."""
    with contextlib.closing(edge.connect("two.test")) as connection:
        connection.request("GET", "/upload/drip", headers={"Host": "two.test"})
        answer = connection.getresponse()
        assert answer.read1(100) == b"data: 1\n"
        assert edge.ask("/hang", "two.test").status == SERVER.hung  # which takes these 5 seconds
        assert edge.ask("/upload/go-on", "two.test").status == 200
        assert answer.read() == b"data: 2\n"


# --- Who is believed


def told(answer: dict[str, Any]) -> dict[str, list[str]]:
    headers: dict[str, list[str]] = json.loads(answer["body"])["headers"]
    return headers


def test_a_trusted_proxy_says_who_its_visitor_is(visit: Visit, run: Run) -> None:
    """What the visitor says of itself, before that, is not believed; the application and the log have one address."""
    for chain in OFFICE, f"{STRANGER}, {OFFICE}", f"{STRANGER}, {OFFICE}, 203.0.113.8", f"x, {OFFICE}, 203.0.113.9":
        headers = told(visit("/echo", X_Forwarded_For=chain))
        assert headers["x-forwarded-for"] == headers["x-real-ip"] == [OFFICE], chain
    last = run(f"tail -n 1 {SERVER.logs}/site-two.access.log")
    assert last.startswith(f"{OFFICE} ")
    assert visit("/office", X_Forwarded_For=f"{OFFICE}, {STRANGER}")["status"] == 403


def test_a_trusted_proxy_says_whether_its_visitor_has_https(visit: Visit, edge: Edge) -> None:
    headers = told(visit("/echo", X_Forwarded_Proto="https"))
    assert (headers["x-forwarded-proto"], headers["x-forwarded-port"]) == (["https"], ["443"])
    headers = told(visit("/echo", X_Forwarded_Proto="http"))
    assert (headers["x-forwarded-proto"], headers["x-forwarded-port"]) == (["http"], ["80"])
    for other in "gopher", "https,http":
        headers = told(visit("/echo", X_Forwarded_Proto=other))
        assert (headers["x-forwarded-proto"], headers["x-forwarded-port"]) == ([edge.scheme], [str(edge.port)])


def test_a_redirect_to_the_canonical_host_keeps_the_https_that_a_trusted_proxy_has(visit: Visit, edge: Edge) -> None:
    for proxied, scheme, hsts in (("https", "https", "max-age=31536000"), ("http", edge.scheme, None)):
        answer = visit("/a%20b?c=%2F", "old.third.test", X_Forwarded_Proto=proxied)
        assert (answer["status"], answer["headers"]["Location"]) == (308, f"{scheme}://third.test/a%20b?c=%2F")
        assert answer["headers"].get("Strict-Transport-Security") == hsts
    answer_to_a_stranger = edge.ask("/", "old.third.test", headers={"X-Forwarded-Proto": "https"})
    assert answer_to_a_stranger.headers["Location"] == f"{edge.scheme}://third.test/"


def test_nobody_else_is_believed(edge: Edge) -> None:
    """Such as this machine, which is not among the site's proxies."""
    other = {"http": "https", "https": "http"}[edge.scheme]
    lies = {"X-Forwarded-For": OFFICE, "X-Forwarded-Proto": other, "X-Real-IP": OFFICE}
    headers = edge.ask("/echo", "two.test", headers=lies).json["headers"]
    assert OFFICE not in json.dumps(headers)
    assert (headers["x-forwarded-proto"], headers["x-forwarded-port"]) == ([edge.scheme], [str(edge.port)])
    assert edge.ask("/office", "two.test", headers=lies).status == 403


@pytest.mark.one_debian
def test_paths_that_cannot_work_are_refused(play: Play) -> None:
    """By the argument specs, and by what they cannot say; a password in the place of a hash is not shown."""
    for wrong, said in [
        ([{"path": "/x", "allows": []}], "allows"),
        ([{"path": "x"}, {"path": "/y", "users": {"ada": "s3cret"}}], '"x" is not a path'),
    ]:
        done = play(sites=["two"], two_paths=wrong)
        assert done.returncode != 0
        assert said in " ".join(done.stdout.split())
        assert "s3cret" not in done.stdout


@pytest.mark.one_debian
def test_what_is_not_protected_any_more_leaves_no_password_behind(play: Play, run: Run) -> None:
    assert changes(play(sites=["two"], two_paths=[])) > 0
    try:
        assert run(f"ls {SERVER.folder}/slipway/site-two").split() == ["50x.html", "maintenance.html"]
    finally:
        assert changes(play(sites=["two"])) > 0
