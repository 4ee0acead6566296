"""What is said of checks that do not hold, as Ansible evaluates them: nothing is swallowed, and no more asked than is needed."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleUndefinedVariable
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

FINE = {"holds": "{{ 1 == 1 }}", "otherwise": "{{ nothing }}"}
WRONG = {"holds": "{{ 1 == 2 }}", "otherwise": "one: {{ 1 }}"}
UNKNOWN = {"holds": "{{ nothing == 1 }}", "otherwise": "x"}
WORDLESS = {"holds": "{{ 1 == 2 }}", "otherwise": "{{ nothing }}"}


def said(*checks: dict[str, str], by: str = "first_complaint") -> Any:
    """Return what a filter makes of checks."""
    known = {"checks": [{name: trust_as_template(text) for name, text in check.items()} for check in checks]}
    templar = Templar(loader=DataLoader(), variables=known)
    return templar.template(trust_as_template(f"{{{{ checks | slipway.flask.{by} }}}}"))


def test_the_first_that_does_not_hold_is_told_and_none_after_it_is_asked() -> None:
    assert said(FINE, WRONG, UNKNOWN, WORDLESS) == "one: 1"


def test_nothing_is_said_where_all_hold() -> None:
    assert said(FINE, FINE) == ""


def test_all_that_do_not_hold_are_told_together() -> None:
    assert said(WRONG, FINE, WRONG, by="all_complaints") == ["one: 1", "one: 1"]
    assert said(FINE, by="all_complaints") == []


@pytest.mark.parametrize("by", ["all_complaints", "first_complaint"])
@pytest.mark.parametrize("check", [UNKNOWN, WORDLESS])
def test_what_cannot_be_evaluated_is_an_error(check: dict[str, str], by: str) -> None:
    with pytest.raises(AnsibleUndefinedVariable):
        said(FINE, check, WRONG, by=by)
