"""What is said of parts of a site: what a path inherits, which URLs are its own, and what cannot be meant."""

from __future__ import annotations

import re
from typing import Any

import pytest
from ansible_collections.slipway.flask.plugins.filter.paths import (
    only_cookies,
    path_complaints,
    paths,
    paths_with,
    user_files,
    whole_site,
)

HASH = "$2y$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2"
SHA512 = "$6$rounds=5000$saltsalt$" + "x" * 86


def by_path(values: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {one["path"]: one for one in paths(values)}


def test_a_longer_path_has_what_the_shorter_ones_say_and_may_take_it_back() -> None:
    found = by_path(
        [
            {"path": "/api/open", "users": {}, "cache": {"valid_seconds": 1}},
            {"path": "/api", "users": {"ada": HASH}, "body_limit": 0},
            {"path": "/", "allow": ["203.0.113.0/24"], "timeout_seconds": 5, "buffering": None},
            {"path": "/apix/", "timeout_seconds": 9},
        ]
    )
    assert list(found) == ["/api/open", "/apix", "/api", ""]
    assert [found[path]["users"] for path in ("/api", "/api/open", "/apix")] == [{"ada": HASH}, {}, {}]
    assert {tuple(one["allow"]) for one in found.values()} == {("203.0.113.0/24",)}
    assert [found[path]["timeout_seconds"] for path in ("/api/open", "/apix")] == [5, 9]
    assert [one["body_limit"] for one in found.values()] == ["0", "", "0", ""]
    assert {one["buffering"] for one in found.values()} == {True}
    assert found["/api/open"]["cache"] == {"valid_seconds": 1, "ignored_cookies": []}


def test_requests_are_counted_where_it_is_said_not_for_each_path_below() -> None:
    found = by_path(
        [
            {"path": "/", "requests_per_minute": 60},
            {"path": "/login", "requests_per_minute": 6, "connections": 2},
            {"path": "/login/x", "cache": {}},
            {"path": "/hook", "requests_per_minute": 0},
        ]
    )
    assert {path: one["counts"] for path, one in found.items()} == {
        "": {"requests_per_minute": "site", "connections": ""},
        "/hook": {"requests_per_minute": "", "connections": ""},
        "/login": {"requests_per_minute": "login", "connections": "login"},
        "/login/x": {"requests_per_minute": "login", "connections": "login"},
    }


def test_only_what_a_location_of_nginx_has_to_say_needs_one() -> None:
    found = by_path(
        [{"path": "/a", "allow": ["::1"], "connections": 1, "cache": {}}, {"path": "/b", "body_limit": "0"}]
    )
    assert [found[path]["passing"] for path in ("/a", "/b")] == [False, True]
    assert whole_site(paths([{"path": "/", "timeout_seconds": 3}]))["timeout_seconds"] == 3
    assert whole_site([])["timeout_seconds"] == 0


@pytest.mark.parametrize("path", ["/a.b", "/a.b/", "/A.B/c", "/a.b//"])
def test_a_path_is_itself_and_what_is_below(path: str) -> None:
    (one,) = paths([{"path": "/a.b"}])
    assert re.search(one["pattern"], path, re.IGNORECASE)
    assert re.search(one["encoded_pattern"], path.replace("/", "%2F"), re.IGNORECASE)


@pytest.mark.parametrize("path", ["/a.bc", "/axb", "/x/a.b", "/"])
def test_no_other_path_is(path: str) -> None:
    (one,) = paths([{"path": "/a.b"}])
    assert not re.search(one["pattern"], path, re.IGNORECASE)
    assert not re.search(one["encoded_pattern"], path, re.IGNORECASE)


@pytest.mark.parametrize("path", ["/a.b", "/a.b/", "/A.B.html", "/a.b.gz", "/a.b.html.br", "/a.b.html.gz", "/a.b/x.gz"])
def test_a_page_is_its_file_and_the_twins_too(path: str) -> None:
    (one,) = paths([{"path": "/a.b"}], pages=True)
    assert re.search(one["pattern"], path, re.IGNORECASE)
    assert re.search(one["encoded_pattern"], path, re.IGNORECASE)


@pytest.mark.parametrize("path", ["/a.b.htm", "/a.b.css.gz", "/a.bgz", "/a.b.gz.html", "/x/a.b.gz"])
def test_no_other_file_is_a_page(path: str) -> None:
    (one,) = paths([{"path": "/a.b"}], pages=True)
    assert not re.search(one["pattern"], path, re.IGNORECASE)
    assert not re.search(one["encoded_pattern"], path, re.IGNORECASE)


def test_every_path_is_the_whole_site_s() -> None:
    (one,) = paths([{"path": "/"}])
    assert all(re.search(one[pattern], "/x", re.IGNORECASE) for pattern in ("pattern", "encoded_pattern"))


def test_what_a_path_takes_back_from_the_whole_site_is_a_way_of_its_own() -> None:
    cached = {"path": "/", "cache": {"valid_seconds": 10}}
    found = {one["path"]: one for one in paths([cached, {"path": "/account", "cache": {}}, {"path": "/news"}])}
    assert found["/account"]["passing"]
    assert not found["/news"]["passing"]


def test_no_name_is_a_keyword_of_a_map() -> None:
    assert [one["name"] for one in paths([{"path": "/default"}, {"path": "/include"}])] == ["include_", "default_"]


def test_names_for_variables_of_nginx_are_not_the_same_twice() -> None:
    names = [one["name"] for one in paths([{"path": path} for path in ("/a-b", "/a_b", "/a.b/c", "/", "/site")])]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch("[a-z0-9_]+", name) for name in names)


