"""Values of postgresql.conf."""

from __future__ import annotations

import pytest
from ansible_collections.slipway.flask.plugins.filter.pg_settings import setting


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
