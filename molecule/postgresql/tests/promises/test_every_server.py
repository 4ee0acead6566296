"""What the postgresql role promises of every server, asked of the running ones."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable

import pytest
from testinfra.backend.base import CommandResult
from testinfra.host import Host

Application = Callable[..., CommandResult]
Sql = Callable[..., str]

SETTINGS = "/etc/postgresql/*/main/conf.d/slipway.conf"


# --- Applications, and what keeps them apart


@pytest.mark.after_reboot
@pytest.mark.parametrize("name", ["guestbook", "shop", "blog"])
def test_an_application_reaches_its_database_without_a_password(application: Application, name: str) -> None:
    """Through the socket, as the role of its unix user's name."""
    answer = application(name, name, "SELECT current_user, inet_client_addr() IS NULL")
    assert answer.stdout.strip() == f"{name}|t", answer.stderr


def test_an_application_does_as_it_likes_in_its_own_database(application: Application) -> None:
    """It makes tables and schemas there, as migrations do."""
    answer = application(
        "guestbook",
        "guestbook",
        "CREATE TABLE entry (id int); INSERT INTO entry VALUES (1); CREATE SCHEMA more;"
        "DROP SCHEMA more; DROP TABLE entry; SELECT 'done'",
    )
    assert answer.stdout.splitlines()[-1:] == ["done"], answer.stderr


@pytest.mark.parametrize(
    ("user", "database"),
    [
        ("guestbook", "shop"),
        ("shop", "guestbook"),
        ("guestbook", "blog"),
        ("guestbook", "postgres"),
        ("blog", "template1"),
    ],
)
def test_an_application_is_refused_on_another_database(application: Application, user: str, database: str) -> None:
    """Already when it connects; on the other environment's as well, and on the server's own."""
    answer = application(user, database, "SELECT 1")
    assert answer.failed
    assert f'pg_hba.conf rejects connection for host "[local]", user "{user}", database "{database}"' in answer.stderr


def test_an_application_is_refused_on_a_database_made_by_hand(application: Application, sql: Sql) -> None:
    """PostgreSQL lets every role connect to a new one; a role made by hand comes in (the unix user games is Debian's)."""
    sql("CREATE DATABASE made_by_hand")
    try:
        sql("CREATE ROLE games LOGIN")
        answer = application("guestbook", "made_by_hand", "SELECT 1")
        assert answer.failed
        assert "pg_hba.conf rejects connection" in answer.stderr
        assert application("games", "made_by_hand", "SELECT current_user").stdout.strip() == "games"
    finally:
        sql("DROP DATABASE made_by_hand")
        sql("DROP ROLE games")


@pytest.mark.after_reboot
def test_no_database_is_open_to_every_role(sql: Sql) -> None:
    """Neither to connect to nor for temporary tables, even if a rule in pg_hba.conf let a role in."""
    entitled = (
        "FROM pg_database, aclexplode(coalesce(datacl, acldefault('d', datdba))) WHERE grantee = 0 AND datallowconn"
    )
    assert sql(f"SELECT datname, privilege_type {entitled}") == ""


def test_a_unix_user_cannot_act_as_another_role(application: Application) -> None:
    """The server asks the kernel who it is."""
    for role in ("shop", "postgres"):
        answer = application("guestbook", "shop", "SELECT 1", role=role)
        assert answer.failed
        assert f'Peer authentication failed for user "{role}"' in answer.stderr


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE DATABASE more",
        "CREATE ROLE more",
        "ALTER ROLE guestbook SUPERUSER",
        "SET ROLE shop",
        "ALTER SYSTEM SET work_mem = '1GB'",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "COPY (SELECT 1) TO '/tmp/file'",
        "SELECT pg_read_file('/etc/hostname')",
        "SELECT lo_import('/etc/hostname')",
        "CREATE EXTENSION dblink",
        "CREATE FUNCTION run(text) RETURNS int AS 'libc.so.6', 'system' LANGUAGE c",
        "ALTER ROLE guestbook CONNECTION LIMIT -1",
        "COMMENT ON ROLE guestbook IS 'mine'",
        "SET temp_file_limit = -1",
    ],
)
def test_an_application_has_no_power_beyond_its_database(application: Application, statement: str) -> None:
    """It is a plain role."""
    answer = application("guestbook", "guestbook", statement)
    assert answer.failed
    assert "permission denied" in answer.stderr or "must " in answer.stderr


def test_a_guest_let_into_a_database_still_sees_nothing_of_it(application: Application, sql: Sql) -> None:
    """Whoever grants CONNECT to a role for reports has not opened the schema, too."""
    application("guestbook", "guestbook", "CREATE TABLE entry (id int); GRANT SELECT ON entry TO PUBLIC")
    sql("GRANT CONNECT ON DATABASE guestbook TO shop")
    try:
        answer = application("postgres", "guestbook", "SET ROLE shop; SELECT * FROM public.entry")
        assert answer.failed
        assert "permission denied for schema public" in answer.stderr
    finally:
        sql("REVOKE CONNECT ON DATABASE guestbook FROM shop")
        application("guestbook", "guestbook", "DROP TABLE entry")


