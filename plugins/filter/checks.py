"""Checks as the playbooks list them: what has to hold, and what is said otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any


def first_complaint(checks: Iterable[Mapping[str, Any]]) -> str:
    """Return what is said of the first check that does not hold; empty where all hold.

    checks: each with `holds` and `otherwise`, of which no more is evaluated than is needed: what comes after one that does not hold may
    not be known.
    """
    return next((str(check["otherwise"]) for check in checks if not check["holds"]), "")


class FilterModule:
    """What Ansible finds here."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {"first_complaint": first_complaint}
