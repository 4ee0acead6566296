"""Which protocol the edge speaks to the application on this host. Its file of the site says so, and site.yml alone writes that.

An edge that speaks uwsgi connects to /run/<app>/app.uwsgi, one that speaks HTTP to app.sock.
"""

from __future__ import annotations

from pathlib import Path

from ansible_collections.slipway.flask.plugins.module_utils.engine.errors import ReleaseError
from ansible_collections.slipway.flask.plugins.module_utils.engine.record import Release


def spoken(sites: list[str], run: str | Path) -> str:
    """Return what the edge speaks, http or uwsgi; empty where no edge has the site.

    sites: paths that an edge's file of the site may have. run: folder of the sockets.
    """
    texts = [Path(site).read_text(errors="replace") for site in sites if Path(site).is_file()]
    if any(f"{run}/app.uwsgi" in text for text in texts):
        return "uwsgi"
    return "http" if texts else ""


def check_setting(wanted: str, sites: list[str], run: str | Path) -> None:
    """Raise ReleaseError where the edge speaks another protocol than is wanted: a deploy does not touch the edge."""
    speaks = spoken(sites, run)
    if speaks and speaks != wanted:
        raise ReleaseError(
            f"edge_upstream_protocol: it is {wanted}, but the edge of this host speaks {speaks} to the application. Nothing was "
            f"changed. Run site.yml, which makes the change, or set it to {speaks}."
        )


def check_release(release: Release, sites: list[str], run: str | Path) -> None:
    """Raise ReleaseError where the release cannot be spoken to by the edge. It is not marked failed: elsewhere it may be good."""
    if spoken(sites, run) == "uwsgi" and not release.speaks_uwsgi:
        raise ReleaseError(
            f"edge_upstream_protocol: the edge of this host speaks uwsgi to the application, and the release {release.id} speaks "
            "HTTP alone (its app_server was not uwsgi, or an earlier version of Slipway built it). It was not started. Set "
            "edge_upstream_protocol to http, leave app_server at uwsgi, and run site.yml, which makes the change; then try again."
        )
