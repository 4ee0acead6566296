"""Values of postgresql.conf."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.slipway.flask.plugins.filter.pg_settings import mistakes, setting


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("60s", "'60s'"),
        ("it's", "'it''s'"),
        (r"a\nb", r"'a\\nb'"),
        (True, "'on'"),
        (False, "'off'"),
        (5, "'5'"),
        (["pg_stat_statements", "auto_explain"], "'pg_stat_statements, auto_explain'"),
    ],
)
def test_a_value_is_quoted_as_postgresql_reads_it(value: object, written: str) -> None:
    assert setting(value) == written


def test_a_mistake_is_told_with_the_values_at_fault_and_the_fix() -> None:
    checks: list[dict[str, Any]] = [
        {"cause": "Not an address", "wrong": ["a b", 7], "fix": "List addresses."},
        {"cause": "Two owners", "wrong": [], "fix": "Give one."},
    ]
    assert mistakes(checks) == ['Not an address: "a b", 7. List addresses.']
