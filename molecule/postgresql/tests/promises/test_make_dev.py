"""`make dev POSTGRESQL=1` on a machine with Debian's PostgreSQL; what needs none is in tests/test_dev.py."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator

from testinfra.host import Host

from probe import DEADLINE_SECONDS, ROOT, until

Sql = Callable[..., str]

# Whose machine it is. root works differently, as PostgreSQL does not run as root.
DEVELOPERS = {"postgresql-trixie": "root", "postgresql-bookworm": "guestbook"}
# What tools/dev.py is made of.
FILES = ("app", "plugins", "tools/dev.py", "tools/dev_postgresql.py", ".venv/bin/uv")


def check_out(server: Host, user: str) -> str:
    """Put this checkout into a user's home on a server; return its folder."""
    folder = f"{server.user(user).home}/slipway"
    # Without what the application's own developer has there.
    leave_out = ["--exclude=app/.*", "--exclude=app/instance"]
    files = subprocess.run(["tar", "-ch", *leave_out, *FILES], cwd=ROOT, capture_output=True, check=True)
    tools = [sys.executable, str(ROOT / "tools/servers"), "ssh", server.backend.host]
    subprocess.run([*tools, "tar", "-xC", "/tmp", "--one-top-level=slipway"], input=files.stdout, check=True)
    collection = f"{folder}/.collections/ansible_collections/slipway"
    server.check_output(
        f"rm -rf {folder} && mv /tmp/slipway {folder} && mkdir -p {collection} && ln -s {folder} {collection}/flask"
        f" && chown -R --no-dereference {user}: {folder}"
    )
    return folder


def database(checkout: str) -> str:
    """Return the address of the database of a checkout's application."""
    return f"postgresql:///postgres?host={checkout}/app/.dev-postgresql"


@contextlib.contextmanager
def served(server: Host, user: str, checkout: str, end: str) -> Iterator[str]:
    """Have the application served; yield its address. end: the signal, which all of it gets, as from a terminal."""
    address = server.backend.get_variables()["ansible_host"]
    environment = {"PATH": f"{checkout}/.venv/bin:/usr/bin:/bin", "FLASK_RUN_HOST": address, "FLASK_RUN_PORT": "0"}
    options = " ".join(f"--setenv={name}={value}" for name, value in environment.items())
    log = f"{checkout}/{end}.log"
    # Only its main process would be ended at the end, so that a PostgreSQL that is left running is seen.
    options += f" --property=KillMode=process --property=StandardOutput=truncate:{log}"
    server.check_output(
        f"systemd-run --quiet --collect --unit=dev --uid={user} --working-directory={checkout} {options}"
        " python3 tools/dev.py app 'guestbook:create_app()' 1"
    )
    running = "systemctl is-active dev"
    begun = f"grep -q 'Running on' {log} || ! {running}"
    until(lambda: server.run(begun).succeeded, "it serves, or has failed", 10 * DEADLINE_SECONDS)
    said = server.file(log).content_string
    try:
        assert f"psql '{database(checkout)}'" in said
        yield re.findall(r"Running on (http://\S+)", said)[0]
    finally:
        # -0 would be those of this command.
        server.check_output(
            f"pid=$(systemctl show --value --property=MainPID dev); [ $pid = 0 ] || kill -s {end} -- -$pid"
        )
        until(lambda: server.run(running).failed, "it has ended")


def test_a_postgresql_of_the_application_s_own_runs_next_to_the_server_s(server: Host, sql: Sql) -> None:
    """It runs for as long as the application does, on a socket alone, and keeps its data; migrations have run, and git leaves it out."""
    before = sql("SELECT pg_postmaster_start_time()")
    user = DEVELOPERS[server.backend.host]
    checkout = check_out(server, user)
    cluster = f"{checkout}/app/.dev-postgresql"
    with served(server, user, checkout, "INT") as address:
        entry = json.dumps({"name": "Ada", "message": "We met in PostgreSQL."}).encode()
        request = urllib.request.Request(f"{address}/api/entries", entry, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=DEADLINE_SECONDS) as answer:
            assert answer.status == 201
        assert server.check_output(f"stat -c %a {cluster}") == "700"
        assert server.file(f"{cluster}/.s.PGSQL.5432").is_socket
        assert "listening on IP" not in server.file(f"{cluster}/log").content_string
    assert not server.file(f"{cluster}/postmaster.pid").exists, server.file(f"{cluster}/log").content_string
    with served(server, user, checkout, "TERM"):
        said = server.check_output(
            f"runuser -u {user} -- psql '{database(checkout)}' -Atc 'SELECT message FROM entries'"
        )
        assert said == "We met in PostgreSQL."
    assert not server.file(f"{cluster}/postmaster.pid").exists, server.file(f"{cluster}/log").content_string
    assert server.file(f"{cluster}/.gitignore").content_string == "*\n"
    assert sql("SELECT pg_postmaster_start_time()") == before
