"""A single-page application, directives of a user's own, and a template that extends the role's."""

from __future__ import annotations

import pytest
from testinfra.host import Host

import probe
from probe import Answer

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
PAGE = b"<h1>one page</h1>\n"


class Page:
    """The site `page` of a server."""

    def __init__(self, address: str) -> None:
        self.address = address

    def ask(self, path: str, **headers: str) -> Answer:
        """GET a path."""
        return probe.ask(self.address, path, "page.test", headers={k.replace("_", "-"): v for k, v in headers.items()})


@pytest.fixture(scope="module")
def page(host: Host) -> Page:
    """The site under test."""
    return Page(host.ansible.get_variables()["ansible_host"])


def test_the_front_page_is_the_static_index(page: Page) -> None:
    answer = page.ask("/")
    assert (answer.status, answer.body) == (200, PAGE)
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-cache"  # the next release's is seen at once


def test_a_page_that_the_application_does_not_know_is_the_index_too(page: Page) -> None:
    answer = page.ask("/status/404", **BROWSER)
    assert (answer.status, answer.body) == (200, PAGE)


def test_a_program_gets_the_application_s_404(page: Page) -> None:
    answer = page.ask("/status/404", Accept="application/json")
    assert (answer.status, answer.body) == (404, b"The application's own page for 404")


@pytest.mark.parametrize("status", [200, 403, 500, 503])
def test_every_other_answer_is_the_application_s(page: Page, status: int) -> None:
    answer = page.ask(f"/status/{status}", **BROWSER)
    assert (answer.status, answer.body) == (status, f"The application's own page for {status}".encode())


def test_a_browser_is_told_when_the_application_is_away(page: Page, host: Host) -> None:
    host.check_output("systemctl stop upstream@red")
    try:
        assert page.ask("/").body == PAGE
        answer = page.ask("/elsewhere", **BROWSER)
        assert answer.status == 502
        assert b"<h1" in answer.body
        assert b"nginx" not in answer.body
    finally:
        host.check_output("systemctl start upstream@red")
        probe.until(lambda: page.ask("/echo").status == 200, "it is back")


def test_directives_of_one_s_own_stand_beside_the_site_and_inside_it(page: Page) -> None:
    assert page.ask("/words").body == b"page has no words"
    assert page.ask("/words", X_Words="some").body == b"some"


def test_a_template_can_extend_the_role_s(page: Page) -> None:
    assert page.ask("/from-a-template").body == b"the rest is the role's"
    assert page.ask("/.git/config").status == 404
