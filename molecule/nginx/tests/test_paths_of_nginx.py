"""What only nginx has of edge_paths: limits of a client's requests, and the cache."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable

import pytest

from edge import AWAIT_INSTANCE, Edge, Play, Run, Stats, Visit
from probe import Answer, until

NUMBERS = itertools.count()
RUN = f"{time.time_ns():x}"


def page(path: str = "/news/{}/headers", **headers: str) -> str:
    """Return a page that nobody has asked for; the application sends these headers with it."""
    return (
        path.format(f"{RUN}-{next(NUMBERS)}") + "?" + "&".join(f"{k.replace('_', '-')}={v}" for k, v in headers.items())
    )


@pytest.fixture
def ask(edge: Edge) -> Callable[..., Answer]:
    """Ask the second site."""

    def asked(path: str, **headers: str) -> Answer:
        return edge.ask(path, "two.test", headers={name.replace("_", "-"): value for name, value in headers.items()})

    return asked


Ask = Callable[..., Answer]


# --- Limits of a client


def visits(visit: Visit, path: str, addresses: list[str]) -> list[tuple[int, str | None]]:
    """Ask from the server, which is a trusted proxy, for these visitors; return statuses and what Retry-After says."""
    answers = [visit(path, X_Forwarded_For=address) for address in addresses]
    return [(answer["status"], answer["headers"].get("Retry-After")) for answer in answers]


@pytest.fixture
def unseen() -> str:
    """An IPv6 network of 48 bits that no test has come from."""
    return f"2001:db8:{next(NUMBERS) + 1:x}{time.time_ns() % 4096:03x}"


def test_who_asks_too_often_is_told_when_to_come_back(visit: Visit, unseen: str) -> None:
    """One request a minute and one more at once; the two addresses are of one network of 64 bits, the last one is not."""
    network = f"{unseen}:1:"
    found = visits(visit, "/login", [f"{network}:1", f"{network}:2", f"{network}:3", f"{unseen}:2::1"])
    assert found == [(200, None), (200, None), (429, "60"), (200, None)]
    assert visits(visit, "/echo", [f"{network}:1"]) == [(200, None)]


def test_a_client_has_no_more_requests_at_a_time_than_it_may(edge: Edge, visit: Visit) -> None:
    """One, on this path; another client is not kept out, nor is it on other paths."""
    with contextlib.closing(edge.connect("two.test")) as connection:
        connection.request("GET", "/few/drip", headers={"Host": "two.test"})
        assert connection.getresponse().read1(100) == b"data: 1\n"
        refused = edge.ask("/few/x", "two.test")
        assert (refused.status, refused.headers["Retry-After"]) == (429, "1")
        assert visits(visit, "/few/x", ["192.0.2.77"]) == [(200, None)]
        assert edge.ask("/upload/go-on", "two.test").status == 200
    until(lambda: edge.ask("/few/x", "two.test").status == 200, "there is room again")


# --- The cache


def test_a_page_is_kept_for_all_who_show_neither_cookie_nor_password(ask: Ask) -> None:
    path = page()
    first, second = ask(path), ask(path, Cookie="_ga=1; _ga_x=2")
    assert (first.headers["X-Cache"], second.headers["X-Cache"]) == ("MISS", "HIT")
    assert first.body == second.body
    for headers in {"Cookie": "session=x"}, {"Cookie": "_ga=1; session=x"}, {"Authorization": "0"}:
        own = ask(path, **headers)
        assert own.headers["X-Cache"] == "BYPASS"
        assert own.body != first.body
    assert ask(path).body == first.body, "what they got was not kept"
    assert "X-Cache" not in ask("/elsewhere/headers").headers


@pytest.mark.parametrize(
    "header", [{"Cache_Control": "private"}, {"Cache_Control": "no-store"}, {"Set_Cookie": "a%3db"}, {"Vary": "*"}]
)
def test_what_the_application_says_is_not_for_all_is_not_kept(ask: Ask, header: dict[str, str]) -> None:
    path = page(**header)
    assert ask(path).body != ask(path).body


def test_pages_that_vary_are_kept_apart(ask: Ask) -> None:
    path = page(Vary="Accept-Language")
    german, english = ask(path, Accept_Language="de"), ask(path, Accept_Language="en")
    assert german.body != english.body
    assert ask(path, Accept_Language="de").body == german.body


def test_only_what_is_asked_for_is_kept(ask: Ask, edge: Edge) -> None:
    """And a page is one of its host and scheme."""
    path = page()
    for _ in range(2):
        assert edge.ask(path, "two.test", method="POST", body=b"a=b").headers["X-Cache"] is None
    first = ask(path)
    assert edge.ask(path, "any.two.test").body != first.body


def test_nobody_waits_where_a_page_that_is_over_is_fetched_again(ask: Ask) -> None:
    path = page("/news/brief/{}/headers")
    first, asked = ask(path), []

    def is_over() -> bool:
        asked.append(ask(path))
        return asked[-1].headers["X-Cache"] != "HIT"

    until(is_over, "it is over")
    assert (asked[-1].headers["X-Cache"], asked[-1].body) == ("STALE", first.body)
    until(lambda: ask(path).body != first.body, "a new one was fetched")


def test_a_page_is_shown_while_the_application_fails(ask: Ask, run: Run) -> None:
    """It is over after a second."""
    path = page("/news/brief/{}/headers")
    first = ask(path)
    run("systemctl stop upstream@red")
    try:
        until(lambda: ask(path).headers["X-Cache"] in ("STALE", "UPDATING"), "it is over")
        assert ask(path).body == first.body
    finally:
        run("systemctl start upstream@red")
        run(AWAIT_INSTANCE.format(name="red"))
    until(lambda: ask(path).body != first.body, "a new one was fetched")


def test_many_who_ask_for_one_page_are_one_request(edge: Edge, stats: Stats) -> None:
    """They wait for the first."""
    path = page()
    with contextlib.ExitStack() as stack:
        visitors = [stack.enter_context(contextlib.closing(edge.connect("two.test"))) for _ in range(20)]
        for visitor in visitors:
            visitor.request("GET", path, headers={"Host": "two.test"})
        assert len({visitor.getresponse().read() for visitor in visitors}) == 1
    assert stats("red")["requests"][f"GET {path}"] == 1


def test_no_page_of_before_a_switch_is_shown_after_it(ask: Ask, run: Run) -> None:
    """Also where a connection to the instance before is still kept; and where the link leads nowhere, nothing is kept."""
    path = page()
    swap = "cd /run/upstream && ln -s {name}.sock two.new && mv -T two.new two.sock"
    assert ask(path).body == ask(path).body
    run(swap.format(name="blue"))
    try:
        assert ask(path).body.startswith(b"blue ")
        assert ask(path).headers["X-Cache"] == "HIT"
        run(swap.format(name="nowhere"))
        assert ask(path).status == 502
    finally:
        run(swap.format(name="red"))


def test_the_cache_is_emptied_below_a_path_and_as_a_whole(ask: Ask, change: Play) -> None:
    news, brief = page(), page("/news/more/{}/headers", Cache_Control="max-age%3d3600")
    before = ask(news).body, ask(brief).body

    def purge(path: str) -> None:
        done = change(tasks="purge", edge_site_name="site-two", edge_purge_path=path)
        assert done.returncode == 0, done.stdout

    purge("/news/mor")
    assert (ask(news).body, ask(brief).body) == before
    purge("/news/more")
    assert ask(news).body == before[0]
    assert ask(brief).body != before[1]
    purge("/")
    assert ask(news).body != before[0]
