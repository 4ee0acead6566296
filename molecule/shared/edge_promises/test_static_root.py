"""Static files at the root of an application's domain, as Vite builds them: the second site, which has the files of `pages`."""

from __future__ import annotations

import gzip

import pytest

from edge import BROWSER_CODINGS, GZIP, Edge


def test_a_file_at_the_root_is_sent_by_the_edge_and_kept_as_long_as_its_name_allows(edge: Edge) -> None:
    for path, kept in ("/style.css", "max-age=3600"), ("/app.3f9a1c2b.js", "max-age=315360000, immutable"):
        answer = edge.ask(path, "two.test")
        assert (answer.status, answer.body.decode()) == (200, f"{path[1:]}\n")
        assert ", ".join(answer.headers.get_all("Cache-Control", [])) == kept
        assert edge.ask(path, "two.test", headers={"If-None-Match": answer.headers["ETag"]}).status == 304
    assert edge.ask("/only-1.css", "two.test").body == b"only-1.css\n"  # of the release before


def test_a_file_at_the_root_is_sent_as_it_was_compressed_ahead_of_time(edge: Edge) -> None:
    answer = edge.ask("/large.html", "two.test", headers=BROWSER_CODINGS)
    assert (answer.headers["Content-Encoding"], answer.body) == ("br", b"The edge sends it as it is.\n")
    answer = edge.ask("/large.html", "two.test", headers=GZIP)
    assert (answer.headers["Content-Encoding"], gzip.decompress(answer.body)) == ("gzip", b"This one too.\n")
    plain = edge.ask("/large.html", "two.test")
    assert (plain.headers["Content-Encoding"], len(plain.body.split())) == (None, 2000)


@pytest.mark.parametrize("path", ["/", "/index.html"])
def test_the_front_page_is_the_build_s(edge: Edge, path: str) -> None:
    """The next release's is seen at once."""
    answer = edge.ask(path, "two.test")
    assert (answer.status, answer.body) == (200, b"index of release 2\n")
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize("path", ["/x.js", "/unknown", "/about", "/blog/", "/main.py", "/leaked.zip", "/large.html.gz"])
def test_what_is_no_file_that_may_be_published_is_the_application_s(edge: Edge, path: str) -> None:
    """Whatever its suffix, and whatever is there that may not be sent."""
    answer = edge.ask(path, "two.test")
    assert answer.json["path"] == path
    assert answer.headers["Cache-Control"] is None


def test_an_upload_to_a_name_like_a_file_s_has_the_limit_of_its_path(edge: Edge) -> None:
    """20m, 1k, and the site's 16m."""
    large = 17 * 1024**2
    for path, size in ("/upload/photo.jpg", large), ("/short/photo.jpg", 1024), ("/photo.jpg", large - 1024**2):
        assert edge.ask(path, "two.test", method="POST", body=bytes(size)).json["body_bytes"] == size
    for path, length in ("/upload/photo.jpg", large + 4 * 1024**2), ("/short/photo.jpg", 1025), ("/photo.jpg", large):
        head = f"POST {path} HTTP/1.1\r\nHost: two.test\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
        assert edge.send(head).startswith(b"HTTP/1.1 413 ")
