"""What Molecule's scenarios must share, so that they can run side by side and be cleaned up."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from servers import recipe

ROOT = Path(__file__).parents[1]
SCENARIOS = sorted(ROOT.glob("molecule/*/molecule.yml"))


def platforms(scenario: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load(scenario.read_text())["platforms"]
    return found


@pytest.fixture(params=SCENARIOS, ids=lambda path: path.parent.name)
def scenario(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def test_servers_have_names_of_their_own() -> None:
    names = Counter(platform["name"] for path in SCENARIOS for platform in platforms(path))
    assert [name for name, count in names.items() if count > 1] == []


def test_debian_is_one_there_is_an_image_of(scenario: Path) -> None:
    assert {platform["debian"] for platform in platforms(scenario)} <= recipe.DEBIANS.keys()


def test_scenario_has_a_play_and_tests(scenario: Path) -> None:
    assert (scenario.parent / "converge.yml").exists()
    assert list(scenario.parent.glob("tests/**/test_*.py"))


def test_every_role_has_a_scenario() -> None:
    """A role without its own tasks is tested by those that depend on it."""
    roles = {path.parents[1].name for path in ROOT.glob("roles/*/tasks/main.yml")}
    assert roles - {path.parent.name for path in SCENARIOS} == set()
