"""What the postgresql role promises of a database that is taken away."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from testinfra.backend.base import CommandResult
from testinfra.host import Host

testinfra_hosts = ["postgresql-trixie"]

Connect = Callable[..., CommandResult]
Play = Callable[..., Any]  # conftest.Played
Sql = Callable[..., str]

KEPT = "/var/backups/slipway"
BLOG = "SELECT (SELECT count(*) FROM pg_database WHERE datname = 'blog') + (SELECT count(*) FROM pg_roles WHERE rolname = 'blog')"

LIMITS = "SELECT rolname, rolconnlimit FROM pg_roles WHERE rolcanlogin AND NOT rolsuper ORDER BY rolname"


@pytest.fixture
def blog(server: Host, play: Play, sql: Sql) -> Iterator[None]:
    """Put something into the database; have it there again afterwards."""
    sql("CREATE TABLE post AS SELECT 'Dear diary' AS text", "blog")
    yield
    assert not play(whole=True, limit="all").failed
    sql("DROP TABLE IF EXISTS post", "blog")
    server.check_output(f"rm -rf {KEPT}")


@pytest.mark.usefixtures("blog")
def test_a_database_goes_with_its_role_rules_and_password_and_a_dump_of_it_stays(
    server: Host, sql: Sql, play: Play, connect: Connect, started: Callable[[], str]
) -> None:
    """No other connection is cut, the remaining roles share its part, and a second run finds nothing to do."""
    before = started()
    assert sql(LIMITS).splitlines() == ["blog|32", "guestbook|32", "shop|32"]
    assert play("--check", playbook="remove.yml").changes(server.backend.host) > 0
    assert sql(BLOG) == "2"
    assert not play(playbook="remove.yml").failed
    assert sql(BLOG) == "0"
    assert sql(LIMITS).splitlines() == ["guestbook|48", "shop|48"]
    assert server.run("grep -w blog /etc/postgresql/*/main/pg_hba.conf").stdout == ""
    assert not server.file("/etc/slipway/postgresql/blog.password").exists
    assert "no pg_hba.conf entry" in connect("blog", "blog", password="wrong").stderr
    assert connect().stdout.strip() == "shop"
    assert started() == before
    dump = server.check_output(f"ls {KEPT}/blog-*")
    assert server.check_output(f"stat -c '%U %a' {KEPT} {dump}") == "root 700\nroot 600"
    assert "Dear diary" in server.check_output(f"pg_restore --data-only --file=- {dump}")
    assert play(playbook="remove.yml").changes(server.backend.host) == 0


@pytest.mark.usefixtures("blog")
def test_a_database_whose_dump_cannot_be_read_stays(server: Host, sql: Sql, play: Play) -> None:
    """A dump counts only once it has been read."""
    program = "/usr/local/bin/pg_dump"
    server.check_output(f"printf '#!/bin/sh\necho half a dump\n' > {program} && chmod 755 {program}")
    try:
        played = play(playbook="remove.yml")
    finally:
        server.check_output(f"rm {program}")
    assert played.failed
    assert "does not appear to be a valid archive" in played.output
    assert sql(BLOG) == "2"
    assert sql("SELECT text FROM post", "blog") == "Dear diary"
    assert server.run(f"ls -A {KEPT}").stdout == ""


@pytest.mark.usefixtures("blog")
def test_a_database_of_somebody_else_stays(sql: Sql, play: Play) -> None:
    comment = sql("SELECT shobj_description('blog'::regrole, 'pg_authid')")
    sql("COMMENT ON ROLE blog IS NULL")
    sql("ALTER ROLE blog CONNECTION LIMIT -1")
    try:
        assert not play(playbook="remove.yml").failed
        assert sql(BLOG) == "2"
    finally:
        sql(f"COMMENT ON ROLE blog IS '{comment}'")
