"""What the postgresql role promises of a change, asked of a server that is changed.

One server is enough for these; each of them puts back what it changes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from testinfra.host import Host

from probe import until

testinfra_hosts = ["postgresql-bookworm"]

Play = Callable[..., Any]  # conftest.Played
Sql = Callable[..., str]

CONFIG = "/etc/postgresql/*/main"
SETTINGS = f"{CONFIG}/conf.d/slipway.conf"
LOG = "/var/log/postgresql/*-main.log"


def test_a_dry_run_foresees_a_new_application(server: Host, play: Play, sql: Sql) -> None:
    """Its database is not there to look at, which must not be a failure."""
    more = [{"name": name, "owner": "guestbook"} for name in ("guestbook", "more")]
    assert play("--check", "--diff", first_databases=more).changes(server.backend.host) > 0
    assert sql("SELECT datname FROM pg_database WHERE datname = 'more'") == ""


def test_a_change_that_a_reload_takes_over_restarts_nothing(play: Play, started: Callable[[], str], sql: Sql) -> None:
    """Visitors do not notice it."""
    before = started()
    try:
        assert not play(postgresql_settings={"work_mem": "7MB"}).failed
        assert sql("SHOW work_mem") == "7MB"
        assert started() == before
    finally:
        assert not play().failed
    assert sql("SHOW work_mem") != "7MB"
    assert started() == before


def test_a_change_that_needs_a_restart_causes_one(server: Host, play: Play, sql: Sql) -> None:
    """One, also where two environments share the server; and so does taking it back."""

    def starts() -> int:
        return int(server.check_output(f"grep --count 'ready to accept connections' {LOG}"))

    before = starts()
    try:
        assert not play(postgresql_settings={"max_wal_senders": 3}, whole=True).failed
        assert sql("SHOW max_wal_senders") == "3"
        assert starts() == before + 1
    finally:
        assert not play().failed
    assert sql("SHOW max_wal_senders") == "10"
    assert starts() == before + 2


def test_a_run_that_was_interrupted_is_made_good_by_the_next(
    server: Host, play: Play, started: Callable[[], str], sql: Sql
) -> None:
    """The file is as it should be, but the connection broke before the server was told."""
    before = started()
    server.check_output(f"sed --in-place=.right 's/^log_temp_files = .*/log_temp_files = 11MB/' {SETTINGS}")
    try:
        assert sql("SELECT pg_reload_conf()") == "t"
        until(lambda: sql("SHOW log_temp_files") == "11MB", "the setting is in force")
        # A file's time is told in whole seconds.
        until(lambda: sql("SELECT now() > pg_conf_load_time() + interval '1 second'") == "t", "a second has passed")
    finally:
        server.check_output(f"for f in {SETTINGS}; do cat $f.right > $f; rm $f.right; done")
    assert play().changes(server.backend.host) > 0
    assert sql("SHOW log_temp_files") == "10MB"
    assert started() == before


# --- Mistakes


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"shared_bufers": "1GB"}, 'unrecognized configuration parameter "shared_bufers"'),
        ({"shared_buffers": "many"}, 'invalid value for parameter "shared_buffers": "many"'),
    ],
)
def test_a_setting_that_does_not_exist_is_refused(
    play: Play,
    started: Callable[[], str],
    files: Callable[[], str],
    settings: dict[str, str],
    said: str,
) -> None:
    """The server's own words say which, its file stays as it was, and it goes on."""
    before = started(), files()
    played = play(postgresql_settings=settings)
    assert played.failed
    assert said in played.output
    assert "value is in postgresql_settings" in played.output
    assert (started(), files()) == before


def test_settings_the_server_cannot_start_with_do_not_keep_it_down(
    play: Play, files: Callable[[], str], sql: Sql
) -> None:
    """This shows only when the server starts; so it is back with the old settings at once."""
    before = files(), sql("SHOW shared_buffers")
    played = play(postgresql_settings={"shared_buffers": "7TB"})
    assert played.failed
    assert "could not map anonymous shared memory" in played.output
    assert "postgresql_settings" in played.output
    assert (files(), sql("SHOW shared_buffers")) == before


def test_a_mistake_in_another_file_is_told_and_not_loaded(
    server: Host, play: Play, started: Callable[[], str], sql: Sql
) -> None:
    """A restart with it would take the server down."""
    before = started()
    other = server.check_output(f"ls -d {CONFIG}/conf.d") + "/zz.conf"
    server.check_output(f"echo 'work_mem = lots' > {other}")
    try:
        played = play(postgresql_settings={"max_wal_senders": 3})
        assert played.failed
        assert f"{other} line 1: work_mem" in played.output
        assert started() == before
    finally:
        server.check_output(f"rm {other}")
        assert not play().failed
    assert sql("SHOW max_wal_senders") == "10"


