"""What playbooks/status.yml and playbooks/logs.yml show, whatever is known."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.slipway.flask.plugins.action import show
from ansible_collections.slipway.flask.plugins.filter import problems, report

NOW = 1_700_000_000
ACTIVE, OLD, BROKEN = "aaaaaaaaaaaa", "bbbbbbbbbbbb", "cccccccccccc"


def release(name: str, state: str, **facts: object) -> dict[str, Any]:
    """Return a release as release_status does."""
    known = {"built": NOW - 7200, "activated": None, "failed": None, "source": "v1", "reason": None}
    return {"id": name, "state": state, **known, **facts}


@pytest.fixture
def application() -> dict[str, Any]:
    """Return what release_status says of an application that is well."""
    return {
        "time": NOW,
        "host": "web",
        "up_seconds": 3 * 86400,
        "load": [0.5, 0.25, 0.1],
        "active": ACTIVE,
        "previous": OLD,
        "releases": [
            release(ACTIVE, "active", activated=NOW - 3600),
            release(BROKEN, "failed", failed=NOW, reason="app_module: 'x:y' cannot be imported."),
            release(OLD, "previous", activated=NOW - 9000, source="https://git.example.com/me/project/that/is/long.git v0.1"),
        ],
        "programs": [
            {"release": ACTIVE, "name": "web", "kind": "web", "state": "running", "seconds": 3600, "restarts": 2, "memory": 5 << 20},
            {"release": ACTIVE, "name": "sweep", "kind": "job", "state": "stopped", "seconds": 9, "restarts": 0, "memory": 0},
            {"release": OLD, "name": "mail-1", "kind": "worker", "state": "failing", "seconds": 5, "restarts": 9, "memory": 0},
        ],
        "deploys": [
            {"time": NOW, "verb": "deploy", "id": BROKEN, "who": "ada", "host": "desk", "outcome": "failed", "step": "build",
             "seconds": 4, "reason": "app_module: no."},
        ],
        "lock": None,
        "maintenance": None,
        "disk": {"total": 100 << 30, "used": 75 << 30, "free": 25 << 30},
        "memory": {"total": 4 << 30, "available": 1 << 30},
        "certificates": [],
    }  # fmt: skip


def table(application: dict[str, Any] | None, **look: object) -> list[str]:
    """Return the lines shown for one host, their white space folded."""
    hosts = {"web1": {"application": application, "certificate": "", "database": None, "problem": "", **look}}
    text: str = report.status_table({"application": "book", "hosts": hosts})
    return [" ".join(line.split()) for line in text.splitlines()]


def test_the_table_says_which_release_is_what_and_why_one_failed(application: dict[str, Any]) -> None:
    lines = table(application)
    moment = report.moment
    assert f"{ACTIVE} active {moment(NOW - 7200)} {moment(NOW - 3600)} v1" in lines
    assert f"{BROKEN} failed {moment(NOW - 7200)} - v1" in lines
    assert f"{BROKEN} failed on {moment(NOW)}: app_module: 'x:y' cannot be imported." in lines
    assert any(line.startswith(OLD) and "…" in line and line.endswith("v0.1") for line in lines)
    served = f"static files of {OLD} are served too, until the next deploy or playbooks/withdraw.yml"
    assert served in lines
    assert served not in table(application | {"previous": ""})


def test_a_program_of_another_release_is_named_with_it_and_a_job_that_waits_is_idle(
    application: dict[str, Any],
) -> None:
    lines = table(application)
    assert "web web running 60 min 2 5.0 MB" in lines
    assert "sweep job idle - 0 -" in lines
    assert f"mail-1 worker failing 5 s 9 - {OLD}" in lines


def test_a_deploy_that_failed_is_shown_with_its_step_and_reason(application: dict[str, Any]) -> None:
    lines = table(application)
    assert f"{report.moment(NOW)} deploy {BROKEN} failed (build) 4 s ada from desk" in lines
    assert f"{report.moment(NOW)}: app_module: no." in lines
    application["releases"][1]["reason"] = "app_module: no."
    assert not any(line.startswith(f"{report.moment(NOW)}: ") for line in table(application))  # said above


def test_who_deploys_and_that_the_site_is_closed_is_said(application: dict[str, Any]) -> None:
    assert "lock not held" in table(application)
    lock = {"who": "ada", "host": "desk", "since": NOW, "verb": "deploy", "step": None, "id": None, "source": None}
    lines = table(application | {"lock": lock, "maintenance": NOW})
    assert f"lock ada from desk, since {report.moment(NOW)} (deploy, step: begin)" in lines
    assert f"maintenance on, since {report.moment(NOW)}" in lines


@pytest.mark.parametrize(
    ("begin", "until", "words"),
    [
        (NOW - 30 * 86400, NOW + 60 * 86400, ", 60 days"),
        (NOW - 61 * 86400, NOW + 29 * 86400, ", only 29 days"),
        (NOW - 80 * 3600, NOW + 80 * 3600, ", 3 days"),
        (NOW - 120 * 3600, NOW + 40 * 3600, ", only 40 h"),
        (NOW - 86400, NOW - 1, "EXPIRED on"),
    ],
)
def test_a_certificate_in_the_last_third_of_its_lifetime_or_past_it_is_warned_of(
    application: dict[str, Any], begin: int, until: int, words: str
) -> None:
    certificate = {"path": "/etc/ssl/book.pem", "from": begin, "until": until, "problem": ""}
    lines = table(application | {"certificates": [certificate]})
    (line,) = (line for line in lines if line.startswith("certificate"))
    assert words in line


def test_mail_that_waits_is_counted_with_the_reason(application: dict[str, Any]) -> None:
    for waiting, reason, line in ((0, "", "mail nothing waits"), (3, "no answer", "mail 3 waiting (no answer)")):
        relay = {"waiting": waiting, "reason": reason, "problem": ""}
        assert line in table(application, mail_relay=relay)


def test_what_is_wrong_with_a_renewal_is_said(application: dict[str, Any]) -> None:
    lines = table(application, certificate="www.book.test: the CA is away")
    assert "renewal www.book.test: the CA is away" in lines
    assert not any(line.startswith("renewal") for line in table(application))


def test_without_a_certificate_nothing_is_said_of_one(application: dict[str, Any]) -> None:
    assert not any("certificate" in line for line in table(application))


def test_the_database_is_told_by_its_size_or_by_what_is_wrong(application: dict[str, Any]) -> None:
    good = {"name": "book", "bytes": 8 << 20, "connections": 3, "problem": ""}
    assert "database book: 8.0 MB, 3 connections" in table(application, database=good)
    bad = {"name": "book", "bytes": None, "connections": 0, "problem": "connection refused"}
    assert "database book: connection refused" in table(None, database=bad)


def test_where_nothing_is_deployed_that_is_the_one_message(application: dict[str, Any]) -> None:
    nothing = application | {"releases": [], "programs": [], "deploys": [], "active": "", "previous": ""}
    gone = {"name": "book", "bytes": None, "connections": 0, "problem": "no such user: postgres"}
    assert table(nothing, database=gone) == [
        "book on web1: nothing is deployed yet. Run ansible-playbook site.yml to deploy it."
    ]


def test_a_site_that_only_redirects_is_said_to_and_where(application: dict[str, Any]) -> None:
    nothing = application | {"releases": [], "programs": [], "deploys": [], "active": "", "previous": ""}
    lines = table(nothing, redirect={"to": "https://new.test/", "problem": ""})
    assert lines[2] == "redirects to https://new.test/"
    assert not any("lock" in line or "nothing is deployed" in line for line in lines)
    assert "redirect no answer" in table(nothing, redirect={"to": "", "problem": "no answer"})


def test_a_host_that_cannot_be_reached_is_named() -> None:
    assert table(None, problem="it cannot be reached.") == ["book on web1: it cannot be reached."]


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (10 << 20, "10 MB"), (3 << 40, "3.0 TB"), (5 << 50, "5120.0 TB")],
)
def test_a_size_is_written_as_a_person_reads_it(count: int, words: str) -> None:
    assert report.size(count) == words


@pytest.mark.parametrize(
    ("seconds", "words"), [(-1, "0 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h"), (200000, "2 days")]
)
def test_an_age_is_written_as_a_person_reads_it(seconds: int, words: str) -> None:
    assert report.age(seconds) == words


def test_logs_are_shown_below_their_titles_as_they_are() -> None:
    logs = [{"title": "web1, application", "lines": ['{"a": "b\\n"}  ', "  indented"]}, {"title": "db1", "lines": []}]
    assert report.log_text(logs) == ('==> web1, application <==\n{"a": "b\\n"}\n  indented\n\n==> db1 <==\n(nothing)')


def test_what_a_terminal_would_obey_is_spelled_out() -> None:
    """Logs hold what visitors and applications sent: escape sequences, carriage returns, marks that turn text around."""
    shown = show.visible("a\x1b]0;title\x07b\rc\x9b31m\u202ed\ttab ✓\nnext")
    assert shown == "a\\x1b]0;title\\x07b\\rc\\x9b31m\\u202ed\ttab ✓\nnext"


def test_the_edge_is_told_by_its_answer_or_by_what_is_wrong(application: dict[str, Any]) -> None:
    assert "edge answers 200" in table(application, edge={"status": 200, "problem": ""})
    down = "nginx on web1 does not answer for book.test/ at 127.0.0.1:80 (refused)."
    assert f"edge {down}" in table(application, edge={"status": None, "problem": down})


# What is down, and what a monitor is told of it.
DOWN: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "nothing": ({}, {}, ""),
    "host": ({}, {"problem": "it cannot be reached or read."}, "it cannot be reached or read"),
    "release": ({"active": ""}, {}, "nothing is deployed"),
    "application": ({"programs": []}, {}, "the application does not run"),
    "worker": (
        {
            "programs": [
                {"release": ACTIVE, "name": "web", "kind": "web", "state": "running"},
                {"release": ACTIVE, "name": "mail-1", "kind": "worker", "state": "failing"},
            ]
        },
        {},
        "mail-1 is failing",
    ),
    "supervisor": (
        {"programs": [{"release": ACTIVE, "name": "supervisor", "kind": "worker", "state": "failing"}]},
        {},
        "supervisor is failing; the application does not run",
    ),
    "pages": ({"programs": [], "pages": True}, {}, ""),
    "certificate": (
        {"certificates": [{"path": "/etc/ssl/book.pem", "until": NOW - 1}]},
        {},
        "the certificate /etc/ssl/book.pem has expired",
    ),
    "edge": (
        {},
        {"edge": {"status": 502, "problem": "nginx on web1 answers / with 502."}},
        "nginx on web1 answers / with 502",
    ),
    "redirect": ({"active": ""}, {"redirect": {"to": "", "problem": "it answers 200."}}, "it answers 200"),
    "good redirect": ({"active": ""}, {"redirect": {"to": "https://new.test/", "problem": ""}}, ""),
    "database": (
        {},
        {"database": {"name": "book", "bytes": None, "connections": 0, "problem": "psql: refused"}},
        "database book: psql: refused",
    ),
    "no database": (
        {},
        {"database": {"name": "book", "bytes": None, "connections": 0, "problem": ""}},
        "database book: it does not exist",
    ),
    "mail relay": (
        {},
        {"mail_relay": {"waiting": 3, "reason": "", "problem": "3 waiting, one for more than an hour (no answer)"}},
        "mail relay: 3 waiting, one for more than an hour (no answer)",
    ),
    "mail that waits": ({}, {"mail_relay": {"waiting": 3, "reason": "no answer", "problem": ""}}, ""),
    "valkey": ({}, {"valkey": {"bytes": 0, "most": 0, "problem": "Could not connect"}}, "Valkey: Could not connect"),
}


@pytest.mark.parametrize("what", DOWN)
def test_a_monitor_is_told_what_is_down(application: dict[str, Any], what: str) -> None:
    facts, look, problem = DOWN[what]
    known = {"certificate": "", "database": None, "edge": None, "redirect": None, "problem": ""}
    hosts = {"web1": {**known, "application": application | facts, **look}}
    assert problems.status_problems({"application": "book", "hosts": hosts}) == (
        [f"web1: {problem}."] if problem else []
    )
