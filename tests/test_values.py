"""Free text never becomes configuration: whatever a variable is set to, it is refused, or it is one value in what a program reads.

`make test-values` draws more, and asks the programs themselves.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

import drawn
import rendered

DRAWS = 20
# Its variables are arguments of modules.
WITHOUT_TEMPLATES = {"common"}
# Values with which an edge's file has a part that it has not otherwise.
SOMETIMES: dict[str, Any] = {
    "edge_paths": [{"path": "/a", "users": {"x": "$6$aaaaaaaa$aaaa"}}],
    "edge_upstream_socket": "",
}


@pytest.mark.parametrize("role", drawn.ROLES)
def test_what_is_drawn_for_is_not_refused_by_itself(role: str) -> None:
    """Otherwise each draw is, and tells nothing."""
    assert rendered.complaints(role) == []


@pytest.mark.parametrize("role", drawn.ROLES)
def test_text_is_one_value_or_is_refused(role: str) -> None:
    @settings(
        max_examples=DRAWS, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(drawn.draws(role))
    def holds(draw: tuple[str, Any]) -> None:
        name, value = draw
        made = drawn.made(role, name, value)
        assert made is None or not made.wrong, f"{name}: {value!r} in {made.wrong}"

    holds()


def test_every_variable_is_drawn_for() -> None:
    """But for those in NOT_DRAWN, and those of a role without templates."""
    drawn_for = {name for role in drawn.ROLES for name in drawn.variables(role)}
    specs = {path.parents[1].name for path in rendered.ROLES.glob("*/meta/argument_specs.yml")}
    every = {name for role in specs - WITHOUT_TEMPLATES for name in rendered.specs(role)}
    left_out = every - drawn_for
    reasons = {one: {name for name in left_out if re.fullmatch(one, name)} for one in drawn.NOT_DRAWN}
    assert left_out == set().union(*reasons.values())
    assert all(reasons.values())
    assert not [role for role in WITHOUT_TEMPLATES if (rendered.ROLES / role / "templates").exists()]


def test_every_template_is_rendered(monkeypatch: pytest.MonkeyPatch) -> None:
    """But for those that ask a question in SQL."""
    opened: set[str] = set()
    really = open

    def noted(file: Any, *more: Any, **named: Any) -> Any:
        opened.add(str(file))
        return really(file, *more, **named)

    for module in ("builtins", "io"):  # Jinja's own, and pathlib's
        monkeypatch.setattr(f"{module}.open", noted)
    for role in drawn.ROLES:
        rendered.files(role, {})
        for name, value in SOMETIMES.items():
            if name in rendered.specs(role):
                rendered.files(role, {name: value})
    every = {path.relative_to(rendered.ROLES).as_posix() for path in rendered.ROLES.glob("*/templates/*")}
    assert {one for one in every if str(rendered.ROLES / one) not in opened} == {
        part for part in rendered.PARTS if part.endswith(".sql.j2")
    }


@pytest.mark.parametrize(
    ("role", "name", "value"),
    [
        ("nginx", "nginx_client_max_body_size", "16m; return 301 http://evil/"),
        ("nginx", "edge_acme_webroot", "/srv; return 301 http://evil/"),
        ("nginx", "edge_tls_key", "'"),
        ("apache", "edge_static_url", "/assets/"),
        ("apache", "edge_tls_names", ["'"]),
        ("valkey", "valkey_group", "site\\"),
        ("systemd", "systemd_service", {"Environment": "A=1\nExecStart=/bin/evil"}),
        ("systemd", "systemd_service", {"Environment": "null"}),
        ("systemd", "process_manager_name", "'"),
        ("systemd", "process_manager_workers", [{"name": '"', "command": "true"}]),
        ("supervisor", "supervisor_program", {"environment": "A=1 ;B=2"}),
        ("granian", "granian_settings", {"url-path-prefix": "None"}),
        ("uwsgi", "uwsgi_settings", {"env": "null"}),
        ("postgresql", "postgresql_settings", {"har.mless": r"a\nb"}),
    ],
)
def test_what_draws_have_found_stays_fixed(role: str, name: str, value: Any) -> None:
    made = drawn.made(role, name, value)
    assert made is None or not made.wrong
