"""What is said of the first check that does not hold, as Ansible evaluates it: no more than is needed, and nothing is swallowed."""

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


def said(*checks: dict[str, str]) -> Any:
    """Return what the playbooks' lists make of checks."""
    known = {"checks": [{name: trust_as_template(text) for name, text in check.items()} for check in checks]}
    templar = Templar(loader=DataLoader(), variables=known)
    return templar.template(trust_as_template("{{ checks | slipway.flask.first_complaint }}"))


def test_the_first_that_does_not_hold_is_told_and_none_after_it_is_asked() -> None:
    assert said(FINE, WRONG, UNKNOWN, WORDLESS) == "one: 1"


def test_nothing_is_said_where_all_hold() -> None:
    assert said(FINE, FINE) == ""


@pytest.mark.parametrize("check", [UNKNOWN, WORDLESS])
def test_what_cannot_be_evaluated_is_an_error(check: dict[str, str]) -> None:
    with pytest.raises(AnsibleUndefinedVariable):
        said(FINE, check, WRONG)
