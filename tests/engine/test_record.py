"""One release: what is known of it, whether it is good, and how its failure is kept."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.slipway.flask.plugins.module_utils.engine import errors, files
from ansible_collections.slipway.flask.plugins.module_utils.engine.record import LAYOUT, LOG_LINES, Release

from engine.host import NEW, OLD, Host


def test_nothing_is_known_of_a_release_without_a_whole_record(host: Host) -> None:
    """A folder without one is a build that was cut off, and something else may lie there too."""
    release = Release(host.home, OLD)
    assert release.record == {}
    release.path.mkdir()
    (release.path / "release.json").write_text('{"state": "bui')
    assert release.record == {}
    (host.home / "releases/notes").write_text("")
    assert Release(host.home, "notes").record == {}


def test_facts_are_added_to_a_record(host: Host) -> None:
    release = host.release(OLD, source="v1")
    release.note(schema=["1a"])
    release.note(source="v2")
    assert release.record == {"state": "built", "layout": LAYOUT, "source": "v2", "schema": ["1a"], "id": OLD}


@pytest.mark.parametrize(
    ("facts", "good"),
    [
        ({"activated": 1}, True),
        ({}, False),
        ({"activated": 1, "state": "failed"}, False),
        ({"activated": 1, "layout": LAYOUT - 1}, False),
    ],
)
def test_a_release_is_good_that_had_the_traffic_did_not_fail_since_and_can_be_started(
    host: Host, facts: dict[str, Any], good: bool
) -> None:
    assert host.release(OLD, **facts).good is good


def test_a_failure_is_marked_with_its_first_line(host: Host) -> None:
    release = host.release(OLD, activated=1)
    error = release.fail("app_module: it cannot be imported.\nImportError")
    assert str(error) == "app_module: it cannot be imported.\nImportError"
    assert release.record["state"] == "failed"
    assert release.record["reason"] == "app_module: it cannot be imported."
    assert not release.good


def test_the_release_with_the_traffic_is_never_marked_failed(host: Host) -> None:
    release = host.release(OLD, activated=1)
    files.link(f"releases/{OLD}", host.home / "current")
    release.fail("it could not be activated")
    assert release.good
    assert release.record["state"] == "built"


def test_the_log_is_the_end_of_what_its_programs_said(host: Host) -> None:
    release = host.release(OLD, instance=f'[ "$1" != log ] || seq {LOG_LINES + 5}; echo noise >&2')
    assert release.log.splitlines() == [str(number) for number in range(6, LOG_LINES + 6)]


def test_what_a_terminal_would_obey_is_spelled_out() -> None:
    assert errors.last_lines("first\n\x1b[2Jcolumns\tü\n", 1) == "\\x1b[2Jcolumns\tü"


def test_a_link_leads_elsewhere_in_one_step_also_after_one_that_was_cut_off(host: Host) -> None:
    path = host.home / "current"
    assert files.linked(path) == ""
    (host.home / ".current.next").symlink_to("releases/cut-off")
    for release_id in (OLD, NEW):
        files.link(f"releases/{release_id}", path)
        assert files.linked(path) == release_id
    assert [one.name for one in host.home.iterdir() if one.is_symlink()] == ["current"]


def test_a_folder_that_cannot_be_removed_is_an_error(host: Host) -> None:
    host.program("rm", "echo 'rm: Operation not permitted' >&2; exit 1")
    with pytest.raises(errors.ReleaseError, match=r"home/next cannot be removed: rm: Operation not permitted"):
        files.remove(host.home / "next")
