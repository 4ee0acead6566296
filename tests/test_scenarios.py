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
    """What all roles of a kind share does nothing by itself: it has a contract, and the scenarios of each role of its kind."""
    scenarios = {path.parent.name for path in SCENARIOS}
    roles = {path.parents[1].name: path.read_text() for path in ROOT.glob("roles/*/meta/main.yml")}
    kinds = {"app_server", "edge", "process_manager"}
    assert roles.keys() - kinds - scenarios == set()
    for kind in kinds:
        assert (ROOT / f"docs/contracts/{kind.replace('_', '-')}.md").exists()
        depending = {name for name, text in roles.items() if f"role: slipway.flask.{kind} " in text}
        assert len(depending) > 1
        assert depending <= scenarios
