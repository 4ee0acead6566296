"""Whether a release's database is there: asked only for the message of a release that failed."""

from __future__ import annotations

import shlex
import socket
from urllib.parse import parse_qs, urlsplit

from ansible_collections.slipway.flask.plugins.module_utils.engine.record import Release

TIMEOUT_SECONDS = 3
PORT = 5432


def url_of(release: Release) -> str:
    """Return the DATABASE_URL of a release's settings; empty where it has none."""
    try:
        lines = (release.path / "env").read_text().splitlines()
    except OSError:
        return ""
    values = [shlex.split(line.partition("=")[2]) for line in lines if line.startswith("DATABASE_URL=")]
    return "".join(values[0]) if values else ""


def refusal(url: str) -> str:
    """Return that nothing listens where a URL of PostgreSQL leads; empty where something does, or it is another URL."""
    parts = urlsplit(url)
    if not parts.scheme.startswith("postgres"):
        return ""
    host = parse_qs(parts.query).get("host", [parts.hostname or ""])[0]
    port = parts.port or PORT
    local = host.startswith("/")
    where = f"{host}/.s.PGSQL.{port}" if local else f"{host}:{port}"
    try:
        if local:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(TIMEOUT_SECONDS)
                connection.connect(where)
        else:
            socket.create_connection((host, port), TIMEOUT_SECONDS).close()
    except OSError as error:
        return f" The database does not answer at {where} ({error.strerror or error}): see `systemctl status 'postgresql@*'` there."
    return ""


def missing(release: Release) -> str:
    """Return a sentence where a release's database does not answer; empty where it does, or the release has none."""
    try:
        return refusal(url_of(release))
    except ValueError:  # a URL that only its library can read, such as one with several hosts
        return ""