def test_a_database_holds_any_text(application: Application) -> None:
    """Where no locale was installed, Debian's default would be bytes without an encoding."""
    answer = application("guestbook", "guestbook", "SHOW server_encoding; SELECT length('žluť 😀'), upper('ž')")
    assert answer.stdout.splitlines() == ["UTF8", "6|Ž"], answer.stderr


# --- Connections

HOLD = """
import psycopg2, sys
held = []
try:
    while len(held) < 200:
        held.append(psycopg2.connect("dbname=guestbook"))
except psycopg2.OperationalError as error:
    print(len(held), str(error).strip(), flush=True)
sys.stdin.read()
"""
ATTACK = """
import json, subprocess, sys
holder = subprocess.Popen(
    ["sudo", "--user=guestbook", "/usr/bin/python3", "-c", sys.argv[1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
)
number, _, error = holder.stdout.readline().partition(" ")
others = {}
for user, database in [("shop", "shop"), ("blog", "blog"), ("postgres", "postgres")]:
    command = ["sudo", f"--user={user}", "psql", "--no-psqlrc", "-Atc", "SELECT current_user", database]
    others[user] = subprocess.run(command, capture_output=True, text=True).stdout.strip()
holder.communicate("")
print(json.dumps({"number": int(number), "error": error.strip(), "others": others}))
"""


def test_an_application_cannot_take_the_others_connections(server: Host, sql: Sql) -> None:
    """It opens as many as it can, and PostgreSQL says why it gets no more."""
    limit = int(sql("SELECT rolconnlimit FROM pg_roles WHERE rolname = 'guestbook'"))
    done = json.loads(server.check_output(f"cd / && /usr/bin/python3 -c {shlex.quote(ATTACK)} {shlex.quote(HOLD)}"))
    assert done["number"] == limit
    assert 'too many connections for role "guestbook"' in done["error"]
    assert done["others"] == {"shop": "shop", "blog": "blog", "postgres": "postgres"}


def test_roles_share_the_connections_equally(server: Host, sql: Sql) -> None:
    """Of the 100 PostgreSQL keeps 3 for superusers; a role may have its own limit."""
    expected = {"postgresql-trixie": ["32", "32", "32"], "postgresql-bookworm": ["20", "38", "38"]}
    limits = sql("SELECT rolconnlimit FROM pg_roles WHERE rolcanlogin AND NOT rolsuper ORDER BY rolname").splitlines()
    assert limits == expected[server.backend.host]


# --- Settings


def test_memory_settings_fit_the_host(server: Host, sql: Sql) -> None:
    """A quarter for the cache, the rest shared out; of all the memory, or of what the variable grants."""
    total_kb = int(server.check_output("awk '/^MemTotal/ {print $2}' /proc/meminfo"))
    granted = {"postgresql-bookworm": 1000}.get(server.backend.host, total_kb // 1024)
    memory = round(granted / 256) * 256
    expected = {
        "shared_buffers": memory // 4 * 1024,
        "effective_cache_size": memory * 3 // 4 * 1024,
        "maintenance_work_mem": min(memory // 16, 1024) * 1024,
        "work_mem": max((memory - memory // 4) * 1024 // 300, 4096),
    }
    in_force = sql(
        "SELECT name, setting::bigint * CASE unit WHEN '8kB' THEN 8 ELSE 1 END FROM pg_settings"
        f" WHERE name IN ({', '.join(repr(name) for name in expected)})"
    )
    assert {name: int(value) for name, value in (line.split("|") for line in in_force.splitlines())} == expected


def test_what_one_session_writes_for_sorting_is_bounded(application: Application) -> None:
    """The application has the limit too, and cannot change it (see above)."""
    assert application("guestbook", "guestbook", "SHOW temp_file_limit").stdout.strip() == "2GB"


def test_parallel_workers_fit_the_cores(server: Host, sql: Sql) -> None:
    """Half the cores for one query."""
    cores = {"postgresql-bookworm": 6}.get(server.backend.host, int(server.check_output("nproc")))
    in_force = sql("SELECT current_setting('max_parallel_workers'), current_setting('max_parallel_workers_per_gather')")
    assert in_force == f"{cores}|{min(cores // 2, 4)}"


@pytest.mark.after_reboot
def test_no_setting_waits_for_a_restart_or_is_wrong(sql: Sql) -> None:
    """What the files say is what the server does."""
    assert sql("SELECT name FROM pg_settings WHERE pending_restart") == ""
    assert sql("SELECT name, error FROM pg_file_settings WHERE error IS NOT NULL") == ""
    assert sql("SELECT line_number, error FROM pg_hba_file_rules WHERE error IS NOT NULL") == ""


@pytest.mark.after_reboot
def test_every_setting_of_the_file_is_in_force(server: Host, sql: Sql) -> None:
    """No other file overrides one."""
    written = server.check_output(f"sed -n 's/^\\([a-z_.]*\\) = .*/\\1/p' {SETTINGS} | sort -u").split()
    in_force = sql("SELECT name FROM pg_settings WHERE sourcefile LIKE '%/slipway.conf'").split()
    assert "shared_buffers" in written
    assert sorted(in_force) == written
