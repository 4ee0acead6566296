"""The releases of an application on this host, and which of them can be gone back to.

<home>/current, previous -> releases/<id>
"""

from __future__ import annotations

import re
from pathlib import Path

from ansible_collections.slipway.flask.plugins.module_utils.engine.errors import ReleaseError
from ansible_collections.slipway.flask.plugins.module_utils.engine.files import linked, remove
from ansible_collections.slipway.flask.plugins.module_utils.engine.record import Release


def releases(home: str | Path) -> list[Release]:
    """Return the releases on this host, the latest touched first."""
    paths = sorted((Path(home) / "releases").iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    return [Release(home, path.name) for path in paths]


def last_good(home: str | Path) -> str:
    """Return the id of the release to go back to: the previous one, else the last that was good; empty where none is."""
    active, previous = linked(Path(home) / "current"), linked(Path(home) / "previous")
    if previous and previous != active and Release(home, previous).good:
        return previous
    good = [release for release in releases(home) if release.good and release.id != active]
    return max(good, key=lambda release: release.record["activated"]).id if good else ""


def select(home: str | Path, wanted: str, *, force: bool) -> Release:
    """Return the release to go back to. Raises ReleaseError where there is none."""
    active = linked(Path(home) / "current")
    known = [release.id for release in releases(home) if release.good and release.id != active]
    there_are = f"Good ones here: {', '.join(known) or 'none'} (active: {active or 'none'})."
    if wanted and not re.fullmatch("[0-9a-f]{12}", wanted):
        raise ReleaseError(f"app_release: {wanted!r} is not a release id (12 hexadecimal digits). {there_are}")
    release = Release(home, wanted or last_good(home))
    if not release.id:
        raise ReleaseError(f"app_release: no release to go back to was found. {there_are}")
    if not release.record:
        raise ReleaseError(f"app_release: release {wanted} does not exist here (any more). {there_are}")
    if release.id != active and not release.good:
        why = f"was never good: {release.record.get('reason', 'it never had the traffic')}"
        if "activated" in release.record and not release.startable:
            why = "was built by an earlier version of Slipway, and cannot be started any more. Deploy its source again."
        raise ReleaseError(f"app_release: {wanted} {why.removesuffix('.')}. {there_are}")
    # Migrations run before a release is gated: also those of one that failed there have changed the database.
    migrated = [
        other.record for other in releases(home) if other.record.get("prestarted") and other.record.get("schema")
    ]
    latest = max(migrated, key=lambda record: record["prestarted"], default=release.record)
    if latest.get("schema") != release.record.get("schema") and not force:
        raise ReleaseError(
            f"app_rollback_force: the database is at the schema {' '.join(latest['schema'])} (release {latest['id']}), and "
            f"{release.id} was built for {' '.join(release.record.get('schema') or ['none'])}. Nothing was changed. Deploy a "
            "new release with a fix, or migrate the database back first; if the old release works with the current "
            "schema, run this again with -e app_rollback_force=true."
        )
    return release


def prune(home: str | Path, keep: int, safe: set[str]) -> None:
    """Remove the oldest releases, so that `keep` of them are left. Raises ReleaseError.

    safe: ids of releases that stay, as the previous and the last good one do.
    """
    safe = {*safe, linked(Path(home) / "previous"), last_good(home)}
    for release in releases(home)[keep:]:
        if release.id not in safe:
            remove(release.path)
