"""Checks as the playbooks and roles list them: what has to hold (`holds`), and what is said otherwise (`otherwise`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any


def all_complaints(checks: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return what is said of each check that does not hold."""
    return [str(check["otherwise"]) for check in checks if not check["holds"]]


def first_complaint(checks: Iterable[Mapping[str, Any]]) -> str:
    """Return what is said of the first check that does not hold; empty where all hold.

    No more is evaluated than is needed: what comes after one that does not hold may not be known.
    """
    return next((str(check["otherwise"]) for check in checks if not check["holds"]), "")


class FilterModule:
    """What Ansible finds here."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {"all_complaints": all_complaints, "first_complaint": first_complaint}
