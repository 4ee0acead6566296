"""Free text never becomes configuration: whatever a variable is set to, it is refused, or it is one value in what a program reads.

`make test-values` draws more, and asks the programs themselves.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

import drawn
import rendered

DRAWS = 20


@pytest.mark.parametrize("role", drawn.ROLES)
def test_what_is_drawn_for_is_not_refused_by_itself(role: str) -> None:
    """Otherwise each draw is, and tells nothing."""
    assert rendered.refused(role, {}) == ""


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


@pytest.mark.parametrize(
    ("role", "name", "value"),
    [
        ("nginx", "nginx_client_max_body_size", "16m; return 301 http://evil/"),
        ("nginx", "edge_acme_webroot", "/srv; return 301 http://evil/"),
        ("nginx", "edge_tls_key", "'"),
        ("apache", "edge_tls_names", ["'"]),
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
