"""A site without an application: `pages`, which is its files alone, and `single`, a single-page application with a password."""

from __future__ import annotations

import gzip
import re
import urllib.parse

import pytest

from edge import ADA, BROWSER, BROWSER_CODINGS, GZIP, Edge, Play, Run, State, Visit, basic, changes
from probe import Answer


def leads_to(url: str, answer: Answer) -> str:
    """Return where the redirect of a URL leads to."""
    assert answer.status == 301, url
    return urllib.parse.urljoin(url, answer.headers["Location"])


@pytest.mark.after_reboot
@pytest.mark.parametrize(
    ("path", "page"), [("/", "index"), ("/about", "about"), ("/about.html", "about"), ("/blog/", "blog/index")]
)
def test_a_page_has_an_address_without_its_suffix(edge: Edge, path: str, page: str) -> None:
    answer = edge.ask(f"{path}?a=b", "pages.test")
    assert (answer.status, answer.body.decode()) == (200, f"{page} of release 2\n")
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-cache"  # the next release's is seen at once
    again = edge.ask(path, "pages.test", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status, again.body) == (304, b"")


def test_a_folder_s_address_ends_with_a_slash(edge: Edge, visit: Visit) -> None:
    """Whatever its page links to is found then. The scheme is the visitor's own."""
    base = f"{edge.scheme}://pages.test"
    assert leads_to(f"{base}/blog", edge.ask("/blog?a=b", "pages.test")) == f"{base}/blog/?a=b"
    answer = visit("/blog", "pages.test", X_Forwarded_Proto="https")
    assert urllib.parse.urljoin("https://pages.test/blog", answer["headers"]["Location"]) == "https://pages.test/blog/"


@pytest.mark.parametrize("target", ["//evil.test", "/%2Fevil.test", "///evil.test", "/x/..//evil.test"])
def test_no_redirect_leads_to_another_host(edge: Edge, target: str) -> None:
    """There is a folder of that name, to which the slashes lead; an edge may refuse what is encoded, and has to refuse the dots."""
    request = f"GET {target} HTTP/1.1\r\nHost: pages.test\r\nConnection: close\r\n\r\n"
    head = edge.send(request).decode().partition("\r\n\r\n")[0]
    assert head.startswith("HTTP/1.1 ")
    places = re.findall(r"^location: *(.*?)\r?$", head, re.IGNORECASE | re.MULTILINE)
    leads = [urllib.parse.urljoin(f"{edge.scheme}://pages.test/", place) for place in places]
    possible = {"/%2Fevil.test": (0, 1), "/x/..//evil.test": (0,)}.get(target, (1,))
    assert leads in [[f"{edge.scheme}://pages.test/evil.test/"] * many for many in possible]


@pytest.mark.parametrize(
    "path", ["/nothing", "/blog/nothing/", "/blog/empty", "/blog/empty/", "/404.html", "/about/", "/index.html/"]
)
def test_what_is_not_there_has_the_site_s_own_page(edge: Edge, path: str) -> None:
    answer = edge.ask(path, "pages.test")
    assert (answer.status, answer.body) == (404, b"Nothing is here.\n")
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"


def test_hidden_files_are_not_sent_and_those_that_clients_look_for_are(edge: Edge) -> None:
    assert edge.ask("/.git/config", "pages.test").status == 404
    for name in ".well-known/security.txt", ".well-known/association":
        assert edge.ask(f"/{name}", "pages.test").body == f"{name}\n".encode()


@pytest.mark.parametrize(
    "name", ["LICENSE", "leaked.zip", "only-1.zip", "main.py", "main.py.txt", "main.py.html", "large.html.br"]
)
def test_a_file_that_may_not_be_published_is_not_sent(edge: Edge, name: str) -> None:
    """Though it is there, in this release and in those before: somebody may have noticed only now. Nor is one as the page of /main.py."""
    answer = edge.ask(f"/{name}", "pages.test")
    assert (answer.status, answer.body) == (404, b"Nothing is here.\n")


@pytest.mark.parametrize("page", ["/report", "/report.html", "/data.json"])
def test_a_password_is_for_the_compressed_twins_too(edge: Edge, page: str) -> None:
    assert edge.ask(page, "pages.test", headers=ADA).status == 200
    for suffix in "", ".gz", ".br", ".GZ", "%2Egz":
        assert edge.ask(page + suffix, "pages.test").status == 401, suffix
        assert not suffix or edge.ask(page + suffix, "pages.test", headers=ADA).status == 404, suffix


@pytest.mark.parametrize("site", ["pages.test", "single.test"])
def test_no_page_of_a_release_before_is_sent(edge: Edge, site: str) -> None:
    """Nor its twin, where gz is one of the kinds."""
    for name in "old-1", "old-1.html", "old-1.html.gz", "old-0.html.gz":
        assert edge.ask(f"/{name}", site, headers=ADA).status == 404, name
    assert edge.ask("/old-2", site, headers=ADA).status == 200
    assert edge.ask("/old-2.html.gz", site, headers=ADA).status == (404 if site == "pages.test" else 200)


