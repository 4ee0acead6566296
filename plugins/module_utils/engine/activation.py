"""Give a release the traffic, stop what had it before, and remove old releases."""

from __future__ import annotations

from ansible_collections.slipway.flask.plugins.module_utils.engine.application import prune
from ansible_collections.slipway.flask.plugins.module_utils.engine.errors import ReleaseError, last_lines
from ansible_collections.slipway.flask.plugins.module_utils.engine.files import linked
from ansible_collections.slipway.flask.plugins.module_utils.engine.record import Release, complaint, now
from ansible_collections.slipway.flask.plugins.module_utils.engine.traffic import Traffic


def dead_workers(status: str, web: str) -> list[str]:
    """Return the programs other than the web server that have died since the start, according to bin/instance.

    One that dies again and again may just be starting at the moment of the question. Its restarts are counted, so it is found
    all the same.
    """
    programs = [line.split("\t") for line in status.splitlines()]
    return [
        name
        for name, state, _, restarts, *_ in programs
        if state == "failing" or (int(restarts) > 0 and not name.startswith(web))
    ]


def activate(traffic: Traffic, release: Release, drain_timeout: float) -> tuple[str, float]:
    """Move the traffic; return the id of the release that had it, and the seconds its connections took to end.

    drain_timeout: seconds after which these connections are cut. Raises ReleaseError.
    """
    started = None if release.is_pages else release.instance("activate")
    if started and started.returncode:
        raise release.fail(
            f"app_workers, app_timers: {release.id} could not be activated; the release that was active before still is.\n"
            f"{last_lines(complaint(started))}\n{release.log}"
        )
    release.note(activated=now())  # first, so that each release that has had the traffic is known to be good
    old = traffic.give(release)
    waited = traffic.retire(traffic.others(release.id), drain_timeout)
    dead = dead_workers(release.instance("status").stdout, f"{traffic.name}@{release.id}") if started else []
    if dead:
        raise ReleaseError(
            f"app_workers: {', '.join(dead)} of the release {release.id} died after the start. The release has the traffic "
            f"and keeps it. Fix the command and deploy, or roll back.\n{release.log}"
        )
    return old, waited


def finish(traffic: Traffic, keep: int, drain_timeout: float) -> None:
    """Stop what should not run, and remove the oldest releases."""
    # Two where a switch was cut off in the middle: static files of the one, pages still of the other.
    active = {linked(traffic.home / "current"), traffic.answering}
    traffic.retire(traffic.others(*active), drain_timeout)
    prune(traffic.home, keep, active)
