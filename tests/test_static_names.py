"""Edges and builds have one rule of what is published: the edges' regular expression, and the roles' defaults."""

from __future__ import annotations

import itertools
import re

import pytest
from ansible_collections.slipway.flask.plugins.filter import static_names
from ansible_collections.slipway.flask.plugins.module_utils.engine import publish

KINDS = ["css", "txt", "7z", "x-y"]
FORBIDDEN = ["py", "sqlite3-wal", "txt2", "7z"]


def allowed(path: str, kinds: list[str] = KINDS, forbidden: list[str] = FORBIDDEN, url: str = "/a.b/static/") -> bool:
    return bool(re.search(static_names.static_name_pattern(url, kinds, forbidden), path, re.IGNORECASE))


@pytest.mark.parametrize(("url", "folder"), [("/a.b/static/", ""), ("/", ""), ("/", "a/"), ("/", ".well-known/")])
def test_edge_and_build_judge_each_name_alike(url: str, folder: str) -> None:
    rule = publish.Rule([*KINDS, *([""] if folder == ".well-known/" else [])], FORBIDDEN)
    parts = ["", "a", ".", "~", "#", "css", "CSS", "Py", "py", "txt", "txt2", "7z", "x-y", " ", "\\", "\n", "\x7f", "é"]
    tried = {"".join(name) for name in itertools.product(parts, repeat=4)} - {""}
    tried |= {f"{name}.css" for name in tried}
    differ = [name for name in tried if allowed(f"{url}{folder}{name}", url=url) != (rule.against(name) == "")]
    assert differ == []
    assert 100 < sum(rule.against(name) == "" for name in tried) < len(tried)


@pytest.mark.parametrize("path", ["x.css", "css/x.css", "a.py/x.css", "a/b c/x.3f2a9c.css", "A/X.CSS", "100%.css"])
def test_a_file_in_folders_may_be_asked_for(path: str) -> None:
    assert allowed(f"/a.b/static/{path}")


@pytest.mark.parametrize(
    "path",
    [
        "",
        "x.css/",
        "x.css/.",
        "x.css\n",
        "x.css%2F",
        "a%2F.b.css",
        "a%2f..%2Fx.css",
        "/x.css",
        "a//x.css",
        "./x.css",
        "../x.css",
        ".git/x.css",
        "a/.git/x.css",
        "a\n/x.css",
    ],
)
def test_no_other_path_may_be(path: str) -> None:
    assert not allowed(f"/a.b/static/{path}")
    assert not allowed(f"/a.b/static/{path}", ["css", ""])


def test_nothing_else_is_a_static_url() -> None:
    assert not allowed("/a-b/static/x.css")
    assert not allowed("/x/a.b/static/x.css")


@pytest.mark.parametrize("kinds", [[""], ["css", ""]])
def test_names_without_a_suffix_are_a_kind_of_their_own(kinds: list[str]) -> None:
    judged = {name: allowed(f"/a.b/static/{name}", kinds) for name in ["LICENSE", "a/b", "x.css", "x.", "~x", "x~"]}
    assert judged == {"LICENSE": True, "a/b": True, "x.css": "css" in kinds, "x.": False, "~x": False, "x~": False}


@pytest.mark.parametrize(
    "path",
    ["/", "/about", "/blog/", "/x.css.gz", "/.git/x.css", "/a/.well-known/x.css", "/.well-known/", "/.well-known/.x/y"],
)
def test_of_a_site_without_an_application_no_other_file_is_sent(path: str) -> None:
    assert not allowed(path, url="/")


def test_lists_may_be_empty() -> None:
    assert not allowed("/a.b/static/x.css", [])
    assert not allowed("/a.b/static/x.", [])
    assert allowed("/a.b/static/x..css", ["css"], [])
