"""A PostgreSQL of an application's own, on a developer's machine: it runs for as long as `make dev` does.

Its cluster is a folder in the application's, where its socket is too: no port is opened, and a server that the machine has is left
alone. The programs are those that are installed.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

FOLDER = ".dev-postgresql"
SOCKET = ".s.PGSQL.5432"
# The kernel's limit for its path: 107 on Linux, 103 on a Mac.
SOCKET_BYTES = 103
# Where Debian, Homebrew (two kinds of Mac) and Postgres.app have what is not in PATH.
PLACES = (
    "/usr/lib/postgresql/*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
)
INSTALL = "Install it: apt install postgresql; on a Mac brew install postgresql@17."
# PostgreSQL does not run as root. The name of another user is enough for it, in a namespace that gives no rights to anybody.
AS_USER = ["unshare", "--user", "--map-user=nobody"] if os.geteuid() == 0 else []


def installed() -> dict[str, Path]:
    """Return the folder of PostgreSQL's programs for each major version on this machine, the newest last."""
    in_path = shutil.which("initdb")
    folders = [path for place in PLACES for path in Path("/").glob(place[1:])]
    found = {}
    for folder in [*folders, *([Path(in_path).resolve().parent] if in_path else [])]:
        with contextlib.suppress(OSError):  # Homebrew leaves links to what was removed
            said = subprocess.run([folder / "initdb", "--version"], capture_output=True, text=True, check=False).stdout
            if version := re.search(r"\d+", said):
                found[version[0]] = folder
    return dict(sorted(found.items(), key=lambda item: int(item[0])))


def programs(home: Path) -> Path:
    """Return the folder of the programs for a cluster, which is made by the newest; end the run where they are missing."""
    found = installed()
    version = home / "PG_VERSION"
    wanted = version.read_text().strip() if version.is_file() else next(reversed(found), "")
    if wanted in found:
        return found[wanted]
    if wanted:
        sys.exit(
            f"POSTGRESQL: {home} has the data of PostgreSQL {wanted}, which is not installed. Install it, or remove the folder."
        )
    sys.exit(f"POSTGRESQL: PostgreSQL is not installed on this machine. {INSTALL}")


def call(program: Path, *arguments: str | Path, log: Path | None = None) -> None:
    """Run a program of PostgreSQL's; end the run with the last lines of what it or its log said where it fails."""
    # In a session of its own, as a terminal's Ctrl-C reaches all that it started, and the server has to outlive the application.
    done = subprocess.run(
        [*AS_USER, program, *arguments], capture_output=True, text=True, check=False, start_new_session=True
    )
    if done.returncode:
        said = log.read_text() if log and log.exists() else done.stdout + done.stderr
        sys.exit("\n".join([f"POSTGRESQL: {program.name} failed:", *said.splitlines()[-5:]]))


def create(folder: Path, home: Path) -> None:
    """Make an empty cluster, whole or not at all, that git leaves out."""
    scratch = home.with_name(f"{home.name}.new")
    shutil.rmtree(scratch, ignore_errors=True)  # of a run that was killed
    user = pwd.getpwuid(os.geteuid()).pw_name  # whom a client takes itself for
    # Only its owner may enter the folder, so that nobody else is let in. Any machine has the locale C; a server's C.UTF-8 sorts alike.
    call(
        folder / "initdb",
        "--auth=trust",
        "--encoding=UTF8",
        "--locale=C",
        "--no-sync",
        f"--username={user}",
        "-D",
        scratch,
    )
    (scratch / ".gitignore").write_text("*\n")
    scratch.rename(home)


@contextlib.contextmanager
def running(application: Path) -> Iterator[str]:
    """Have the application's PostgreSQL running; yield its DATABASE_URL. One that runs already is left running."""
    home = application / FOLDER
    if len(os.fsencode(home / SOCKET)) > SOCKET_BYTES:
        sys.exit(
            f"POSTGRESQL: {home}/{SOCKET}, its socket, has a path of more than {SOCKET_BYTES} bytes. Move {application}."
        )
    folder = programs(home)
    if not home.exists():
        create(folder, home)
    pg_ctl = folder / "pg_ctl"
    address = f"postgresql:///postgres?host={quote(str(home))}"
    if subprocess.run([*AS_USER, pg_ctl, "status", "-D", home], capture_output=True, check=False).returncode == 0:
        yield address
        return
    log = home / "log"
    log.unlink(missing_ok=True)
    try:
        # "." is the cluster's folder.
        options = "-c listen_addresses= -c unix_socket_directories=."
        call(pg_ctl, "start", "--wait", "-D", home, "-l", log, "-o", options, log=log)
        yield address
    finally:
        subprocess.run([*AS_USER, pg_ctl, "stop", "--mode=fast", "-D", home], capture_output=True, check=False)