def test_who_may_log_in_is_in_a_file_for_each_path() -> None:
    values = paths([{"path": "/a", "users": {"bob": SHA512, "ada": HASH}}, {"path": "/a/b", "users": {}}])
    assert user_files(values, "users-") == [{"path": "users-a", "content": f"ada:{HASH}\nbob:{SHA512}\n"}]


@pytest.mark.parametrize("header", ["_ga=1", "_ga_X1=a.b; _pk_id.1=2", " _ga=1;_ga=2; ", "_ga="])
def test_cookies_that_the_application_does_not_look_at(header: str) -> None:
    assert re.search(only_cookies(["_ga*", "_pk_id.1"]), header)


@pytest.mark.parametrize(
    "header", ["session=1", "_ga=1; session=2", "x_ga=1", "_ga", "_pk_id11=2", "_ga=1, session=2; s=1", "a=_ga=1"]
)
def test_cookies_that_it_may_look_at(header: str) -> None:
    assert not re.search(only_cookies(["_ga*", "_pk_id.1"]), header)
    assert not re.search(only_cookies([]), header)


GOOD: list[dict[str, Any]] = [
    {"path": "/", "allow": ["203.0.113.0/24", "198.51.100.7", "2001:db8::/32"]},
    {"path": "/admin", "users": {"ada": HASH, "b.c@d": SHA512}, "body_limit": "5G", "timeout_seconds": 1},
    {"path": "/login", "requests_per_minute": 1, "burst": 0, "connections": 1},
    {"path": "/news", "cache": {"valid_seconds": 1, "ignored_cookies": ["_pk_*"]}},
]


def test_what_can_be_meant_is_not_complained_of() -> None:
    assert path_complaints(GOOD) == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"path": "admin"}, '"admin" is not a path'),
        ({"path": "/a?b"}, '"/a?b" is not a path'),
        ({"path": "/a b"}, '"/a b" is not a path'),
        ({"path": "/%61"}, '"/%61" is not a path'),
        ({"path": "/a/../b"}, '"/a/../b" is not a path'),
        ({"path": "/a//b"}, '"/a//b" is not a path'),
        ({"path": "/LOGIN/"}, "/login is there twice"),
        ({"path": "/x", "allow": ["10.0.0.1/8"]}, "/x: allow has 10.0.0.1/8"),
        ({"path": "/x", "allow": ["0.0.0.0/0"]}, "/x: allow has 0.0.0.0/0"),
        ({"path": "/x", "allow": ["fe80::1%eth0"]}, "/x: allow has fe80::1%eth0"),
        ({"path": "/x", "users": {"a:b": HASH}}, "/x: users: the name that begins with 'a' has a space or a colon"),
        ({"path": "/x", "users": {"ada": f"{HASH}\nbob:x"}}, "/x: users: what is given for ada is not a hash"),
        ({"path": "/x", "requests_per_minute": -1}, "/x: requests_per_minute is -1"),
        ({"path": "/x", "burst": 5}, "/x: burst is for the path that has requests_per_minute"),
        ({"path": "/login/x", "burst": 5}, "/login/x: burst is for the path that has requests_per_minute"),
        ({"path": "/x", "body_limit": "5 parsecs"}, "/x: body_limit is 5 parsecs"),
        ({"path": "/x", "timeout_seconds": 0}, "/x: timeout_seconds is 0"),
        ({"path": "/x", "cache": {"valid_seconds": 0}}, "/x: cache needs valid_seconds above zero"),
        ({"path": "/x", "cache": {"valid_seconds": 1, "ignored_cookies": ["*"]}}, "/x: ignored_cookies has '*'"),
        ({"path": "/news/x", "buffering": False}, "/news/x: what is not buffered cannot be cached"),
    ],
)
def test_what_cannot_be_meant_is_said(wrong: dict[str, Any], said: str) -> None:
    (complaint,) = path_complaints([*GOOD, wrong])
    assert complaint.startswith(said)


def test_no_password_is_repeated() -> None:
    for users in ({"ada": "s3cret"}, {"ada:s3cret": HASH}):
        assert "s3cret" not in str(path_complaints([{"path": "/x", "users": users}]))


def test_a_server_that_lacks_an_option_names_the_paths() -> None:
    assert paths_with(GOOD, ["cache", "connections"]) == ["/login (connections)", "/news (cache)"]
