"""The moment a release gets the traffic, and what comes after it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.slipway.flask.plugins.module_utils.engine import activation, files, traffic
from ansible_collections.slipway.flask.plugins.module_utils.engine.errors import ReleaseError

from engine.host import NEW, OLD, OTHER, Host, asked

SICK = """
case $1 in
  activate) [ ! -e "$0.fails" ] || { echo "Unit is bad." >&2; exit 1; } ;;
  status) [ ! -e "$0.died" ] || printf 'site-mail-1@%s.service\\trunning\\t1\\t2\\t0\\n' 0000000000bb ;;
  log) echo "the last words" ;;
esac
"""


def test_a_worker_that_was_restarted_has_died_whatever_it_does_just_now() -> None:
    """The web server is not one of them: its gate has passed, and the process manager sees to it."""
    status = [
        "site@0123456789ab.service\trunning\t5\t1\t0",
        "site-good-1@0123456789ab.service\trunning\t5\t0\t0",
        "site-frail-1@0123456789ab.service\trunning\t0\t3\t0",
        "site-frail-2@0123456789ab.service\tfailing\t0\t0\t0",
        "site-tick@0123456789ab.timer\twaiting\t5\t0\t0",
    ]
    dead = activation.dead_workers("\n".join(status), "site@0123456789ab")
    assert dead == ["site-frail-1@0123456789ab.service", "site-frail-2@0123456789ab.service"]


def test_a_release_gets_the_traffic_and_the_one_before_it_is_stopped(host: Host) -> None:
    site, old, new = host.traffic(), host.release(OLD, running=True), host.release(NEW, instance=SICK, running=True)
    site.give(old)
    former, waited = activation.activate(site, new, 0)
    assert (former, site.active, asked(old), asked(new)) == (OLD, NEW, ["stop"], ["activate", "status"])
    assert waited >= 0
    assert new.good


def test_each_switch_can_be_told_from_all_before_it_the_way_back_too(host: Host) -> None:
    """A page that an edge cached before a switch is not found after it."""
    site, old, new = host.traffic(), host.release(OLD), host.release(NEW)
    seen = []
    for release in (old, new, old):
        site.give(release)
        seen.append((host.run / "switch").resolve(strict=True))
    assert len(set(seen)) == 3
    assert sorted((host.run / "switches").iterdir()) == sorted(seen[1:])
    after_a_reboot = site.folder.tmpfiles.read_text()
    assert f"d {seen[-1]} 0755 root root -\n" in after_a_reboot
    assert f"L+ {host.run}/switch - - - - switches/{seen[-1].name}\n" in after_a_reboot


def test_a_switch_that_was_cut_off_before_its_mark_is_not_complete(host: Host) -> None:
    """The next deploy of the same release finishes it; until then a cache would go on with the pages of the release before."""
    site, old, new = host.traffic(), host.release(OLD), host.release(NEW)
    site.give(old)
    mark = (host.run / "switch").readlink()
    site.give(new)
    files.link(str(mark), host.run / "switch")
    assert site.active == ""
    site.give(new)
    assert site.active == NEW


def test_root_follows_no_link_in_a_folder_that_was_the_application_s(host: Host, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "empty").mkdir(parents=True)
    host.run.mkdir(exist_ok=True)
    (host.run / "switches").symlink_to(elsewhere)
    host.traffic().give(host.release(NEW))
    assert list(elsewhere.iterdir()) == [elsewhere / "empty"]
    assert not (host.run / "switches").is_symlink()


def test_the_mark_of_a_switch_is_moved_after_the_traffic(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other way round, a page of the old release could be cached as one of the new."""
    moved: list[str] = []

    def noted(target: str, path: Path) -> None:
        moved.append(path.name)
        files.link(target, path)

    monkeypatch.setattr(traffic, "link", noted)
    host.traffic().give(host.release(NEW))
    assert moved == ["current", "app.sock", "switch"]


def test_one_whose_programs_cannot_run_for_good_gets_no_traffic(host: Host) -> None:
    site, old, new = host.traffic(), host.release(OLD, running=True), host.release(NEW, instance=SICK)
    site.give(old)
    (new.path / "bin/instance.fails").touch()
    with pytest.raises(ReleaseError) as error:
        activation.activate(site, new, 0)
    first, *rest = str(error.value).splitlines()
    assert first == (
        f"app_workers, app_timers: {NEW} could not be activated; the release that was active before still is."
    )
    assert rest == ["Unit is bad.", "the last words"]
    assert (site.active, asked(old), new.record["state"]) == (OLD, [], "failed")


def test_a_worker_that_died_is_said_when_the_release_has_the_traffic(host: Host) -> None:
    """It stays good: one can go back from it, and to it."""
    site, new = host.traffic(), host.release(NEW, instance=SICK)
    (new.path / "bin/instance.died").touch()
    with pytest.raises(ReleaseError, match=rf"app_workers: site-mail-1@{NEW}\.service of the release {NEW} died"):
        activation.activate(site, new, 0)
    assert site.active == NEW
    assert new.good


def test_a_deploy_ends_with_nothing_but_the_active_release_running(host: Host) -> None:
    site, old, new = host.traffic(), host.release(OLD, activated=1, running=True), host.release(NEW, running=True)
    gone = host.release(OTHER)
    os.utime(gone.path, (1, 1))
    site.give(old)
    activation.finish(site, 2, 0)
    assert (asked(old), asked(new)) == ([], ["stop"])
    assert [release.path.exists() for release in (old, new, gone)] == [True, True, False]


def test_both_releases_of_a_switch_that_was_cut_off_are_left_running(host: Host) -> None:
    """The static files are one release's, the pages still the other's."""
    site, old, new = host.traffic(), host.release(OLD, running=True), host.release(NEW, running=True)
    site.give(old)
    files.link(f"releases/{NEW}", host.home / "current")
    activation.finish(site, 1, 0)
    assert (asked(old), asked(new)) == ([], [])
    assert old.path.exists()
