"""A role's argument specs are the truth about its variables: nothing else may say otherwise."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

import docs


def each(options: dict[str, Any], parent: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every option, those inside of others too, with its whole name."""
    for name, option in options.items():
        yield f"{parent}{name}", option
        yield from each(option.get("options") or {}, f"{parent}{name}.")


@pytest.fixture(params=docs.roles(), ids=lambda role: role.name)
def role(request: pytest.FixtureRequest) -> docs.Role:
    chosen: docs.Role = request.param
    return chosen


def test_every_role_has_specs(role: docs.Role) -> None:
    assert role.main["options"]


def test_defaults_and_specs_agree(role: docs.Role) -> None:
    assert list(docs.differences(role)) == []


def test_variables_begin_with_the_name_of_their_role(role: docs.Role) -> None:
    strangers = [name for name in role.options if not name.startswith(f"{role.name}_")]
    assert strangers == []


def test_every_variable_says_its_type_and_what_it_is(role: docs.Role) -> None:
    poor = [n for n, o in each(role.options) if not o.get("type") or not o.get("description")]
    assert poor == []


def test_a_number_names_its_unit(role: docs.Role) -> None:
    """A time or a size has its unit in its name, unless it is named in the field's own terms."""
    units = re.compile(r"\b(seconds?|minutes?|hours?|days?|bytes|milliseconds|MB|megabytes)\b")
    suffixes = ("_seconds", "_ms", "_minutes", "_hours", "_days", "_bytes", "_mb")
    unclear = [
        name
        for name, option in each(role.options)
        if option["type"] in {"int", "float"} and units.search(docs.meaning(option)) and not name.endswith(suffixes)
    ]
    assert unclear == []


def test_readme_is_what_the_specs_say(role: docs.Role) -> None:
    assert role.readme.exists(), "run `make docs`"
    assert role.readme.read_text() == docs.readme(role), "run `make docs`"


def test_roles_are_there() -> None:
    """The tests above run for each role found: none found would be none failed."""
    assert {"common", "app", "nginx", "postgresql"} <= {role.name for role in docs.roles()}
