"""What a run promises that has nothing to change, on every server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from testinfra.host import Host

Play = Callable[..., Any]  # conftest.Played


def test_a_second_run_changes_nothing_and_restarts_nothing(
    server: Host, play: Play, started: Callable[[], str], files: Callable[[], str]
) -> None:
    """Nor does it for the other environment on the same server."""
    before = started(), files()
    assert play(whole=True).changes(server.backend.host) == 0
    assert (started(), files()) == before


def test_a_second_dry_run_sees_nothing_to_change(server: Host, play: Play) -> None:
    """With --diff, as one looks before one leaps."""
    assert play("--check", "--diff", whole=True).changes(server.backend.host) == 0