def test_a_file_is_kept_as_long_as_its_name_allows(edge: Edge) -> None:
    assert edge.ask("/style.css", "pages.test").headers["Cache-Control"] == "max-age=3600"
    assert "immutable" in ",".join(edge.ask("/app.3f9a1c2b.js", "pages.test").headers.get_all("Cache-Control") or [])
    for release in 0, 1:  # of a page that was loaded before the deploy
        assert edge.ask(f"/only-{release}.css", "pages.test").body == f"only-{release}.css\n".encode()


def test_a_page_that_was_compressed_ahead_of_time_is_sent_so(edge: Edge) -> None:
    answer = edge.ask("/large", "pages.test", headers=BROWSER_CODINGS)
    assert (answer.headers["Content-Encoding"], answer.body) == ("br", b"The edge sends it as it is.\n")
    assert answer.headers["Content-Type"].startswith("text/html")
    answer = edge.ask("/large", "pages.test", headers=GZIP)
    assert (answer.headers["Content-Encoding"], gzip.decompress(answer.body)) == ("gzip", b"This one too.\n")
    assert answer.headers["Content-Type"].startswith("text/html")
    plain = edge.ask("/large", "pages.test")
    assert (plain.headers["Content-Encoding"], len(plain.body.split())) == (None, 2000)


def test_every_answer_has_the_headers(edge: Edge) -> None:
    for path, method, status in (
        ("/", "GET", 200),
        ("/", "HEAD", 200),
        ("/blog", "GET", 301),
        ("/nothing", "GET", 404),
        ("/", "POST", 405),
        ("/about", "DELETE", 405),
        ("/private/", "GET", 401),
    ):
        answer = edge.ask(path, "pages.test", method=method)
        assert answer.status == status, (method, path)
        assert answer.headers.get_all("X-Content-Type-Options") == ["nosniff"], (method, path)


@pytest.mark.after_reboot
def test_a_password_is_asked_for_before_anything_is_told(edge: Edge) -> None:
    """Also of a folder whether it is there, and of a page by its other name."""
    for path in "/private", "/private/", "/private/more", "/private/more.html", "/private/nothing", "/private.html":
        assert edge.ask(path, "pages.test").status == 401, path
    wrong = basic("ada", "wrong")
    assert edge.ask("/private/", "pages.test", headers=wrong).status == 401
    assert edge.ask("/private/more", "pages.test", headers=ADA).body == b"private/more of release 2\n"
    there = f"{edge.scheme}://pages.test/private"
    assert leads_to(there, edge.ask("/private", "pages.test", headers=ADA)) == f"{there}/"
    assert edge.ask("/private/nothing", "pages.test", headers=ADA).status == 404


@pytest.mark.parametrize("path", ["/", "/deep/link", "/style.css", "/blog", "/404.html", "/.well-known/security.txt"])
def test_a_site_with_a_password_shows_nothing_without_it(edge: Edge, path: str) -> None:
    assert edge.ask(path, "single.test", headers=BROWSER).status == 401


def test_a_page_that_is_no_file_is_one_of_the_single_page_application(edge: Edge) -> None:
    """For who opens a page; a program is told that it is not there."""
    for path in "/deep/link", "/deep/", "/blog/empty", "/leaked.zip":
        answer = edge.ask(path, "single.test", headers={**ADA, **BROWSER})
        assert (answer.status, answer.body) == (200, b"index of release 2\n")
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert answer.headers["Cache-Control"] == "no-cache"
        assert edge.ask(path, "single.test", headers={**ADA, "Accept": "application/json"}).status == 404
    assert edge.ask("/blog/", "single.test", headers={**ADA, **BROWSER}).body == b"blog/index of release 2\n"
    there = f"{edge.scheme}://single.test/blog"
    assert leads_to(there, edge.ask("/blog", "single.test", headers={**ADA, **BROWSER})) == f"{there}/"


@pytest.mark.one_debian
def test_maintenance_closes_every_page(edge: Edge, change: Play, state: State) -> None:
    before = state()
    site = {"tasks": "maintenance", "edge_site_name": "pages"}
    assert changes(change(**site, edge_maintenance=True)) == 1
    try:
        for path in "/", "/about", "/blog/", "/blog", "/style.css", "/nothing":
            answer = edge.ask(path, "pages.test")
            assert (answer.status, answer.headers["Retry-After"]) == (503, "600"), path
            assert b"<h1>Closed for maintenance</h1>" in answer.body
    finally:
        assert changes(change(**site, edge_maintenance=False)) == 1
    assert edge.ask("/about", "pages.test").status == 200
    assert state() == before


@pytest.mark.one_debian
def test_rules_for_an_application_are_refused_without_one(play: Play, run: Run) -> None:
    done = play(
        sites=["pages"],
        edge_paths=[{"path": "/a", "cache": {"valid_seconds": 1}}, {"path": "/b/index", "allow": []}],
        edge_maintenance_open_paths=["/healthz"],
    )
    assert done.returncode != 0
    for wrong in (
        "/a (cache) are about what is passed to an application",
        "/b/index would leave another address of the same page open",
        "/healthz would be passed to the application in maintenance",
    ):
        assert wrong in " ".join(done.stdout.split())