def test_too_few_connections_for_the_roles_of_all_environments_are_refused(
    play: Play, started: Callable[[], str], sql: Sql
) -> None:
    """This one alone would have enough; the other has 20. The server goes on as before."""
    before = started()
    try:
        played = play(postgresql_max_connections=27)
        assert played.failed
        assert (
            "24 connections (postgresql_max_connections, less those that superusers keep) are not enough"
            in played.output
        )
        assert "with a connection_limit are 20 of them, and the other 2 roles need 5 each" in played.output
    finally:
        assert not play().failed
    assert started() == before
    assert sql("SHOW max_connections") == "100"


def test_a_role_or_database_of_somebody_else_is_refused_until_it_is_handed_over(
    play: Play, files: Callable[[], str], sql: Sql
) -> None:
    """The server goes on as before. Without a comment, a role is ours if it has a limit, as those of before had."""
    state = "SELECT (SELECT json_agg(r) FROM pg_roles r), (SELECT json_agg(d) FROM pg_database d)"
    mine = {"first_databases": [{"name": "wiki", "owner": "wiki"}], "shop_role": {"name": "wiki"}}
    sql("COMMENT ON ROLE guestbook IS NULL")
    sql("CREATE ROLE wiki LOGIN")
    sql("CREATE DATABASE wiki")
    try:
        before = files(), sql(state)
        played = play(**mine)
        assert played.failed
        assert "the role wiki and the database wiki of postgres exist already" in played.output
        assert (files(), sql(state)) == before
        sql("COMMENT ON ROLE wiki IS 'Slipway:'")
        sql("ALTER DATABASE wiki OWNER TO wiki")
        assert not play(**mine).failed
        assert "Slipway: its connection limit is an equal share" in sql(
            "SELECT shobj_description('wiki'::regrole, 'pg_authid')"
        )
    finally:
        sql("DROP DATABASE wiki")
        sql("DROP ROLE wiki")
        assert not play().failed


def test_an_application_cannot_have_its_code_run_by_the_superuser(
    server: Host, application: Callable[..., Any], play: Play, sql: Sql
) -> None:
    """The role connects to its database, where the application puts its own operator before PostgreSQL's."""
    trapped = "/var/lib/postgresql/trapped"
    answer = application(
        "guestbook",
        "guestbook",
        "CREATE SCHEMA trap;"
        "CREATE FUNCTION trap.equal(name, text) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN"
        f" IF current_setting('is_superuser') = 'on' THEN COPY (SELECT 1) TO '{trapped}'; END IF;"
        " RETURN $1::text OPERATOR(pg_catalog.=) $2::text; END $$;"
        "CREATE OPERATOR trap.= (FUNCTION = trap.equal, LEFTARG = name, RIGHTARG = text);"
        "ALTER DATABASE guestbook SET search_path = trap, pg_catalog, public; SELECT 'set'",
    )
    assert answer.stdout.splitlines()[-1:] == ["set"], answer.stderr
    try:
        assert not play().failed
        assert not server.file(trapped).exists
        sql("SELECT FROM pg_namespace WHERE nspname = 'public'::text", "guestbook")
        assert server.file(trapped).exists  # so would any superuser who does not take care
    finally:
        sql("ALTER DATABASE guestbook RESET search_path")
        sql("DROP SCHEMA trap CASCADE", "guestbook")
        server.check_output(f"rm --force {trapped}")


def test_arguments_that_cannot_work_are_refused_together(play: Play, files: Callable[[], str], sql: Sql) -> None:
    """Each with its cause and its variable, before anything is changed."""
    before = files(), sql("SELECT count(*) FROM pg_roles, pg_database")
    played = play(
        postgresql_roles=[
            {"name": "a-b"},
            {"name": "pg_x"},
            {"name": "c", "password_generated": False},
            {"name": "c", "password_generated": True},
            {"name": "g", "connection_limit": -1},
        ],
        postgresql_databases=[
            {"name": "all", "owner": "c"},
            {"name": "d", "owner": "c"},
            {"name": "d", "owner": "nobody"},
        ],
        postgresql_clients=[{"database": "e", "role": "f", "address": "10.0.0.1/24"}],
        postgresql_listen_addresses=["10.0.0.1 10.0.0.2"],
        postgresql_settings={"work mem": "1MB"},
        postgresql_max_connections=12,
    )
    assert played.failed
    for mistake in (
        'Not a valid name for a role: "a-b", "pg_x".',
        'Not a valid name for a database: "all".',
        'A role both with a password and without: "c".',
        'A database with two owners: "d".',
        'The owner of a database is not one of the roles: "nobody".',
        'Not an address to listen on: "10.0.0.1 10.0.0.2".',
        'Not a network of a client: "10.0.0.1/24 has host bits set".',
        'A client of a database that is not one of the databases: "e".',
        'A client whose role has no password: "f".',
        'Not the name of a setting: "work mem".',
        'A role with a negative connection limit: "g".',
        "Too few connections for the roles, less those that superusers keep: 9.",
    ):
        assert mistake in played.output
    for variable in (
        "roles",
        "databases",
        "clients",
        "listen_addresses",
        "settings",
        "max_connections",
        "connection_limit",
    ):
        assert f"postgresql_{variable}" in played.output
    assert (files(), sql("SELECT count(*) FROM pg_roles, pg_database")) == before
