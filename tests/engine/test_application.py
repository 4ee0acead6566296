"""Which release is gone back to, what is said where there is none, and which old ones go."""

from __future__ import annotations

import os
from typing import Any

import pytest
from ansible_collections.slipway.flask.plugins.module_utils.engine import application, files
from ansible_collections.slipway.flask.plugins.module_utils.engine.errors import ReleaseError
from ansible_collections.slipway.flask.plugins.module_utils.engine.record import LAYOUT

from engine.host import NEW, OLD, OTHER, Host


def link(host: Host, *, current: str, previous: str = "") -> None:
    files.link(f"releases/{current}", host.home / "current")
    if previous:
        files.link(f"releases/{previous}", host.home / "previous")


def refused(host: Host, wanted: str = "") -> str:
    """Return what is said where a release cannot be gone back to."""
    with pytest.raises(ReleaseError) as error:
        application.select(host.home, wanted, force=False)
    return str(error.value)


def test_the_previous_release_is_gone_back_to(host: Host) -> None:
    host.release(OLD, activated=1)
    host.release(OTHER, activated=2)
    host.release(NEW, activated=3)
    link(host, current=NEW, previous=OLD)
    assert application.select(host.home, "", force=False).id == OLD
    assert application.select(host.home, OTHER, force=False).id == OTHER


def test_where_the_previous_one_failed_the_last_good_one_is_gone_back_to(host: Host) -> None:
    host.release("0000000000dd", activated=1)
    host.release(OTHER, activated=2)
    host.release(OLD, activated=3, state="failed")
    host.release(NEW, activated=4)
    link(host, current=NEW, previous=OLD)
    assert application.select(host.home, "", force=False).id == OTHER


def test_the_active_release_can_be_asked_for_whatever_its_record_says(host: Host) -> None:
    """A switch that was cut off is finished by it."""
    host.release(NEW)
    link(host, current=NEW)
    assert application.select(host.home, NEW, force=False).id == NEW


def test_without_a_good_release_there_is_none_to_go_back_to(host: Host) -> None:
    assert refused(host) == ("app_release: no release to go back to was found. Good ones here: none (active: none).")
    host.release(NEW, activated=1)
    host.release(OLD)
    link(host, current=NEW)
    assert f"no release to go back to was found. Good ones here: none (active: {NEW})." in refused(host)


@pytest.mark.parametrize("wanted", ["v1", "../next", f"{OLD}0"])
def test_what_is_no_id_is_refused(host: Host, wanted: str) -> None:
    host.release(OLD, activated=1)
    said = refused(host, wanted)
    assert said.startswith(f"app_release: {wanted!r} is not a release id (12 hexadecimal digits).")
    assert f"Good ones here: {OLD}" in said


def test_a_release_that_was_pruned_is_said_to_be_gone(host: Host) -> None:
    assert f"release {OLD} does not exist here (any more)" in refused(host, OLD)


def test_a_release_that_was_never_good_is_refused_with_the_reason(host: Host) -> None:
    host.release(OLD, state="failed", reason="app_prestart: 'false' ended with code 1")
    assert f"{OLD} was never good: app_prestart: 'false' ended with code 1. Good ones" in refused(host, OLD)
    host.release(OTHER)
    assert f"{OTHER} was never good: it never had the traffic. Good ones" in refused(host, OTHER)


def test_a_release_of_an_earlier_layout_has_to_be_deployed_again(host: Host) -> None:
    host.release(OLD, activated=1, layout=LAYOUT - 1)
    assert "cannot be started any more. Deploy its source again. Good ones" in refused(host, OLD)


def test_nobody_goes_back_across_a_migration_by_accident(host: Host) -> None:
    """Also one of a release that failed at its gate has changed the database."""
    host.release(OLD, activated=1, prestarted=1, schema=["1a"])
    host.release(NEW, activated=2, prestarted=2, schema=["1a"])
    link(host, current=NEW, previous=OLD)
    assert application.select(host.home, "", force=False).id == OLD
    host.release(OTHER, state="failed", prestarted=3, schema=["2b", "2c"])
    said = refused(host)
    assert said.startswith(
        f"app_rollback_force: the database is at the schema 2b 2c (release {OTHER}), and {OLD} was built for 1a."
    )
    assert application.select(host.home, "", force=True).id == OLD


def test_a_release_without_migrations_does_not_fit_a_database_that_has_some(host: Host) -> None:
    host.release(OLD, activated=1, prestarted=1, schema=[])
    host.release(NEW, activated=2, prestarted=2, schema=["1a"])
    link(host, current=NEW, previous=OLD)
    assert f"{OLD} was built for none" in refused(host)


def test_the_oldest_releases_go_but_for_those_that_one_can_go_back_to(host: Host) -> None:
    """The previous one, the last good one, and whatever has the traffic."""
    ids = [f"{number:012x}" for number in range(1, 8)]
    for age, release_id in enumerate(ids):
        good: dict[str, Any] = {"activated": 10 - age} if release_id in (ids[4], ids[6]) else {}
        path = host.release(release_id, **good).path
        os.utime(path, (1000 - age, 1000 - age))
    link(host, current=ids[6], previous=ids[5])
    application.prune(host.home, 2, {ids[6]})
    assert sorted(path.name for path in (host.home / "releases").iterdir()) == [*ids[:2], *ids[4:]]
