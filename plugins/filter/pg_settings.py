"""What the role postgresql is given: values of postgresql.conf, and what is wrong with them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any


def setting(value: object) -> str:
    """Return a value as postgresql.conf has it: in single quotes, where a backslash or a quote is written twice (19.1.2)."""
    if isinstance(value, bool):
        text = "on" if value else "off"
    else:
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def mistakes(checks: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return a sentence for each check that finds something: the cause, the values that are wrong, and the fix."""
    return [
        f"{check['cause']}: {', '.join(json.dumps(value) for value in wrong)}. {check['fix']}"
        for check in checks
        if (wrong := check["wrong"])
    ]


class FilterModule:
    """What Ansible finds here."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {"postgresql_mistakes": mistakes, "postgresql_setting": setting}
