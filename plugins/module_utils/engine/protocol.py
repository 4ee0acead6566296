"""Which protocol the edge speaks to the application on this host. Its file of the site says so, and site.yml alone writes that.

An edge that speaks uwsgi connects to /run/<app>/app.uwsgi, one that speaks HTTP to app.sock.
"""

from __future__ import annotations

from pathlib import Path

from ansible_collections.slipway.flask.plugins.module_utils.engine.errors import ReleaseError
from ansible_collections.slipway.flask.plugins.module_utils.engine.record import Release


def speaks_uwsgi(sites: list[str], run: str | Path) -> bool:
    """Return whether the edge speaks uwsgi. sites: paths that its file of the site may have. run: folder of the sockets."""
    files = [Path(site) for site in sites if Path(site).is_file()]
    return any(f"{run}/app.uwsgi" in file.read_text(errors="replace") for file in files)


def check_release(release: Release, sites: list[str], run: str | Path) -> None:
    """Raise ReleaseError where the release cannot be spoken to by the edge. It is not marked failed: elsewhere it may be good."""
    if speaks_uwsgi(sites, run) and not release.speaks_uwsgi:
        raise ReleaseError(
            f"edge_upstream_protocol: the edge of this host speaks uwsgi to the application, and the release {release.id} speaks "
            "HTTP alone (it was built for another app_server, or for an edge that speaks HTTP). It was not started. Set "
            "edge_upstream_protocol to http and run site.yml, which makes the change; then go back to it: "
            f"rollback.yml -e app_release={release.id}"
        )
